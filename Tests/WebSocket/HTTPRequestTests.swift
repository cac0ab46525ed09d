import Testing
import WebSocket

/// What the parser makes of a request, as values.
enum Answer: Equatable {
  case needMore
  case refused(HTTPStatus)
  case request(method: HTTPRequest.Method, path: String, query: String?, host: String, length: Int)
}

func string(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

/// Runs `body` with the parsed request, whose bytes are at hand meanwhile.
func withRequest<Result>(_ text: String, _ body: (HTTPRequest) throws -> Result) throws -> Result {
  try Array(text.utf8).withUnsafeBytes { bytes in
    guard case .complete(let request, length: bytes.count) = HTTPRequest.parse(bytes) else {
      throw RequestRefused(text: text)
    }
    return try body(request)
  }
}

struct RequestRefused: Error { let text: String }

private func answer(_ parsed: HTTPRequest.Parsed) -> Answer {
  switch parsed {
  case .needMore: .needMore
  case .refused(let status): .refused(status)
  case .complete(let request, let length):
    .request(
      method: request.method, path: string(request.path), query: request.query.map(string),
      host: string(request.host), length: length)
  }
}

/// Parses the bytes as they come in pieces that end at `cuts`, in a buffer that moves each time.
private func parsed(_ bytes: [UInt8], cuts: [Int] = []) -> Answer {
  var progress = HTTPHead()
  for cut in cuts + [bytes.count] {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: cut, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes[..<cut])
    let result = answer(HTTPRequest.parse(UnsafeRawBufferPointer(copy), progress: &progress))
    if result != .needMore { return result }
  }
  return .needMore
}

private func parsed(_ text: String) -> Answer {
  let bytes = Array(text.utf8)
  let whole = parsed(bytes)
  let single = parsed(bytes, cuts: Array(0..<bytes.count))
  if whole != single { Issue.record("byte by byte \(single), whole \(whole): \(text)") }
  return whole
}

