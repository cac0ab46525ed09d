import Glibc
import JSON

/// Makes sessions of connections: `hello`, `welcome`, `live`.
struct Attaching {
  /// Users of another run are other users: the store remembers.
  private let prefix: String
  private let wire: Wire

  init(_ name: String, _ wire: Wire) {
    prefix = "load-\(getpid())-\(monotonicNanoseconds() / 1_000_000)-\(name)"
    self.wire = wire
  }

  func user(_ client: Int) -> String { "\(prefix)-\(client)" }

  func room() -> String { "room:\(prefix)" }

  func hello(_ client: Int) throws(LoadError) {
    var text = ByteBuffer()
    text.append("{\"type\":\"hello\",\"device\":\"load\",\"user\":\"")
    text.append(user(client))
    text.append("\"}")
    try wire.send(client, text)
  }

  /// Whether a frame says that its session is live. Frames that may come before it say nothing.
  func isLive(_ message: UnsafeRawBufferPointer) throws(LoadError) -> Bool {
    try ChatFrame(message).kind == .live
  }
}

/// What a run needs to know of a frame of the server.
struct ChatFrame {
  enum Kind { case live, ack, ok, message, other }

  private(set) var kind = Kind.other
  private(set) var id: UnsafeRawBufferPointer?
  private(set) var seq: Int64 = 0
  private(set) var prev: Int64 = 0
  private(set) var body: UnsafeRawBufferPointer?

  /// Reads a frame. One that tells an error ends the run: here every request is meant to succeed.
  init(_ message: UnsafeRawBufferPointer) throws(LoadError) {
    var isError = false
    do throws(JSONError) {
      var reader = JSONReader(message)
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("type") {
          let type = try reader.string()
          if type.equals("message") {
            kind = .message
          } else if type.equals("ack") {
            kind = .ack
          } else if type.equals("ok") {
            kind = .ok
          } else if type.equals("live") {
            kind = .live
          }
          isError = type.equals("error")
        } else if key.equals("id") {
          id = try reader.string().raw
        } else if key.equals("seq") {
          seq = try reader.integer()
        } else if key.equals("prev") {
          prev = try reader.integer()
        } else if key.equals("body") {
          body = try reader.value()
        } else {
          _ = try reader.value()
        }
      }
      try reader.end()
    } catch {
      throw .failure("a frame of the server is not JSON: \(String(decoding: message, as: UTF8.self))")
    }
    if isError { throw .failure("the server answered \(String(decoding: message, as: UTF8.self))") }
  }
}

/// A body that tells which message it is and when it was sent, in places that do not move:
/// `{"n":1000000000,"t":1000000000000000,"x":"..."}`.
enum Body {
  private static let numberBase: UInt64 = 1_000_000_000
  private static let timeBase: UInt64 = 1_000_000_000_000_000
  private static let numberOffset = 5
  private static let numberDigits = 10
  private static let timeOffset = 20
  private static let timeDigits = 16

  /// A body of `size` bytes, to be stamped.
  static func template(_ size: Int) -> [UInt8] {
    let head = Array("{\"n\":\(numberBase),\"t\":\(timeBase),\"x\":\"".utf8)
    precondition(size >= head.count + 2)
    return head + Array(repeating: UInt8(ascii: "p"), count: size - head.count - 2) + Array("\"}".utf8)
  }

  static func stamp(_ body: UnsafeMutableRawBufferPointer, _ number: UInt64, _ time: UInt64) {
    write(number % numberBase + numberBase, digits: numberDigits, to: body, at: numberOffset)
    write(time % timeBase + timeBase, digits: timeDigits, to: body, at: timeOffset)
  }

  static func number(_ body: UnsafeRawBufferPointer) -> UInt64? {
    guard body.count >= timeOffset + timeDigits else { return nil }
    return read(body, at: numberOffset, digits: numberDigits).map { $0 - numberBase }
  }

  /// Nanoseconds since a body was stamped.
  static func age(_ body: UnsafeRawBufferPointer, at now: UInt64) -> UInt64 {
    let sent = read(body, at: timeOffset, digits: timeDigits) ?? timeBase
    return (now % timeBase + timeBase - (sent - timeBase)) % timeBase
  }

  /// The number that some digits say; nil if they do not, or begin with zero.
  static func read(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0, digits: Int) -> UInt64? {
    guard bytes.count >= offset + digits, digits > 0, bytes[offset] != UInt8(ascii: "0") else { return nil }
    var value: UInt64 = 0
    for i in offset..<offset + digits {
      let digit = bytes[i] &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      value = value &* 10 &+ UInt64(digit)
    }
    return value
  }

  static func write(_ value: UInt64, digits: Int, to bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
    var rest = value
    for i in (offset..<offset + digits).reversed() {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      bytes[i] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
      rest = quotient
    }
  }
}
