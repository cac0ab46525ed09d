import Foundation
import Support
import Testing

/// The embedded store as one meets it from outside: damaged, of another version, without space.
@Suite struct StoreTests {
  private static let somewhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]

  /// A data directory with a few messages, of a server that ended well, and its database file.
  private func withStore(_ body: (_ data: String, _ database: String) throws -> Void) throws {
    let directory = try TemporaryDirectory()
    let data = directory.path + "/data"
    try withServer(data: data) { server in
      let alice = try server.attach("alice", "phone")
      for number in 0..<10 { try alice.say(to: "user:bob", id: "m\(number)") }
      #expect(try server.terminate() == 0)
    }
    let files = try FileManager.default.subpathsOfDirectory(atPath: data)
    let database = try #require(
      files.first { file in
        let head = FileHandle(forReadingAtPath: "\(data)/\(file)")?.readData(ofLength: 16) ?? Data()
        return head.starts(with: Array("SQLite format 3\0".utf8))
      })
    try body(data, "\(data)/\(database)")
    withExtendedLifetime(directory) {}
  }

  private func expectRefusal(of data: String, saying words: [String]) throws {
    let run = try ServerProcess.run(["serve", "--data", data] + Self.somewhere)
    #expect(run.status == 1 && run.output.isEmpty)
    let last = run.errors.split(separator: "\n").last ?? ""
    for word in words { #expect(last.contains(word), "\(run.errors)") }
  }

  @Test func damagedDatabaseIsRefusedAndNeverOverwritten() throws {
    try withStore { data, path in
      var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      bytes.replaceSubrange(0..<100, with: Data(repeating: 0x5a, count: 100))
      try bytes.write(to: URL(fileURLWithPath: path))
      try expectRefusal(of: data, saying: [path])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
    }
  }

  @Test func truncatedDatabaseIsRefusedAndNeverOverwritten() throws {
    try withStore { data, path in
      let bytes = try Data(contentsOf: URL(fileURLWithPath: path)).prefix(4096 + 1000)
      try bytes.write(to: URL(fileURLWithPath: path))
      try expectRefusal(of: data, saying: [path])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
    }
  }

  @Test func storeOfANewerVersionIsRefusedUnharmed() throws {
    try withStore { data, path in
      var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      // `user_version`, big-endian at 60 (SQLite's file format, section 1.3).
      try #require(bytes[60..<64].contains { $0 != 0 }, "the schema's version is kept elsewhere")
      bytes.replaceSubrange(60..<64, with: [0, 1, 0, 0])
      try bytes.write(to: URL(fileURLWithPath: path))
      try expectRefusal(of: data, saying: ["version"])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
    }
  }

  @Test func directoryThatCannotBeWrittenIsExitCodeOne() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path + "/file"
    try "not a directory".write(toFile: file, atomically: true, encoding: .utf8)
    for data in [file, file + "/below", "/proc/fastchat", "/dev/null/data"] {
      try expectRefusal(of: data, saying: [data])
    }
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "not a directory")
  }

  @Test func fullDiskIsUnavailableToSendsAndRecoversWithoutARestart() throws {
    let mount = try TemporaryDirectory()
    let mounted = try ServerProcess.execute(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mount.path])
    // Without the right to mount, the next test stands for this one.
    guard mounted.status == 0 else { return }
    defer { _ = try? ServerProcess.execute(["umount", "-l", mount.path]) }
    let ballast = mount.path + "/ballast"
    try withServer(["--limits-rate", "100000"], data: mount.path + "/data") { server in
      try outlast(
        server, begin: { try? Data(repeating: 1, count: 8 << 20).write(to: URL(fileURLWithPath: ballast)) },
        end: { try FileManager.default.removeItem(atPath: ballast) })
    }
  }

  @Test func filesThatMayNotGrowAreUnavailableToSendsAndRecoverWithoutARestart() throws {
    // SIGXFSZ would end a program that does not ignore it: that is not what this test is about.
    let launcher = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]
    try withServer(["--limits-rate", "100000"], launcher: launcher) { server in
      func limit(_ bytes: String) throws {
        let run = try ServerProcess.execute([
          "prlimit", "--pid", "\(server.pid)", "--fsize=\(bytes):unlimited",
        ])
        #expect(run.status == 0, "\(run.errors)")
      }
      try outlast(server, begin: { try limit("65536") }, end: { try limit("unlimited") })
    }
  }

  /// What holds before, while and after nothing can be stored.
  private func outlast(_ server: ServerProcess, begin: () throws -> Void, end: () throws -> Void) throws {
    let alice = try server.attach("alice", "phone")
    let bob = try server.attach("bob", "phone")
    let body = "\"" + String(repeating: "x", count: 20_000) + "\""
    var acks: [String: Int?] = [:]
    for number in 0..<5 {
      acks["a\(number)"] = try alice.say(to: "user:bob", id: "a\(number)", body: body).seq
    }
    #expect(try HTTPTestClient.get("/readyz", port: server.adminPort).status == 200)

    try begin()
    // Long ones first; what little room is left then, short ones fill.
    var bodies: [String: String] = [:]
    for (kind, body) in [("long", body), ("short", "1")] {
      var refused = 0
      for number in 0..<2000 where refused < 3 {
        let id = "\(kind)\(number)"
        let answer = try alice.answer(to: alice.post(to: "user:bob", id: id, body: body))
        if answer.type == "ack" {
          acks[id] = answer.seq
        } else {
          #expect(answer.code == "unavailable")
          bodies[id] = body
          refused += 1
        }
      }
      try #require(refused == 3, "there was always room for \(kind) ones")
    }
    // Reading goes on.
    let stored = try bob.wholeHistory("dm:alice:bob", limit: 10)
    #expect(acks.allSatisfy { ack in stored.contains { $0.ids == ack.key && $0.seq == ack.value } })
    try bob.settle()
    try waitForReadiness(503, server)
    #expect(try HTTPTestClient.get("/healthz", port: server.adminPort).status == 200)

    try end()
    for (id, body) in bodies {
      let deadline = Deadline.after(.seconds(60))
      var answer = try alice.answer(to: alice.post(to: "user:bob", id: id, body: body, retry: true))
      while answer.code == "unavailable", !deadline.hasPassed {
        answer = try alice.answer(to: alice.post(to: "user:bob", id: id, body: body, retry: true))
      }
      #expect(answer.type == "ack")
      acks[id] = answer.seq
    }
    try waitForReadiness(200, server)
    try alice.say(to: "user:bob", id: "after")
    try bob.message("after")
    let all = try bob.wholeHistory("dm:alice:bob")
    #expect(all.count == acks.count + 1)
    for row in all.dropLast() { #expect(acks[row.ids!] == row.seq) }
    #expect(bob.messageIDs(of: "dm:alice:bob") == all.map { $0.ids! })
    try server.restart()
    let back = try server.attach("bob", "tablet", cursors: #"{"*":0}"#)
    #expect(back.messageIDs(of: "dm:alice:bob") == all.map { $0.ids! })
  }

  private func waitForReadiness(_ status: Int, _ server: ServerProcess) throws {
    let deadline = Deadline.after(.seconds(60))
    while try HTTPTestClient.get("/readyz", port: server.adminPort).status != status {
      try #require(!deadline.hasPassed, "/readyz never became \(status)")
    }
  }
}