@Suite struct HTTPRequestTests {
  @Test func `a request is taken apart and what follows it is left alone`() throws {
    let head =
      "GET /ws?token=a%20b&x=1 HTTP/1.1\r\nHost: localhost:8080\r\nAccept:text/html \r\nX-Empty:\r\n\r\n"
    let expected = Answer.request(
      method: .get, path: "/ws", query: "token=a%20b&x=1", host: "localhost:8080", length: head.utf8.count)
    #expect(parsed(head) == expected)
    #expect(parsed(head + "\u{1}\u{2}pipelined") == expected)
    for cut in 0..<head.utf8.count { #expect(parsed(Array(head.utf8), cuts: [cut]) == expected) }
    for cut in 0..<head.utf8.count { #expect(parsed(Array(head.utf8.prefix(cut))) == .needMore) }
    try withRequest(head) { request in
      #expect(request.fields.value("ACCEPT").map(string) == "text/html")
      #expect(request.fields.value("x-empty").map(string) == "")
      #expect(request.fields.value("x-absent") == nil)
      #expect(request.acceptsHTML && request.keepsAlive && !request.isUpgrade && request.isPath("/ws"))
      #expect(request.queryValue("token").map(string) == "a%20b")
      #expect(request.queryValue("x").map(string) == "1")
      #expect(request.queryValue("toke") == nil)
    }
  }

  @Test func `methods, versions and what depends on them`() throws {
    for (word, method) in [
      ("GET", HTTPRequest.Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
      ("OPTIONS", .options), ("get", .other), ("BREW", .other),
    ] {
      try withRequest("\(word) / HTTP/1.1\r\nHost: x\r\n\r\n") { #expect($0.method == method) }
    }
    try withRequest("GET / HTTP/1.0\r\n\r\n") {
      #expect($0.version == .http10 && !$0.keepsAlive && $0.host.isEmpty)
    }
    try withRequest("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n") { #expect(!$0.keepsAlive) }
    try withRequest("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n") { #expect($0.query == nil) }
    try withRequest("GET /a/b?? HTTP/1.1\r\nHost: x\r\n\r\n") { request in
      #expect(request.path(after: "/a/").map(string) == "b" && request.path(after: "/b") == nil)
      #expect(request.query.map(string) == "?")
    }
  }

  @Test(arguments: [
    "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /  HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "GET /\r\nHost: x\r\n\r\n",
    "GET\r\n\r\n", "GET / http/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/11\r\nHost: x\r\n\r\n",
    "G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET x HTTP/1.1\r\nHost: x\r\n\r\n", "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /é HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /\t HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\r\nHost: x\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\n",
    "GET / HTTP/1.1\rHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n",
    "GET / HTTP/1.1\r\nHo\u{0}st: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nA: b\u{7F}\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: b\u{0}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: x\r\n\r\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost\r\n\r\n",
    "GET / HTTP/1.1\r\n: x\r\n\r\n", "GET / HTTP/1.1\r\nH st: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a@x\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "{}", "\0",
  ]) func `what is not plain HTTP is refused with 400`(text: String) {
    #expect(parsed(text) == .refused(.badRequest))
  }

  @Test func `other versions of HTTP are refused with 505`() {
    #expect(parsed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == .refused(.httpVersionNotSupported))
    #expect(parsed("GET / HTTP/2.0\r\nHost: x\r\n\r\n") == .refused(.httpVersionNotSupported))
    #expect(parsed("GET / HTTP/1.2\r\nHost: x\r\n\r\n") == .refused(.httpVersionNotSupported))
  }

  @Test func `the request line, the fields and the head are bounded`() {
    func line(_ count: Int) -> String {
      let rest = "GET / HTTP/1.1\r\n".utf8.count
      return "GET /\(String(repeating: "a", count: count - rest)) HTTP/1.1\r\n"
    }
    let host = "Host: x\r\n"
    #expect(parsed(line(HTTPHead.mostLineBytes) + host + "\r\n") != .refused(.requestHeaderFieldsTooLarge))
    #expect(
      parsed(line(HTTPHead.mostLineBytes + 2) + host + "\r\n") == .refused(.requestHeaderFieldsTooLarge))
    // Endless without a line end.
    #expect(parsed("GET /" + String(repeating: "a", count: 9000)) == .refused(.requestHeaderFieldsTooLarge))

    func fields(_ count: Int) -> String { String(repeating: "a: b\r\n", count: count) }
    let start = "GET / HTTP/1.1\r\n" + host
    if case .refused = parsed(start + fields(HTTPHead.mostFields - 1) + "\r\n") { Issue.record("100 fields") }
    #expect(parsed(start + fields(HTTPHead.mostFields) + "\r\n") == .refused(.requestHeaderFieldsTooLarge))

    func padded(_ count: Int) -> String {
      start + "a: " + String(repeating: "b", count: count - start.utf8.count - 7) + "\r\n\r\n"
    }
    if case .refused = parsed(padded(HTTPHead.mostBytes)) { Issue.record("a head of 16 KiB") }
    #expect(parsed(padded(HTTPHead.mostBytes + 1)) == .refused(.requestHeaderFieldsTooLarge))
  }

  @Test func `a bearer token is found, whatever the case of the scheme`() throws {
    try withRequest("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: bearer a.b.c\r\n\r\n") {
      #expect($0.bearerToken.map(string) == "a.b.c")
    }
    for value in ["Basic abc", "Bearer", "Bearerabc", "Bearer a\r\nAuthorization: Bearer b"] {
      try withRequest("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: \(value)\r\n\r\n") {
        #expect($0.bearerToken == nil)
      }
    }
  }

  @Test func `mutated requests never fault and are judged alike however they are cut`() {
    var random = Seeded(state: 0x477)
    let base =
      "GET /ws?token=x HTTP/1.1\r\nHost: localhost:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    let tokens = [
      "\r\n", "\r", "\n", ":", " ", "\t", "Host: y\r\n", "Content-Length: 1\r\n", "HTTP/1.0", "?", "\0", "é",
    ]
    var refused = 0
    var complete = 0
    for _ in 0..<20_000 {
      var bytes = Array(base.utf8)
      for _ in 0...random.below(3) {
        let at = random.below(bytes.count)
        switch random.below(3) {
        case 0: bytes.remove(at: at)
        case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        default: bytes.insert(contentsOf: Array(tokens[random.below(tokens.count)].utf8), at: at)
        }
      }
      let whole = parsed(bytes)
      let cuts = (0..<random.below(8)).map { _ in random.below(bytes.count + 1) }.sorted()
      if parsed(bytes, cuts: cuts) != whole {
        Issue.record("cuts \(cuts): \(String(decoding: bytes, as: UTF8.self))")
      }
      if case .refused = whole { refused += 1 }
      if case .request = whole { complete += 1 }
    }
    #expect(refused > 1000 && complete > 1000)
  }
}

@Suite struct HTTPResponseTests {
  private func written(_ write: (UnsafeMutableRawBufferPointer) -> Int?) -> String? {
    var room = [UInt8](repeating: 0, count: HTTPResponse.mostHeadBytes)
    guard let count = room.withUnsafeMutableBytes({ write($0) }) else { return nil }
    return String(decoding: room[..<count], as: UTF8.self)
  }

  @Test func `an answer has its status, length, type and body`() {
    let response = HTTPResponse(.ok, contentType: "application/json", fields: "X-A: b\r\n", closes: false)
    let body = Array(#"{"a":1}"#.utf8)
    #expect(
      written { room in body.withUnsafeBytes { response.write(body: $0, into: room) } }
        == "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Type: application/json\r\nX-A: b\r\n\r\n{\"a\":1}"
    )
    #expect(
      written { response.writeHead(contentLength: 123_456, into: $0) }
        == "HTTP/1.1 200 OK\r\nContent-Length: 123456\r\nContent-Type: application/json\r\nX-A: b\r\n\r\n")
  }

  @Test func `a refusal closes and says what its status asks for`() {
    for status in [
      HTTPStatus.badRequest, .forbidden, .notFound, .methodNotAllowed, .upgradeRequired,
      .requestHeaderFieldsTooLarge, .serviceUnavailable, .httpVersionNotSupported, .internalServerError,
    ] {
      let text = written { HTTPResponse.refuse(status, into: $0) } ?? ""
      #expect(text.hasPrefix("HTTP/1.1 \(status.rawValue) \(status.reason)\r\n"))
      #expect(text.contains("\r\nConnection: close"))
      #expect(text.hasSuffix("\r\n\r\n\(status.reason)"))
      #expect(text.contains("\r\nAllow: ") == (status == .methodNotAllowed))
      #expect(text.contains("\r\nSec-WebSocket-Version: 13\r\n") == (status == .upgradeRequired))
      #expect(text.contains("\r\nUpgrade: websocket\r\n") == (status == .upgradeRequired))
      #expect(text.contains("\r\nRetry-After: ") == (status == .serviceUnavailable))
    }
  }

  @Test func `an answer that does not fit is not written`() {
    for size in [0, 1, 20, 60] {
      var room = [UInt8](repeating: 0, count: size)
      #expect(room.withUnsafeMutableBytes { HTTPResponse.refuse(.notFound, into: $0) } == nil)
    }
  }
}

@Suite struct PercentEncodingTests {
  private func decoded(_ text: String, room size: Int? = nil) -> String? {
    var room = [UInt8](repeating: 0, count: size ?? text.utf8.count)
    let count = Array(text.utf8).withUnsafeBytes { text in
      room.withUnsafeMutableBytes { PercentEncoding.decode(text, into: $0) }
    }
    return count.map { String(decoding: room[..<$0], as: UTF8.self) }
  }

  @Test func `escapes are decoded and all else stands`() {
    #expect(decoded("") == "")
    #expect(decoded("eyJ.a-b_c~") == "eyJ.a-b_c~")
    #expect(decoded("a%20b%2Bc+d%c3%A9") == "a b+c+dé")
    #expect(decoded("%25%00") == "%\u{0}")
  }

  @Test(arguments: ["%", "a%", "%4", "%G0", "%0G", "%%41", "% 41"]) func `a broken escape gives nothing`(
    text: String
  ) {
    #expect(decoded(text) == nil)
  }

  @Test func `too little room gives nothing`() {
    #expect(decoded("a%41", room: 2) == "aA")
    #expect(decoded("a%41", room: 1) == nil)
  }
}
