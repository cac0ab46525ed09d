import Chat
import Testing

@Suite struct PartitionTests {
  /// The vectors of the Java client's own tests: another producer must find the same partition.
  @Test(arguments: [
    ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
  ])
  func theHashIsTheJavaClients(_ text: String, _ expected: Int) {
    let hash = Array(text.utf8).withUnsafeBytes { Partition.murmur2($0) }
    #expect(Int(Int32(bitPattern: hash)) == expected)
  }

  @Test func aPartitionIsWithinTheirCount() {
    for i in 0..<1_000 {
      let partition = Array("room:\(i)".utf8).withUnsafeBytes { Partition.of($0, count: 16) }
      #expect((0..<16).contains(partition))
    }
  }
}
