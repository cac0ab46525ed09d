import Testing
import WebSocket

private let key = "dGhlIHNhbXBsZSBub25jZQ=="

/// An upgrade request; fields of the same name replace the usual ones, nil leaves them out.
private func upgrade(
  _ changed: [String: String?] = [:], extra: String = "", line: String = "GET /ws HTTP/1.1"
) -> String {
  let usual = [
    ("Host", "localhost"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", key),
  ]
  var text = line + "\r\n"
  for (name, value) in usual {
    if let value = changed[name, default: value] { text += "\(name): \(value)\r\n" }
  }
  return text + extra + "\r\n"
}

/// The answer of 101 as lines, or the status of the refusal.
private func answered(
  _ text: String, subprotocol: StaticString? = "fastchat.v1", deflate: Bool = false
) throws -> (lines: [String], status: Int) {
  try withRequest(text) { request in
    switch Handshake.judge(request, subprotocol: subprotocol, deflate: deflate) {
    case .refused(let status, _): return ([], status.rawValue)
    case .accepted(let handshake):
      var room = [UInt8](repeating: 0, count: Handshake.mostBytes)
      let count = try #require(room.withUnsafeMutableBytes { handshake.write(into: $0) })
      let lines = String(decoding: room[..<count], as: UTF8.self).split(
        separator: "\r\n", omittingEmptySubsequences: false)
      #expect(
        lines.suffix(2) == ["", ""] && (handshake.deflate != nil) == lines.contains { $0.contains("deflate") }
      )
      return (lines.dropLast(2).map(String.init), 101)
    }
  }
}

