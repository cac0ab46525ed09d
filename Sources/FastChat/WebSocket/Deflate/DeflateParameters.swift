/// What two ends agreed on for permessage-deflate (RFC 7692 section 7.1). Neither end takes context over
/// from one message to the next: that is always asked for, and always answered.
public struct DeflateParameters: Equatable, Sendable {
  /// The windows that zlib can keep to. Of the eight bits that the RFC knows it makes nine, and an
  /// inflater of eight would lose what lies further back: an offer that demands eight is declined.
  static let windowBits = 9...15
  /// Any window that the RFC knows, whoever keeps to it.
  private static let anyWindowBits = 8...15

  /// The window of the server's messages is 2^this bytes.
  public let serverWindowBits: Int
  /// The client demanded the window, so the answer must name it.
  let isWindowNamed: Bool

  /// What a client of ours offers: both ends start anew with each message.
  static let offer: StaticString =
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

  private enum Name {
    static let `extension`: StaticString = "permessage-deflate"
    static let serverNoContext: StaticString = "server_no_context_takeover"
    static let clientNoContext: StaticString = "client_no_context_takeover"
    static let serverWindow: StaticString = "server_max_window_bits"
    static let clientWindow: StaticString = "client_max_window_bits"
  }

  /// The parameters of one offer, read but not judged.
  private struct Parameters {
    var serverNoContext = false
    var clientNoContext = false
    var serverWindow: Int?
    var clientWindow: Int?
    /// A window bits parameter without a value.
    var clientWindowIsOpen = false
  }

  /// The first acceptable offer in a request's `Sec-WebSocket-Extensions`, nil where there is none.
  /// Offers of other extensions and malformed ones are declined, which is not an error.
  static func accept(offers fields: HTTPFields) -> DeflateParameters? {
    for field in fields where field.isNamed("sec-websocket-extensions") {
      var list = HTTPScanner(field.value)
      while !list.isAtEnd {
        if let offer = parameters(&list), let accepted = DeflateParameters(offer) { return accepted }
        list.skipToNextElement()
      }
    }
    return nil
  }

  /// What a server answered to `offer`. Nil inside: it declined. Nil outside: it answered what was not
  /// offered, and the connection must fail (RFC 6455 section 4.1).
  static func agreed(answer fields: HTTPFields) -> DeflateParameters?? {
    var agreed: DeflateParameters?
    for field in fields where field.isNamed("sec-websocket-extensions") {
      var list = HTTPScanner(field.value)
      guard agreed == nil, let answer = parameters(&list), list.isAtEnd, answer.serverNoContext,
        answer.clientWindow == nil, !answer.clientWindowIsOpen
      else { return nil }
      agreed = DeflateParameters(serverWindowBits: answer.serverWindow ?? 15, isWindowNamed: false)
    }
    return .some(agreed)
  }

  private init(serverWindowBits: Int, isWindowNamed: Bool) {
    self.serverWindowBits = serverWindowBits
    self.isWindowNamed = isWindowNamed
  }

  /// Judges an offer: all that it demands of the server must be possible. What it offers of its own
  /// (`client_max_window_bits`) needs no answer: our inflater's window holds any.
  private init?(_ offer: Parameters) {
    let window = offer.serverWindow ?? DeflateParameters.windowBits.upperBound
    guard DeflateParameters.windowBits.contains(window) else { return nil }
    self.init(serverWindowBits: window, isWindowNamed: offer.serverWindow != nil)
  }

  /// Reads one element of the list; nil where it is another extension or malformed: an unknown parameter,
  /// one named twice, a value where none belongs, none where one does, or one out of range.
  private static func parameters(_ list: inout HTTPScanner) -> Parameters? {
    guard let name = list.token(), isSameToken(name, Name.extension) else { return nil }
    var read = Parameters()
    while list.take(UInt8(ascii: ";")) {
      guard let name = list.token() else { return nil }
      var value: UnsafeRawBufferPointer?
      if list.take(UInt8(ascii: "=")) {
        guard let given = list.tokenOrQuoted() else { return nil }
        value = given
      }
      if isSameToken(name, Name.serverNoContext) {
        guard value == nil, !read.serverNoContext else { return nil }
        read.serverNoContext = true
      } else if isSameToken(name, Name.clientNoContext) {
        guard value == nil, !read.clientNoContext else { return nil }
        read.clientNoContext = true
      } else if isSameToken(name, Name.serverWindow) {
        guard read.serverWindow == nil, let value, let bits = window(value) else { return nil }
        read.serverWindow = bits
      } else if isSameToken(name, Name.clientWindow) {
        guard read.clientWindow == nil, !read.clientWindowIsOpen else { return nil }
        if let value {
          guard let bits = window(value) else { return nil }
          read.clientWindow = bits
        } else {
          read.clientWindowIsOpen = true
        }
      } else {
        return nil
      }
    }
    return list.isAtEndOfElement ? read : nil
  }

  /// A decimal number without leading zeros, 8 to 15.
  private static func window(_ value: UnsafeRawBufferPointer) -> Int? {
    guard value.count <= 2, value.first != UInt8(ascii: "0"), let bits = decimal(value) else { return nil }
    return anyWindowBits.contains(bits) ? bits : nil
  }

  /// Writes the answer to an accepted offer, without the field's name.
  func write(to writer: inout HTTPWriter) {
    writer.append(Name.extension)
    writer.append("; ")
    writer.append(Name.serverNoContext)
    writer.append("; ")
    writer.append(Name.clientNoContext)
    guard isWindowNamed else { return }
    writer.append("; ")
    writer.append(Name.serverWindow)
    writer.append("=")
    writer.append(decimal: serverWindowBits)
  }
}
