import Testing

@testable import Redis

@Suite struct AddressTests {
  private func read(_ text: String) throws -> RedisAddress { try RedisAddress(text) }

  @Test func eachFormIsRead() throws {
    #expect(try read("r-1.example:6379").kind == .single(RedisHost("r-1.example", port: 6_379)))
    #expect(try read("redis://[::1]:1").kind == .single(RedisHost("::1", port: 1)))
    let two = [RedisHost("a", port: 1), RedisHost("b", port: 2)]
    #expect(try read("redis://a:1,b:2").kind == .cluster(two))
    #expect(try read("redis://a:1,b:2?cluster").kind == .cluster(two))
    #expect(try read("redis://a:1?cluster").kind == .cluster([two[0]]))
    #expect(try read("sentinel://a:1,b:2/my-main").kind == .sentinel(two, primary: "my-main"))
  }

  @Test(arguments: [
    ("redis://h:1", nil, nil), ("redis://u:p@h:1", "u", "p"), ("redis://:p@h:1", nil, "p"),
    ("redis://u@h:1", "u", nil), ("redis://:p%40%2f:@h:1", nil, "p@/:"),
    ("redis://:a@b/?c@h:1", nil, "a@b/?c"),
  ])
  func credentialsAreRead(_ text: String, _ user: String?, _ password: String?) throws {
    let address = try read(text)
    #expect(address.user == user)
    #expect(address.password == password)
    #expect(address.kind == .single(RedisHost("h", port: 1)))
  }

  @Test(arguments: [
    "", "h", "h:", "h:0", "h:65536", "h:+1", "a:1,b:2", "redis://", "redis://h", "redis://h:1/0",
    "redis://h:1/",
    "redis://h:1?x", "h:1?cluster", "sentinel://h:1", "sentinel://h:1/", "sentinel://h:1/a/b",
    "sentinel://h:1/a?cluster", "rediss://h:1", "http://h:1", "redis://@h:1", "redis://u:@h:1",
    "redis://:geheim%zz@h:1", "redis://:geheim@h h:1", "redis://a:1,", "::1:1", "[::1:1", "u:geheim@h:1",
  ])
  func whatIsNoAddressIsRefusedWithoutRepeatingIt(_ text: String) {
    do {
      _ = try RedisAddress(text)
      Issue.record("\(text) is taken")
    } catch {
      #expect(!error.description.isEmpty)
      #expect(!error.description.contains("geheim"))
    }
  }

  @Test func noDescriptionTellsAPassword() throws {
    for text in ["redis://u:geheim@h:1", "sentinel://:geheim@h:1/m", "redis://u:geheim@h:1,i:2"] {
      let address = try read(text)
      var dumped = ""
      dump(address, to: &dumped)
      for words in ["\(address)", String(reflecting: address), dumped] {
        #expect(!words.contains("geheim"), "\(words)")
        #expect(words.contains("h:1"))
      }
    }
  }
}

@Suite struct ComplaintTests {
  @Test func whatAnErrorMeansIsItsFirstWord() {
    #expect(RedisComplaint("NOSCRIPT No matching script. Please use EVAL.") == .noScript)
    #expect(RedisComplaint("READONLY You can't write against a read only replica.") == .readOnly)
    #expect(RedisComplaint("LOADING Redis is loading the dataset in memory") == .notReady)
    #expect(RedisComplaint("MASTERDOWN Link with MASTER is down") == .notReady)
    #expect(RedisComplaint("OOM command not allowed when used memory > 'maxmemory'.") == .full)
    #expect(RedisComplaint("CLUSTERDOWN Hash slot not served") == .clusterUnsettled)
    #expect(
      RedisComplaint("MOVED 3999 127.0.0.1:6381") == .moved(slot: 3_999, RedisHost("127.0.0.1", port: 6_381)))
    #expect(RedisComplaint("ASK 1 ::1:7") == .ask(slot: 1, RedisHost("::1", port: 7)))
    #expect(RedisComplaint("MOVED 3999 :6381") == .moved(slot: 3_999, RedisHost("", port: 6_381)))
    #expect(RedisComplaint("MOVED 16384 a:1") == .clusterUnsettled)
    #expect(RedisComplaint("ERR MOVED") == .other)
    #expect(RedisComplaint("") == .other)
  }
}

@Suite struct ClusterMapTests {
  private func row(_ first: Int64, _ last: Int64, _ host: RedisReply, _ port: Int64) -> RedisReply {
    .array([.integer(first), .integer(last), .array([host, .integer(port), .bytes([65])])])
  }

  private func text(_ text: String) -> RedisReply { .bytes(Array(text.utf8)) }

  @Test func slotsAreThoseOfTheirPrimaries() throws {
    let reply = RedisReply.array([
      row(8_192, 16_383, text("b"), 2), row(0, 99, text("a"), 1), row(200, 8_191, text("a"), 1),
    ])
    let map = try #require(ClusterMap(reply: reply, asked: RedisHost("x", port: 9)))
    #expect(map.primaries == [RedisHost("a", port: 1), RedisHost("b", port: 2)])
    #expect([0, 99, 100, 199, 200, 8_192, 16_383].map { map.places[$0] } == [0, 0, 65_535, 65_535, 0, 1, 1])
  }

  @Test func aServerThatLeavesItsNameOutIsTheOneAsked() throws {
    for host in [RedisReply.null, text("")] {
      let map = ClusterMap(reply: .array([row(0, 1, host, 7)]), asked: RedisHost("x", port: 9))
      #expect(map?.primaries == [RedisHost("x", port: 7)])
    }
  }

  @Test func whatIsNoMapIsNone() {
    let asked = RedisHost("x", port: 9)
    #expect(ClusterMap(reply: .error("ERR This instance has cluster support disabled"), asked: asked) == nil)
    #expect(ClusterMap(reply: .array([]), asked: asked) == nil)
    #expect(ClusterMap(reply: .array([row(0, 16_384, text("a"), 1)]), asked: asked) == nil)
    #expect(ClusterMap(reply: .array([row(5, 4, text("a"), 1)]), asked: asked) == nil)
    #expect(ClusterMap(reply: .array([row(0, 1, text("?"), 1)]), asked: asked) == nil)
  }
}