@Suite struct HandshakeTests {
  @Test func `the example of RFC 6455 is answered`() throws {
    #expect(
      try answered(upgrade()).lines == [
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
      ])
  }

  @Test func `tokens are found in lists, whatever their case`() throws {
    let request = upgrade(["Upgrade": "h2c, WebSocket", "Connection": "keep-alive,  upGrade"])
    #expect(try answered(request).status == 101)
    #expect(
      try answered(upgrade(["Connection": "keep-alive"], extra: "Connection: Upgrade\r\n")).status == 101)
  }

  @Test func `what is no upgrade of ours is refused with its status`() throws {
    let cases: [(String, Int)] = [
      (upgrade(line: "POST /ws HTTP/1.1"), 405), (upgrade(line: "GET /ws HTTP/1.0"), 400),
      (upgrade(["Upgrade": nil]), 426), (upgrade(["Upgrade": "websocket/13"]), 426),
      (upgrade(["Upgrade": "websockets"]), 426), (upgrade(["Connection": nil]), 426),
      (upgrade(["Connection": "upgrades"]), 426), (upgrade(["Sec-WebSocket-Version": nil]), 426),
      (upgrade(["Sec-WebSocket-Version": "8"]), 426), (upgrade(["Sec-WebSocket-Version": "13, 8"]), 426),
      (upgrade(extra: "Sec-WebSocket-Version: 13\r\n"), 400), (upgrade(["Sec-WebSocket-Key": nil]), 400),
      (upgrade(["Sec-WebSocket-Key": ""]), 400), (upgrade(["Sec-WebSocket-Key": "c2hvcnQ="]), 400),
      (upgrade(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=a"]), 400),
      (upgrade(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZSE="]), 400),
      (upgrade(["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j-Q=="]), 400),
      (upgrade(extra: "Sec-WebSocket-Key: \(key)\r\n"), 400),
    ]
    for (request, status) in cases { #expect(try answered(request).status == status, "\(request)") }
  }

  @Test func `the subprotocol is ours or none`() throws {
    func offering(_ list: String) -> String { upgrade(extra: "Sec-WebSocket-Protocol: \(list)\r\n") }
    for list in [
      "fastchat.v1", "x, fastchat.v1", "fastchat.v1,y", "a\r\nSec-WebSocket-Protocol: fastchat.v1",
    ] {
      #expect(try answered(offering(list)).lines.last == "Sec-WebSocket-Protocol: fastchat.v1")
    }
    for list in ["fastchat.v2", "fastchat", "FASTCHAT.V1", "x, y", ""] {
      #expect(try answered(offering(list)).status == 400)
    }
    let anything = try answered(offering("chat"), subprotocol: nil)
    #expect(anything.status == 101 && !anything.lines.contains { $0.contains("Protocol:") })
  }

  /// The answer to an offer, nil where it is declined.
  private func agreed(_ offer: String) throws -> String? {
    let (lines, status) = try answered(
      upgrade(extra: "Sec-WebSocket-Extensions: \(offer)\r\n"), deflate: true)
    #expect(status == 101)
    let name = "Sec-WebSocket-Extensions: "
    return lines.first { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count)) }
  }

  private static let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

  @Test(arguments: [
    "permessage-deflate", "permessage-deflate; client_max_window_bits",
    "Permessage-Deflate;client_max_window_bits=8",
    "permessage-deflate ; server_no_context_takeover ; client_no_context_takeover",
    "x-webkit-deflate-frame, permessage-deflate", "permessage-deflate; client_max_window_bits=\"10\"",
    "permessage-deflate; unknown, permessage-deflate",
    "x; y=\"a, permessage-deflate; z\", permessage-deflate",
    "permessage-deflate; server_max_window_bits=8, permessage-deflate",
    "permessage-deflate; server_max_window_bits=99\r\nSec-WebSocket-Extensions: permessage-deflate",
  ]) func `the first acceptable offer is taken`(offer: String) throws {
    #expect(try agreed(offer) == Self.plain)
  }

  @Test func `a window that the client demands is kept to and named`() throws {
    for bits in 9...15 {
      #expect(
        try agreed("permessage-deflate; server_max_window_bits=\(bits)")
          == "\(Self.plain); server_max_window_bits=\(bits)")
    }
    #expect(
      try agreed("permessage-deflate; server_max_window_bits=10, permessage-deflate")
        == "\(Self.plain); server_max_window_bits=10")
  }

  @Test(arguments: [
    "permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=09", "permessage-deflate; server_max_window_bits=1x",
    "permessage-deflate; server_max_window_bits=\"\"", "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=08", "permessage-deflate; client_max_window_bits=",
    "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_no_context_takeover=true",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "permessage-deflate; unknown",
    "permessage-deflate;", "permessage-deflate; =10", "permessage-deflate x", "permessage-deflat", "", ",,",
    "permessage-deflate; client_max_window_bits=\"10", "x-webkit-deflate-frame",
  ]) func `what is malformed or cannot be is declined and the handshake goes on`(offer: String) throws {
    #expect(try agreed(offer) == nil)
  }

  @Test func `deflate is not agreed on where it is off`() throws {
    let request = upgrade(extra: "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    #expect(try !answered(request, deflate: false).lines.contains { $0.contains("Extensions") })
  }
}

@Suite struct ClientHandshakeTests {
  private static let nonce = (UInt64(0x0102_0304_0506_0708), UInt64.max)

  private func judged(_ client: inout ClientHandshake, _ text: String) -> String {
    Array(text.utf8).withUnsafeBytes { bytes in
      switch client.judge(bytes) {
      case .needMore: "more"
      case .accepted(let deflate, let length): "accepted \(deflate?.serverWindowBits ?? 0) \(length)"
      case .refused(let status, _): "refused \(status ?? 0)"
      }
    }
  }

  /// Lets a client of ours meet the server of ours; what the client makes of the answer, changed by `edit`.
  private func meet(
    subprotocol: StaticString? = "fastchat.v1", deflate: Bool = true, _ edit: (String) -> String = { $0 }
  ) throws -> String {
    var client = ClientHandshake(nonce: Self.nonce, subprotocol: subprotocol, deflate: deflate)
    var room = [UInt8](repeating: 0, count: 1000)
    let size = try #require(
      room.withUnsafeMutableBytes {
        client.write(host: "[::1]:80", target: "/ws?a=b", fields: "Authorization: Bearer t\r\n", into: $0)
      })
    let answer = try withRequest(String(decoding: room[..<size], as: UTF8.self)) { request in
      #expect(request.bearerToken.map(string) == "t" && string(request.host) == "[::1]:80")
      guard
        case .accepted(let handshake) = Handshake.judge(request, subprotocol: "fastchat.v1", deflate: true)
      else {
        return ""
      }
      var room = [UInt8](repeating: 0, count: Handshake.mostBytes)
      let count = try #require(room.withUnsafeMutableBytes { handshake.write(into: $0) })
      return String(decoding: room[..<count], as: UTF8.self)
    }
    let edited = edit(answer)
    for cut in 0..<edited.utf8.count where edited == answer {
      #expect(judged(&client, String(decoding: edited.utf8.prefix(cut), as: UTF8.self)) == "more")
    }
    let outcome = judged(&client, edited + "frames")
    return outcome.replacing(" \(edited.utf8.count)", with: "")
  }

  @Test func `our two ends understand each other`() throws {
    #expect(try meet() == "accepted 15")
    #expect(try meet(subprotocol: nil) == "accepted 15")
    #expect(try meet(deflate: false) == "accepted 0")
    #expect(try meet { $0.replacing("\r\n\r\n", with: "\r\nServer: x\r\n\r\n") } == "accepted 15")
    #expect(try meet { $0.replacing("Upgrade: websocket", with: "upgrade: WebSocket") } == "accepted 15")
    let named = try meet {
      $0.replacing("_context_takeover\r\n", with: "_context_takeover; server_max_window_bits=11\r\n")
    }
    #expect(named == "accepted 11")
  }

  @Test func `an answer that is not the one awaited is refused`() throws {
    #expect(try meet { $0.replacing("101", with: "200") } == "refused 200")
    #expect(
      try meet { _ in "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n" } == "refused 503")
    #expect(try meet { _ in "SSH-2.0-x\r\n\r\n" } == "refused 0")
    #expect(try meet { _ in "\u{15}\u{3}" } == "refused 0")
    #expect(try meet { $0.replacing("Upgrade: websocket", with: "Upgrade: h2c") } == "refused 101")
    #expect(try meet { $0.replacing("Connection: Upgrade", with: "Connection: close") } == "refused 101")
    #expect(try meet { $0.replacing("Accept: ", with: "Accept: x") } == "refused 101")
    #expect(try meet { $0.replacing("Sec-WebSocket-Accept", with: "X") } == "refused 101")
    #expect(try meet { $0.replacing("fastchat.v1", with: "fastchat.v2") } == "refused 101")
    #expect(try meet { $0.replacing("permessage-deflate", with: "x-other") } == "refused 101")
    #expect(try meet { $0.replacing(" server_no_context_takeover;", with: "") } == "refused 101")
    let named = "\r\nSec-WebSocket-Protocol: fastchat.v1\r\n\r\n"
    #expect(try meet(subprotocol: nil) { $0.replacing("\r\n\r\n", with: named) } == "refused 101")
    let extended = "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"
    #expect(try meet(deflate: false) { $0.replacing("\r\n\r\n", with: extended) } == "refused 101")
  }
}

