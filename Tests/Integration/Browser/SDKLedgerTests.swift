import Foundation
import Support
import Testing

/// The SDK against the real server, its connections cut at random moments and its page thrown away in
/// between: none lost, none doubled, in order.
@Suite struct SDKLedgerTests {
  /// Messages of the whole run.
  private static let count = 10_000
  private static let devices = [
    ("alice", "phone"), ("alice", "laptop"), ("bob", "phone"), ("bob", "laptop"),
  ]
  private static let seed =
    ProcessInfo.processInfo.environment["FASTCHAT_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: 0...UInt64.max)

  @Test func nothingIsLostOrDoubledByCutConnectionsAndLostPages() throws {
    print("SDK ledger: seed \(Self.seed)")
    try withServer(["--shards", "2", "--limits-rate", "1000000", "--log-level", "error"]) { server in
      let proxy = try CuttingProxy(
        to: server.port, bytesPerCut: 120_000, seed: Self.seed, isCutting: false)
      defer { proxy.stop() }
      try server.attach("alice", "setup").ask(
        #""type":"create","chat":"room:ledger","name":"L","public":true"#, expecting: "ok")
      try server.attach("bob", "setup").ask(#""type":"join","chat":"room:ledger""#, expecting: "ok")
      try withWebDriver { driver in
        let page = try driver.browser()
        let share = Self.count / Self.devices.count
        try begin(page, proxy)
        try send(page, 0..<(share / 2))
        // Everything is kept, and some of it is sent: the page goes.
        try page.wait(until: "pending().every((count) => count > 0 && count < \(share * 3 / 8))")
        proxy.stopCutting()
        proxy.cutAll()
        try begin(page, proxy)
        try send(page, (share / 2)..<share)
        do {
          try page.wait(until: "pending().every((count) => count === 0)", .after(.seconds(120)))
        } catch {
          let states = try page.run(
            "return devices.map(({ client, lives }) => [client.pending().length, lives, client.state])")
          throw TestFailure("seed \(Self.seed), \(proxy.cuts) cuts: \(states)")
        }
        let cuts = proxy.cuts
        proxy.stopCutting()
        proxy.cutAll()
        let differences = try reckon(page, server)
        #expect(differences.isEmpty, "seed \(Self.seed): \(differences.joined(separator: "\n"))")
        #expect(cuts > 20, "the connections were hardly ever cut")
        print("SDK ledger: \(Self.count) messages, \(cuts) cuts")
      }
    }
  }

  /// Loads the page and makes the devices in it; from then on connections are cut.
  private func begin(_ page: Browser, _ proxy: CuttingProxy) throws {
    try page.go(to: "http://127.0.0.1:\(proxy.port)/")
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "ledger.js")
    try page.run(String(contentsOf: script, encoding: .utf8))
    let names = Self.devices.map { "[\"\($0.0)\",\"\($0.1)\"]" }.joined(separator: ",")
    try page.run("return begin([\(names)])")
    // Each knows where it stands before anything is sent.
    try page.wait(until: "devices.every((device) => device.lives > 0)")
    proxy.startCutting()
    proxy.cutAll()
  }

  private func send(_ page: Browser, _ numbers: Range<Int>) throws {
    try page.run(
      """
      const other = { alice: "bob", bob: "alice" };
      return Promise.all(devices.map((device) => device.send(\(numbers.lowerBound), \(numbers.upperBound),
        [`user:${other[device.user]}`, "room:ledger", `user:${device.user}`])));
      """)
  }

  /// Lets each device catch up, and compares what it was told with what the server has.
  private func reckon(_ page: Browser, _ server: ServerProcess) throws -> [String] {
    var differences: [String] = []
    var stored: [String: [ChatFrame]] = [:]
    for user in ["alice", "bob"] {
      let reader = try ChatTestClient.attached(
        port: server.port, user: user, device: "reader", cursors: #"{"*":0}"#)
      for (chat, list) in Dictionary(
        grouping: reader.events().filter { $0.type == "message" }, by: { $0.chat! })
      where list.count > stored[chat]?.count ?? 0 { stored[chat] = list }
    }
    let total = stored.values.map(\.count).reduce(0, +)
    if total != Self.count { differences.append("\(total) messages are stored") }
    let chats = { (user: String) in
      stored.keys.filter {
        $0.hasPrefix("room:") || $0.split(separator: ":").dropFirst().contains { $0 == user }
      }
    }
    for (index, device) in Self.devices.enumerated() {
      let wanted = chats(device.0).map { stored[$0]!.count }.reduce(0, +)
      try page.wait(until: "devices[\(index)].told >= \(wanted)")
    }
    for report in try page.run("return report()").array ?? [] {
      let name = "\(report["user"]?.string ?? "?")/\(report["name"]?.string ?? "?")"
      differences += (report["faults"]?.array ?? []).map { "\(name): \($0.string ?? "?")" }
      for chat in chats(report["user"]?.string ?? "") {
        let account = report["accounts"]?[chat]
        let handed = (account?["handed"]?.array ?? []).compactMap { $0.int }
        let sent = (account?["sent"]?.array ?? []).compactMap { row in row.array?.compactMap { $0.int } }
        let all = (handed + sent.map { $0[0] }).sorted()
        if all != stored[chat]!.map({ Int($0.seq!) }) {
          differences.append(
            "\(name): \(handed.count) handed and \(sent.count) sent of \(stored[chat]!.count) in \(chat)")
        }
        // Its own stand in the order in which it sent them.
        let numbers = sent.sorted { $0[0] < $1[0] }.map { $0[1] }
        if numbers != numbers.sorted() { differences.append("\(name): disorder in \(chat)") }
      }
    }
    return Array(differences.prefix(20))
  }
}
