import Chat
import Embedded
import Foundation
import Support
import Testing

@Suite struct CrashTests {
  /// A child process commits until it is killed, and notes what was reported in a file of its own.
  @Test func whatWasReportedIsThereOnceAfterAKill() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    for round in 0..<8 {
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, round = round as Int] in
        commitUntilKilled(path, round)
      }
    }
    let store = try Store(directory: path + "/data", limits: Limits())
    let reader = StoreReader(store.file)
    var stored: [String: [Seq]] = [:]
    for chat in 0..<5 {
      let answer = reader.answer(
        ViewQuery(
          tag: 1, partition: 0, what: .eventsAfter(0), chat: Array("dm:a:b\(chat)".utf8), limit: 1_000_000,
          bytes: 1 << 30))
      var prev: Seq = 0
      for row in answer.rows {
        #expect(row.prev == prev)
        prev = row.seq
        let json = String(decoding: answer.bytes[row.json], as: UTF8.self)
        let id = json.components(separatedBy: "\"id\":\"")[1].components(separatedBy: "\"")[0]
        stored[id, default: []].append(row.seq)
      }
      #expect(prev == answer.head)
    }
    #expect(stored.values.allSatisfy { $0.count == 1 })
    var reported = 0
    for line in try String(contentsOfFile: path + "/reported", encoding: .utf8).split(separator: "\n") {
      let parts = line.split(separator: " ")
      // The kill may have cut the last line of a round.
      guard parts.count == 3, parts[2] == "." else { continue }
      reported += 1
      #expect(stored[String(parts[0])] == [Seq(parts[1])!])
    }
    #expect(reported > 100)
  }
}

/// Commits batches; a second thread kills the process at some moment of the first third of a second.
private func commitUntilKilled(_ path: String, _ round: Int) {
  let report = open(path + "/reported", O_WRONLY | O_CREAT | O_APPEND, 0o600)
  guard let store = try? Store(directory: path + "/data", limits: Limits()) else { exit(3) }
  let delay = UInt32.random(in: 20_000...300_000)
  Thread.detachNewThread {
    usleep(delay)
    kill(getpid(), SIGKILL)
  }
  let bench = RecordMaker()
  var batch = 0
  while true {
    batch += 1
    var lines = ""
    let records = (0..<20).map { bench.record("dm:a:b\($0 % 5)", "a", "r\(round).\(batch).\($0)") }
    let result = bench.commit(records, to: store)
    for (appended, record) in zip(result.appended, records) { lines += "\(record.id) \(appended.seq) .\n" }
    _ = lines.withCString { write(report, $0, strlen($0)) }
  }
}