@Suite struct OriginRuleTests {
  private func allows(_ origin: String?, host: String = "chat.example.com", _ allowed: [String] = []) throws
    -> Bool
  {
    let line = origin.map { "Origin: \($0)\r\n" } ?? ""
    return try withRequest("GET /ws HTTP/1.1\r\nHost: \(host)\r\n\(line)\r\n") {
      OriginRule(allowed: allowed).allows($0)
    }
  }

  @Test func `programs without an origin and pages of the server itself may connect`() throws {
    #expect(try allows(nil))
    #expect(try allows("https://chat.example.com") && allows("http://CHAT.example.com"))
    #expect(try allows("http://localhost:8080", host: "localhost:8080"))
    #expect(try allows("https://chat.example.com", host: "chat.example.com:443"))
    #expect(try allows("http://chat.example.com:80") && allows("http://[::1]:9", host: "[::1]:9"))
  }

  @Test func `pages from elsewhere may not, unless they are listed`() throws {
    for origin in [
      "https://evil.example", "https://chat.example.com.evil.example", "https://xchat.example.com", "null",
      "",
      "http://chat.example.com:8080", "https://chat.example.com:80", "ftp://chat.example.com",
      "chat.example.com",
      "https://", "https://chat.example.com/", "https://chat.example.com\r\nOrigin: https://chat.example.com",
    ] {
      #expect(try !allows(origin), "\(origin)")
    }
    #expect(try allows("https://app.example", ["https://x.example", "https://App.example"]))
    #expect(try !allows("http://app.example", ["https://app.example"]))
    #expect(try !allows("https://app.example:444", ["https://app.example"]))
  }

  @Test func `only names of the machine itself are loopback`() {
    func isLoopback(_ host: String) -> Bool { Array(host.utf8).withUnsafeBytes { HostRule.isLoopback($0) } }
    for host in [
      "localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "127.255.255.255:65535", "[::1]",
      "[::1]:8080",
    ] {
      #expect(isLoopback(host), "\(host)")
    }
    for host in [
      "", "example.com", "localhost.example.com", "127.0.0.1.example.com", "128.0.0.1", "127.0.0",
      "127.0.0.256",
      "127.0.0.", "127..0.1", "0127.0.0.1", "localhost:", "localhost:x", "localhost:65536", "localhost:80:80",
      "[::2]", "[::1", "::1", "[::1]x", "[::1]:", "xlocalhost", "10.127.0.1",
    ] {
      #expect(!isLoopback(host), "\(host)")
    }
  }
}
