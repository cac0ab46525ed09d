/// Finds the end of an HTTP head as its bytes come, and refuses what can be no head of ours at the first
/// byte that shows it, however the bytes are cut.
///
/// Lines end with CR LF and nothing else does (RFC 9112 section 2.2 lets a recipient take a bare LF; two
/// that differ in that can be made to disagree). Folded lines (section 5.2) are refused.
public struct HTTPHead {
  public enum Scanned: Equatable {
    case needMore
    /// The head is that long, with the empty line that ends it.
    case complete(length: Int)
    case refused(HTTPStatus)
  }

  /// The longest head in bytes.
  public static let mostBytes = 16 * 1024
  /// The longest request line in bytes: a token may be in it.
  public static let mostLineBytes = 8 * 1024
  /// The most header fields.
  public static let mostFields = 100

  private var offset = 0
  private var lineStart = 0
  private var lines = 0

  public init() {}

  /// Looks at what is new in `bytes`: all that was received from the head's first byte on.
  public mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Scanned {
    while offset < bytes.count {
      guard offset < HTTPHead.mostBytes else { return .refused(.requestHeaderFieldsTooLarge) }
      let byte = bytes[offset]
      let afterCR = offset > lineStart && bytes[offset - 1] == 0x0D
      guard afterCR == (byte == 0x0A) else { return .refused(.badRequest) }
      if byte == 0x0A {
        if let end = endLine() { return end }
      } else {
        guard isAllowed(byte) else { return .refused(.badRequest) }
        guard lines > 0 || offset < HTTPHead.mostLineBytes else {
          return .refused(.requestHeaderFieldsTooLarge)
        }
      }
      offset += 1
    }
    return .needMore
  }

  private mutating func endLine() -> Scanned? {
    if offset - lineStart == 1 { return lines == 0 ? .refused(.badRequest) : .complete(length: offset + 1) }
    lines += 1
    lineStart = offset + 1
    return lines > 1 + HTTPHead.mostFields ? .refused(.requestHeaderFieldsTooLarge) : nil
  }

  /// Whether the byte may stand where the scan is.
  private func isAllowed(_ byte: UInt8) -> Bool {
    if offset == lineStart { return isTokenByte(byte) || (byte == 0x0D && lines > 0) }
    return (byte >= 0x20 && byte != 0x7F) || byte == 0x09 || byte == 0x0D
  }
}
