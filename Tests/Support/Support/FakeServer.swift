import Foundation
import Glibc

/// A server on the loopback that answers each connection with what the test gives it.
public final class FakeServer: Sendable {
  public let port: UInt16
  private let listener: Int32

  /// - Parameter answer: is given each connection's socket, and how many there were before; the socket is
  ///   closed when it returns.
  public init(_ answer: @escaping @Sendable (Int32, Int) -> Void) throws {
    (listener, port) = try CuttingProxy.listen()
    let listener = listener
    let thread = Thread {
      var count = 0
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        // Each by itself: browsers open connections that they may need later, and say nothing there.
        let number = count
        Thread {
          answer(client, number)
          Glibc.close(client)
        }.start()
        count += 1
      }
    }
    thread.start()
  }

  public func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  deinit { Glibc.close(listener) }

  public static func write(_ bytes: [UInt8], to socket: Int32) {
    _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// What came up to the end of the request's head.
  public static func request(from socket: Int32) -> String {
    var text = ""
    var room = [UInt8](repeating: 0, count: 4_096)
    while !text.contains("\r\n\r\n") {
      let count = recv(socket, &room, room.count, 0)
      guard count > 0 else { break }
      text += String(decoding: room[..<count], as: UTF8.self)
    }
    return text
  }

  /// Upgrades a connection, whose request is read here unless it is given.
  public static func upgrade(
    _ socket: Int32, subprotocol: String? = "fastchat.v1", request: String? = nil
  ) {
    let key = (request ?? self.request(from: socket)).split(separator: "\r\n").first {
      $0.hasPrefix("Sec-WebSocket-Key: ")
    }?
    .dropFirst(19)
    let accept = Data(sha1(Array("\(key ?? "")258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)))
      .base64EncodedString()
    let chosen = subprotocol.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? ""
    write(
      Array(
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\(chosen)"
          + "Sec-WebSocket-Accept: \(accept)\r\n\r\n").utf8), to: socket)
  }

  /// A server's frame.
  public static func frame(_ opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
    payload.count < 126
      ? [0x80 | opcode, UInt8(payload.count)] + payload
      : [0x80 | opcode, 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)] + payload
  }

  public static func text(_ text: String) -> [UInt8] { frame(1, Array(text.utf8)) }

  public static func close(_ code: UInt16, _ reason: String = "") -> [UInt8] {
    frame(8, [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8))
  }

  public static let welcome = text(
    #"{"type":"welcome","user":"alice","device":"d","session":"s","server":"s1","log":"l","time":1,"heartbeat":25,"#
      + #""limits":{"frame":65536,"rate":50,"dedupe":300000},"chats":[],"more":false}"#)
}
