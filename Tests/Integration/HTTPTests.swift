import Support
import Testing

/// HTTP/1.1 on the main port: the upgrade, who may, and the few plain requests.
@Suite struct HTTPTests {
  private func status(_ server: ServerProcess, _ request: String) throws -> Int {
    let client = try HTTPTestClient(port: server.port)
    try client.send(raw: request)
    return try client.answer().status
  }

  private func upgrade(_ server: ServerProcess, _ headers: [String: String], path: String = "/ws") throws
    -> HTTPAnswer
  {
    do {
      _ = try WebSocketTestClient(port: server.port, path: path, headers: headers)
      throw TestFailure("upgraded with \(headers)")
    } catch let refused as UpgradeRefused {
      return refused.answer
    }
  }

  @Test(arguments: Backend.allCases)
  func plainRequestsAreAnsweredAsFits(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let page = try HTTPTestClient.get("/", port: server.port, headers: ["Accept": "text/html"])
      #expect(page.status == 200 && page.headers["content-type"]?.hasPrefix("text/html") == true)
      #expect(page.text.contains("</html>"))
      #expect(try HTTPTestClient.get("/healthz", port: server.port).status == 200)
      #expect(try HTTPTestClient.get("/readyz", port: server.port).status == 200)
      #expect(try HTTPTestClient.get("/nowhere", port: server.port).status == 404)
      #expect(try HTTPTestClient.get("/metrics", port: server.port).status == 404)
      #expect(try HTTPTestClient.get("/echo", port: server.port).status == 404)
      #expect(try HTTPTestClient(port: server.port).request("DELETE", "/").status == 405)
      let post = "POST /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
      #expect(try status(server, post) == 405)
      let plain = try HTTPTestClient.get("/ws", port: server.port)
      #expect(plain.status == 426 && plain.headers["upgrade"]?.lowercased() == "websocket")
    }
  }

  @Test func brokenRequestsAreRefused() throws {
    let host = "Host: 127.0.0.1\r\n"
    let cases = [
      ("nonsense\r\n\r\n", 400), ("GET /\r\n\r\n", 400), ("GET / HTTP/9.9\r\n\(host)\r\n", 505),
      ("GET  / HTTP/1.1\r\n\(host)\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\n\(host)\(host)\r\n", 400), ("GET / HTTP/1.1\r\n\(host)no colon\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\n\(host)a b: c\r\n\r\n", 400), ("GET / HTTP/1.1\r\n\(host) folded: x\r\n\r\n", 400),
      ("GET / HTTP/1.1\r\n\(host)X: a\u{0}b\r\n\r\n", 400),
      ("GET /\(String(repeating: "x", count: 100_000)) HTTP/1.1\r\n\(host)\r\n", 431),
      ("GET / HTTP/1.1\r\n\(host)X: \(String(repeating: "x", count: 100_000))\r\n\r\n", 431),
      ("GET / HTTP/1.1\r\n\(host)\(String(repeating: "X: y\r\n", count: 1000))\r\n", 431),
    ]
    try withServer { server in
      for (request, expected) in cases {
        let status = try status(server, request)
        #expect(status == expected, "\(request.prefix(60))")
      }
      #expect(try HTTPTestClient.get("/healthz", port: server.port).status == 200)
    }
  }

  @Test func wrongUpgradesAreRefused() throws {
    try withServer { server in
      #expect(try upgrade(server, ["Sec-WebSocket-Key": ""]).status == 400)
      #expect(try upgrade(server, ["Sec-WebSocket-Key": "short"]).status == 400)
      #expect(try upgrade(server, ["Sec-WebSocket-Key": "MTIzNDU2Nzg5MDEyMzQ1Njc="]).status == 400)
      let version = try upgrade(server, ["Sec-WebSocket-Version": "8"])
      #expect(version.status == 426 && version.headers["sec-websocket-version"] == "13")
      #expect(try upgrade(server, ["Sec-WebSocket-Protocol": "chat, superchat"]).status == 400)
      #expect(try upgrade(server, ["Connection": "close"]).status == 426)
      #expect(try upgrade(server, [:], path: "/nowhere").status == 404)
      #expect(try upgrade(server, [:], path: "/echo").status == 404)
    }
  }

  @Test func subprotocolIsChosenOrLeftOut() throws {
    try withServer { server in
      var client = try WebSocketTestClient(port: server.port, headers: ["Sec-WebSocket-Protocol": ""])
      #expect(client.headers["sec-websocket-protocol"] == nil)
      client = try WebSocketTestClient(
        port: server.port, headers: ["Sec-WebSocket-Protocol": "other,fastchat.v1 , x"])
      #expect(client.headers["sec-websocket-protocol"] == "fastchat.v1")
      client = try WebSocketTestClient(
        port: server.port,
        headers: ["Connection": "keep-alive, upgrade", "Upgrade": "WebSocket", "X-Other": "a, b"])
      try client.send(text: #"{"type":"hello","user":"alice"}"#)
      _ = try client.nextMessage()
    }
  }

  @Test func deflateIsOfferedOnlyWhereItWasAskedFor() throws {
    let offer = ["Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"]
    try withServer { server in
      let client = try WebSocketTestClient(port: server.port, headers: offer)
      #expect(client.headers["sec-websocket-extensions"] == nil)
    }
    try withServer(["--deflate"]) { server in
      let client = try WebSocketTestClient(port: server.port, headers: offer)
      #expect(client.headers["sec-websocket-extensions"]?.hasPrefix("permessage-deflate") == true)
    }
  }

  @Test func onlyLoopbackNamesReachADevelopmentServer() throws {
    try withServer { server in
      for host in [
        "127.0.0.1:\(server.port)", "127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:\(server.port)",
      ] {
        _ = try WebSocketTestClient(port: server.port, headers: ["Host": host])
      }
      for host in [
        "evil.example", "evil.example:\(server.port)", "127.0.0.1.evil.example", "localhost.evil.example",
        "10.0.0.1", "xlocalhost",
      ] {
        #expect(try upgrade(server, ["Host": host]).status == 403, "\(host)")
      }
    }
    try withServer(["--insecure"]) { server in
      _ = try WebSocketTestClient(port: server.port, headers: ["Host": "chat.example"])
    }
  }

  @Test func originIsTheHostOrOneOfTheListed() throws {
    try withServer(["--origins", "https://chat.example,http://localhost:3000"]) { server in
      let host = "localhost:\(server.port)"
      for origin in ["http://\(host)", "https://chat.example", "http://localhost:3000"] {
        _ = try WebSocketTestClient(port: server.port, headers: ["Host": host, "Origin": origin])
      }
      for origin in [
        "http://evil.example", "null", "http://localhost:1", "https://chat.example.evil.example",
        "http://chat.example", "https://chat.example:8443", "http://127.0.0.1:\(server.port)", "nonsense",
      ] {
        #expect(try upgrade(server, ["Host": host, "Origin": origin]).status == 403, "\(origin)")
      }
    }
  }

  @Test(arguments: Backend.allCases)
  func connectionIsKeptForTheNextRequest(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let client = try HTTPTestClient(port: server.port)
      for path in ["/healthz", "/nowhere", "/healthz"] {
        #expect(try client.request("GET", path).status == (path == "/healthz" ? 200 : 404))
      }
      // Two requests in one write.
      let request = HTTPTestClient.text(of: "GET", "/healthz", headers: [:], port: server.port)
      try client.send(raw: request + request)
      for _ in 0..<2 { #expect(try client.answer().status == 200) }
      // And the same connection can still become a WebSocket.
      let upgrade = WebSocketTestClient.upgradeHeaders()
      #expect(try client.request("GET", "/ws", headers: upgrade).status == 101)
      let last = try HTTPTestClient(port: server.port)
      #expect(try last.request("GET", "/healthz", headers: ["Connection": "close"]).status == 200)
      #expect(try last.isClosed())
    }
  }

  @Test(arguments: Backend.allCases)
  func framesBehindTheUpgradeRequestAreNotLost(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let frames = [#"{"type":"hello","user":"alice"}"#, #"{"type":"ping","id":"p"}"#]
      let socket = try WebSocketTestClient(
        port: server.port,
        behind: frames.flatMap {
          WebSocketTestClient.bytes(opcode: WebSocketTestFrame.Opcode.text, Array($0.utf8))
        })
      var types: [String] = []
      while !types.contains("pong") {
        types.append(try ChatFrame(text: String(decoding: socket.nextMessage(), as: UTF8.self)).type)
      }
      #expect(types.first == "welcome")
    }
  }

  @Test(arguments: Backend.allCases)
  func requestMayComeByteByByte(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let client = try HTTPTestClient(port: server.port)
      let request = HTTPTestClient.text(
        of: "GET", "/ws", headers: WebSocketTestClient.upgradeHeaders(), port: server.port)
      for byte in request.utf8 { try client.socket.send([byte]) }
      let answer = try client.answer()
      #expect(answer.status == 101)
      // RFC 6455 section 1.3 gives this key's answer.
      #expect(answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }
  }

  @Test func echoSendsBackWhatCameWhereItIsAskedFor() throws {
    try withServer(["--echo"]) { server in
      let client = try WebSocketTestClient(
        port: server.port, path: "/echo", headers: ["Sec-WebSocket-Protocol": ""])
      for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 * 7) }
        try client.send(opcode: WebSocketTestFrame.Opcode.binary, payload)
        #expect(try client.nextMessage() == payload)
      }
    }
  }
}
