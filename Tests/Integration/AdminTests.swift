import Support
import Testing

/// The admin port: health and metrics that tell the truth.
@Suite struct AdminTests {
  /// The samples of a Prometheus text, by name and labels; a line of another shape is a failure.
  private func samples(_ text: String) throws -> [String: Double] {
    let shape = /([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{[^}]*\})?) (\S+)/
    var samples: [String: Double] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      guard let match = line.wholeMatch(of: shape), let value = Double(match.2) else {
        throw TestFailure("not a sample: \(line)")
      }
      guard samples.updateValue(value, forKey: String(match.1)) == nil else {
        throw TestFailure("twice: \(line)")
      }
    }
    return samples
  }

  private func samples(of server: ServerProcess) throws -> [String: Double] {
    let answer = try HTTPTestClient.get("/metrics", port: server.adminPort)
    #expect(answer.status == 200)
    #expect(answer.headers["content-type"]?.hasPrefix("text/plain") == true)
    return try samples(answer.text)
  }

  @Test(arguments: Backend.allCases)
  func healthAndReadinessAreServedOnBothPorts(backend: Backend) throws {
    try withServer(backend: backend) { server in
      for port in [server.port, server.adminPort] {
        for path in ["/healthz", "/readyz"] {
          let answer = try HTTPTestClient.get(path, port: port)
          #expect(answer.status == 200)
        }
      }
      let answer = try HTTPTestClient.get("/nowhere", port: server.adminPort)
      #expect(answer.status == 404)
      #expect(try HTTPTestClient(port: server.adminPort).request("POST", "/metrics").status == 405)
    }
  }

  @Test func metricsCountConnectionsMessagesAndRefusals() throws {
    try withServer(["--shards", "2", "--limits-rate", "100000"]) { server in
      let before = try samples(of: server)
      let clients = try (0..<7).map { try server.attach("user\($0)", "phone") }
      for number in 0..<23 { try clients[number % 7].say(to: "user:bob") }
      for _ in 0..<3 { _ = try clients[0].ask(#""type":"nonsense""#) }

      // Which names they have is the server's: each fact must be told by a sample that changed by it.
      func waitForChange(_ words: [String], by difference: Double) throws -> Set<String> {
        let deadline = Deadline.usual
        while true {
          let now = try samples(of: server)
          let named = now.filter { sample in words.allSatisfy { sample.key.contains($0) } }
          let changed = named.filter { $0.value - (before[$0.key] ?? 0) == difference }
          if !changed.isEmpty { return Set(changed.keys) }
          guard !deadline.hasPassed else {
            throw TestFailure("no sample of \(words) changed by \(difference): \(named)")
          }
        }
      }
      let open = try waitForChange(["connections"], by: 7)
      #expect(try !waitForChange(["messages"], by: 23).isEmpty)
      #expect(try !waitForChange(["bad-request"], by: 3).isEmpty)
      for client in clients { client.drop() }
      let deadline = Deadline.usual
      while true {
        let now = try samples(of: server)
        if open.contains(where: { now[$0] == before[$0] }) { break }
        try #require(!deadline.hasPassed, "the connections are still counted")
      }
    }
  }

  @Test func everySampleHasAType() throws {
    try withServer { server in
      let text = try HTTPTestClient.get("/metrics", port: server.adminPort).text
      let types = Set(
        text.matches(of: /# TYPE (\S+) (?:counter|gauge|histogram|summary)/).map { String($0.1) })
      #expect(!types.isEmpty)
      for name in try samples(text).keys.map({ String($0.prefix { $0 != "{" }) }) {
        let base = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }.map {
          String(name.dropLast($0.count))
        }
        #expect(types.contains(name) || types.contains(base ?? ""), "\(name)")
      }
    }
  }
}
