import Foundation
import Support
import Testing

@testable import Server

@Suite struct LogTests {
  private func line(_ fields: [(name: String, value: String)], event: String = "started") -> String {
    LogLine(
      time: timespec(tv_sec: 1_767_225_599, tv_nsec: 42_999_999), level: .info, event: event, fields: fields
    )
    .text
  }

  @Test func aLineTellsTimeLevelEventAndFields() {
    #expect(
      line([("shard", "1"), ("backend", "io_uring")])
        == "time=2025-12-31T23:59:59.042Z level=info event=started shard=1 backend=io_uring\n")
  }

  @Test func textOfOthersMakesNoLineOrFieldOfItsOwn() {
    let text = line([("user", "a\nlevel=error event=\"x\"\u{1b}\\")], event: "not welcome")
    #expect(
      text
        == "time=2025-12-31T23:59:59.042Z level=info event=\"not welcome\" "
        + "user=\"a\\nlevel=error event=\\\"x\\\"\\u{1b}\\\\\"\n")
  }

  @Test func aLineHasABound() {
    let text = line([("body", String(repeating: "é", count: 5_000))])
    #expect(text.utf8.count <= LogLine.bytesMax)
    #expect(text.hasSuffix("...\n"))
  }

  @Test func aFloodOfOneEventIsCountedAndOthersAreWritten() {
    var gate = FloodGate()
    let admitted = (0..<1_000).count { _ in gate.admits("flood", at: 100) }
    #expect(admitted == FloodGate.linesMax)
    let isOtherAdmitted = gate.admits("other", at: 100)
    #expect(isOtherAdmitted)
    let early = gate.endedFloods(at: 105)
    #expect(early.isEmpty)
    let ended = gate.endedFloods(at: 110)
    #expect(ended.map(\.event) == ["flood"])
    #expect(ended.map(\.count) == [990])
    let again = gate.admits("flood", at: 110)
    #expect(again)
  }

  @Test func aQuietEventIsNeverLeftOut() {
    var gate = FloodGate()
    for second in stride(from: 0, to: 1_000, by: 2) {
      let isAdmitted = gate.admits("tick", at: second)
      #expect(isAdmitted)
    }
    let none = gate.endedFloods(at: 2_000)
    #expect(none.isEmpty)
  }

  @Test func aClockThatGoesBackEndsAFlood() {
    var gate = FloodGate()
    for _ in 0..<20 { _ = gate.admits("flood", at: 1_000) }
    let counted = gate.endedFloods(at: 10)
    #expect(counted.map(\.count) == [10])
    let afterwards = gate.admits("flood", at: 10)
    #expect(afterwards)
  }

  @Test func theTableOfEventsHasABound() {
    var gate = FloodGate()
    for i in 0..<10_000 { _ = gate.admits("event \(i)", at: 1) }
    let oneMore = gate.admits("one more", at: 1)
    #expect(!oneMore)
    let known = gate.admits("event 1", at: 1)
    #expect(known)
  }

  @Test func aReaderThatStandsStillLosesLinesAndHoldsUpNobody() {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let text = line([("padding", String(repeating: "x", count: 1_900))])
    var written = 0
    while written < 1_000, Log.put(text, to: ends[1]) { written += 1 }
    // A pipe holds 64 KiB, or a page where its user has many.
    #expect(written >= 1 && written < 64)
    var taken = [UInt8](repeating: 0, count: 65_536)
    #expect(read(ends[0], &taken, taken.count) == written * text.utf8.count)
    #expect(Log.put(text, to: ends[1]))
  }

  @Test(arguments: [false, true])
  func theServiceManagerIsTold(abstract: Bool) throws {
    let directory = try TemporaryDirectory()
    let name = directory.path + "/notify"
    let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(receiver) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array((abstract ? "@" + name : name).utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { path in
      path.copyBytes(from: bytes)
      if abstract { path[0] = 0 }
    }
    let length = socklen_t(2 + bytes.count)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(receiver, $0, length) }
    }
    try #require(bound == 0)
    #expect(ServiceManager.tell(.ready, socket: abstract ? "@" + name : name))
    #expect(ServiceManager.tell(.stopping, socket: abstract ? "@" + name : name))
    var buffer = [UInt8](repeating: 0, count: 64)
    for expected in ["READY=1", "STOPPING=1"] {
      let count = recv(receiver, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      #expect(count > 0)
      #expect(String(decoding: buffer[..<max(count, 0)], as: UTF8.self) == expected)
    }
    withExtendedLifetime(directory) {}
  }

  @Test func aServiceManagerThatIsNotThereIsNoticed() {
    #expect(!ServiceManager.tell(.ready, socket: "/nowhere/notify"))
    #expect(!ServiceManager.tell(.ready, socket: "relative"))
    #expect(!ServiceManager.tell(.ready, socket: "/" + String(repeating: "x", count: 200)))
  }
}
