import Glibc
import Support
import Synchronization
import Testing

/// Servers that are none, storage that is full or forbidden, tokens that expire: each is said with what to do,
/// and nothing that was written is lost.
@Suite(.serialized) struct TroubleTests {
  /// What stands in place of a server, and what the SDK says of it.
  private struct Case: Sendable {
    let name: String
    let kind: String
    let words: String
    let answer: @Sendable (Int32) -> Void
  }

  /// Keeps the connection until the other side ends it.
  private static let hold: @Sendable (Int32) -> Void = { socket in
    var byte: UInt8 = 0
    while recv(socket, &byte, 1, 0) > 0 {}
  }

  private static func says(_ text: String) -> @Sendable (Int32) -> Void {
    { socket in
      _ = FakeServer.request(from: socket)
      FakeServer.write(Array(text.utf8), to: socket)
    }
  }

  /// A WebSocket that says this.
  private static func frames(_ bytes: [UInt8]) -> @Sendable (Int32) -> Void {
    { socket in
      FakeServer.upgrade(socket)
      FakeServer.write(bytes, to: socket)
      hold(socket)
    }
  }

  private static let cases: [Case] = [
    Case(
      name: "a web page", kind: "not-fastchat", words: "a web page answers",
      answer: says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")),
    Case(
      name: "not found", kind: "not-fastchat", words: "the path of a FastChat server is /ws",
      answer: says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
    Case(
      name: "elsewhere", kind: "not-fastchat", words: "sends us elsewhere",
      answer: says("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")),
    Case(
      name: "no room", kind: "network", words: "no room now",
      answer: says("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")),
    Case(
      name: "another origin's", kind: "network", words: "--origins",
      answer: says("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")),
    Case(
      name: "no HTTP", kind: "network", words: "cannot be reached",
      answer: { FakeServer.write(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8), to: $0) }),
    Case(name: "silence", kind: "network", words: "says nothing", answer: hold),
    Case(
      name: "no hello", kind: "network", words: "does not answer hello",
      answer: {
        FakeServer.upgrade($0)
        hold($0)
      }),
    Case(
      name: "no subprotocol", kind: "not-fastchat", words: "but not fastchat.v1",
      answer: { socket in
        let request = FakeServer.request(from: socket)
        guard request.contains("Sec-WebSocket-Key") else {
          return FakeServer.write(
            Array("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n".utf8), to: socket)
        }
        FakeServer.upgrade(socket, subprotocol: nil, request: request)
      }),
    Case(
      name: "another subprotocol", kind: "network", words: "no WebSocket gets through",
      answer: { socket in
        let request = FakeServer.request(from: socket)
        guard request.contains("Sec-WebSocket-Key") else {
          return FakeServer.write(
            Array("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n".utf8), to: socket)
        }
        FakeServer.upgrade(socket, subprotocol: "other.v1", request: request)
      }),
    Case(
      name: "text", kind: "broken-protocol", words: "no frame of the protocol (hello)",
      answer: frames(FakeServer.text("hello"))),
    Case(
      name: "binary", kind: "broken-protocol", words: "binary data",
      answer: frames(FakeServer.frame(2, [1, 2]))),
    Case(
      name: "early", kind: "broken-protocol", words: "before it has welcomed us",
      answer: frames(FakeServer.text(#"{"type":"live"}"#))),
    Case(
      name: "wrong fields", kind: "broken-protocol", words: "no frame of the protocol",
      answer: frames(FakeServer.welcome + FakeServer.text(#"{"type":"message","seq":"x"}"#))),
    Case(
      name: "draining", kind: "network", words: "retry at 12",
      answer: frames(FakeServer.welcome + FakeServer.close(4000, "retry=12345 draining"))),
    Case(
      name: "refused", kind: "unauthorized", words: "give an access token",
      answer: frames(
        FakeServer.text(#"{"type":"error","code":"unauthorized","message":"no"}"#) + FakeServer.close(4500))),
    Case(
      name: "expired", kind: "unauthorized", words: "the access token has expired",
      answer: frames(FakeServer.welcome + FakeServer.close(4501))),
    Case(
      name: "ended", kind: "ended", words: "administrator",
      answer: frames(FakeServer.welcome + FakeServer.close(4502))),
    Case(
      name: "abuse", kind: "ended", words: "abuse",
      answer: frames(FakeServer.welcome + FakeServer.close(4503))),
    Case(
      name: "replaced", kind: "replaced", words: "device of its own",
      answer: frames(FakeServer.welcome + FakeServer.close(4504))),
  ]

  @Test func whatIsNoServerIsSaidWithWhatToDo() throws {
    try withServer { server in
      let proxy = try CuttingProxy(to: server.port, isCutting: false)
      defer { proxy.stop() }
      try withWebDriver { driver in
        let page = try driver.browser()
        try page.go(to: "http://127.0.0.1:\(proxy.port)/")
        for trouble in Self.cases {
          let fake = try FakeServer { socket, _ in trouble.answer(socket) }
          proxy.aim(at: fake.port)
          let told = try page.run(
            """
            return import("/sdk/fastchat.js").then(({ ChatClient, MemoryStorage }) => new Promise(async (resolve) => {
              const times = { open: 2_000, welcome: 2_000, watch: 100, diagnosis: 2_000, backOffFirst: 60_000, backOffMax: 60_000 };
              const client = await ChatClient.open({ user: "alice", storage: new MemoryStorage(), times,
                onEvent: ({ type, phase, error, retryAt }) => {
                  if (type !== "state" || !error) return;
                  const retry = phase === "waiting" ? ` retry at ${Math.round((retryAt - Date.now()) / 1000)}` : "";
                  last = `${error.kind}: ${error.message}; ${error.advice}${retry}`;
                  if (last.includes(arguments[0])) end();
                } });
              let last = "nothing was said";
              const end = () => { resolve(last); client.stop(); };
              setTimeout(end, 10_000);
              client.start();
            }));
            """, trouble.words
          ).string
          #expect(
            told?.hasPrefix("\(trouble.kind): ") == true && told?.contains(trouble.words) == true,
            "\(trouble.name): \(told ?? "?")")
          proxy.cutAll()
          fake.stop()
        }
      }
    }
  }

  @Test func aTokenThatExpiresIsAskedForAgain() throws {
    try withServer { server in
      let proxy = try CuttingProxy(to: server.port, isCutting: false)
      defer { proxy.stop() }
      try withWebDriver { driver in
        let page = try driver.browser()
        try page.go(to: "http://127.0.0.1:\(proxy.port)/")
        let connections = Atomic(0)
        let fake = try FakeServer { socket, _ in
          FakeServer.upgrade(socket)
          let count = connections.wrappingAdd(1, ordering: .relaxed).oldValue
          FakeServer.write(FakeServer.welcome, to: socket)
          FakeServer.write(
            count == 0 ? FakeServer.close(4501) : FakeServer.text(#"{"type":"live"}"#), to: socket)
          Self.hold(socket)
        }
        proxy.aim(at: fake.port)
        let asked = try page.strings(
          """
          import("/sdk/fastchat.js").then(({ ChatClient, MemoryStorage }) => new Promise(async (resolve) => {
            const asked = [];
            const client = await ChatClient.open({ user: "alice", storage: new MemoryStorage(),
              token: async (refused) => `token ${asked.push(refused?.kind ?? "the first")}`,
              onEvent: ({ type, phase, error }) => {
                if (phase === "ended") asked.push(`ended: ${error}`);
                if (phase === "live" || phase === "ended") resolve(asked);
              } });
            client.start();
          }))
          """)
        #expect(asked == ["the first", "unauthorized"])
        proxy.cutAll()
        fake.stop()
      }
    }
  }

  @Test func whatWasWrittenSurvivesAServerThatIsNoneAndASessionThatEnds() throws {
    try withServer { server in
      let proxy = try CuttingProxy(to: server.port, isCutting: false)
      defer { proxy.stop() }
      try withWebDriver { driver in
        let page = try driver.browser()
        try page.signIn(at: proxy.port, as: "alice")
        try page.openChat("bob")
        let captive = try FakeServer { socket, _ in
          Self.says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")(socket)
        }
        proxy.aim(at: captive.port)
        proxy.cutAll()
        try page.write("behind a captive portal")
        try page.wait(until: "document.querySelector('#status').textContent.includes('web page answers')")
        try page.picture("desktop-trouble")
        let expired = try FakeServer { socket, _ in Self.frames(FakeServer.close(4501))(socket) }
        proxy.aim(at: expired.port)
        try page.click("#status-action")
        try page.wait(until: "document.querySelector('#signin-error').textContent.includes('has expired')")
        try page.wait(until: "document.querySelector('#signin-error').textContent.includes('not sent yet')")
        try page.picture("desktop-expired")
        proxy.aim(at: server.port)
        proxy.cutAll()
        try page.click("#signin-form [type=submit]")
        try page.waitUntilLive()
        let witness = try server.attach("bob", "witness", cursors: #"{"*":0}"#)
        #expect(try witness.wholeHistory("dm:alice:bob").count == 1)
        captive.stop()
        expired.stop()
      }
    }
  }

  @Test func storageThatIsForbiddenIsSaidAndMessagesGoAllTheSame() throws {
    try withServer { server in
      try withWebDriver { driver in
        let page = try driver.browser(isStorageForbidden: true)
        try page.signIn(to: server, as: "alice")
        try page.openChat("bob")
        try page.wait(until: "document.querySelector('#status').textContent.includes('forbids')")
        try page.write("kept by nobody but the server")
        try page.wait(until: "document.querySelector('.own')?.dataset.tick === 'stored'")
        try page.picture("desktop-forbidden")
      }
    }
  }

  @Test func storageThatIsFullIsSaidUntilThereIsRoomAgain() throws {
    try withServer { server in
      try withWebDriver { driver in
        let page = try driver.browser()
        let origin = "http://127.0.0.1:\(server.port)"
        try page.go(to: origin)
        try page.tool("Storage.overrideQuotaForOrigin", #"{"origin":"\#(origin)","quotaSize":1}"#)
        try page.signIn(to: server, as: "alice")
        try page.openChat("bob")
        try page.write("where there is no room")
        try page.wait(until: "document.querySelector('#status').textContent.includes('storage is full')")
        try page.wait(until: "document.querySelector('.own')?.dataset.tick === 'stored'")
        try page.tool("Storage.overrideQuotaForOrigin", #"{"origin":"\#(origin)"}"#)
        try page.write("where there is")
        try page.wait(until: "document.querySelector('#status').hidden")
        try page.reload()
        try page.waitForMessages(2)
        #expect(
          try page.messages() == ["alice: where there is no room", "alice: where there is"])
      }
    }
  }
}
