/// Why a connection ends (RFC 6455 section 7.4, and the registry that it began).
public struct CloseCode: RawRepresentable, Equatable, Sendable {
  public let rawValue: UInt16

  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let normal = CloseCode(rawValue: 1000)
  public static let goingAway = CloseCode(rawValue: 1001)
  public static let protocolError = CloseCode(rawValue: 1002)
  public static let unsupportedData = CloseCode(rawValue: 1003)
  /// Data that is not of its type: text that is not UTF-8, compressed data that cannot be inflated.
  public static let invalidData = CloseCode(rawValue: 1007)
  public static let policyViolation = CloseCode(rawValue: 1008)
  public static let messageTooBig = CloseCode(rawValue: 1009)
  public static let internalError = CloseCode(rawValue: 1011)
  /// The server has no room now.
  public static let tryAgainLater = CloseCode(rawValue: 1013)

  /// Whether the code may stand in a close frame: registered ones that are not only for local use, and
  /// those left to libraries and applications.
  public var mayBeSent: Bool {
    switch rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }

  /// Bytes of the code in a close frame, in front of the reason.
  public static let size = 2
  /// The longest reason in bytes: a control frame carries 125 (RFC 6455 section 5.5).
  public static let mostReasonBytes = FrameHeader.mostControlBytes - size

  /// Writes the payload of a close frame. The reason is UTF-8 and at most `mostReasonBytes` long.
  ///
  /// - Returns: the number of bytes written.
  public func encode(reason: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int {
    precondition(reason.count <= CloseCode.mostReasonBytes && room.count >= CloseCode.size + reason.count)
    room.storeBytes(of: rawValue.bigEndian, as: UInt16.self)
    UnsafeMutableRawBufferPointer(rebasing: room[CloseCode.size...]).copyMemory(from: reason)
    return CloseCode.size + reason.count
  }
}
