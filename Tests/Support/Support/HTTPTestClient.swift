/// One answer to a plain request.
public struct HTTPAnswer: Sendable {
  public let status: Int
  /// Names in lower case; of a repeated one the last.
  public let headers: [String: String]
  public let body: [UInt8]

  public var text: String { String(decoding: body, as: UTF8.self) }
}

/// HTTP/1.1 over one connection, as plain as the tests need it: a body has a length or goes to the end.
public final class HTTPTestClient {
  public let socket: TestSocket
  private let port: UInt16
  private var buffer: [UInt8] = []

  public init(port: UInt16, receiveBuffer: Int32? = nil, patience: Deadline = .usual) throws {
    self.port = port
    socket = try TestSocket(port: port, receiveBuffer: receiveBuffer, patience: patience)
  }

  /// One request on a connection of its own.
  public static func get(_ path: String, port: UInt16, headers: [String: String] = [:]) throws -> HTTPAnswer {
    try HTTPTestClient(port: port).request("GET", path, headers: headers)
  }

  /// - Parameter headers: beside `Host`, which is the server's address unless given.
  public func request(
    _ method: String, _ path: String, headers: [String: String] = [:]
  ) throws -> HTTPAnswer {
    try send(raw: Self.text(of: method, path, headers: headers, port: port))
    return try answer(to: method)
  }

  public static func text(
    of method: String, _ path: String, headers: [String: String], port: UInt16
  ) -> String {
    var headers = headers
    headers["Host"] = headers["Host"] ?? "127.0.0.1:\(port)"
    let lines = headers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)\r\n" }
    return "\(method) \(path) HTTP/1.1\r\n\(lines.joined())\r\n"
  }

  public func send(raw text: String) throws { try socket.send(Array(text.utf8)) }

  /// The next answer on this connection; an answer to HEAD, and 1xx, 204 and 304, have no body.
  public func answer(to method: String = "GET", _ deadline: Deadline = .usual) throws -> HTTPAnswer {
    let (status, headers) = try head(deadline)
    var body: [UInt8] = []
    if method != "HEAD", status >= 200, status != 204, status != 304 {
      if let length = headers["content-length"].flatMap({ Int($0) }) {
        while buffer.count < length { try more(deadline) }
        body = Array(buffer.prefix(length))
        buffer.removeFirst(length)
      } else {
        body = try buffer + socket.receiveToEnd(deadline)
        buffer = []
      }
    }
    return HTTPAnswer(status: status, headers: headers, body: body)
  }

  /// Whether the server has ended the connection, waited for until the deadline.
  public func isClosed(_ deadline: Deadline = .usual) throws -> Bool {
    try buffer.isEmpty && socket.receive(atMost: 1, deadline).isEmpty
  }

  /// What was received behind the last answer; the connection is the caller's from here.
  func leftover() -> [UInt8] {
    defer { buffer = [] }
    return buffer
  }

  private func head(_ deadline: Deadline) throws -> (Int, [String: String]) {
    while true {
      if let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
        let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).components("\r\n")
        buffer.removeSubrange(..<end.upperBound)
        let words = lines[0].components(" ")
        guard words.count >= 2, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
          throw TestFailure("not a status line: \(lines[0])")
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
          guard let colon = line.firstIndex(of: ":") else { throw TestFailure("not a header: \(line)") }
          headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].trimmed)
        }
        return (status, headers)
      }
      guard buffer.count < 65_536 else { throw TestFailure("a head without end") }
      try more(deadline)
    }
  }

  private func more(_ deadline: Deadline) throws {
    let bytes = try socket.receive(atMost: 65_536, deadline)
    guard !bytes.isEmpty else {
      throw TestFailure("closed after \(String(decoding: buffer.prefix(200), as: UTF8.self))")
    }
    buffer += bytes
  }
}

extension String {
  fileprivate func components(_ separator: String) -> [String] {
    split(separator: separator, omittingEmptySubsequences: false).map { String($0) }
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    let rest = drop { $0 == " " }
    return rest[..<(rest.lastIndex { $0 != " " }.map { rest.index(after: $0) } ?? rest.startIndex)]
  }
}
