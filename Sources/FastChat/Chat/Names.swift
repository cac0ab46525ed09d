import JSON

/// The alphabet of user ids, devices and rooms (PROTOCOL, "Names").
public enum Name {
  /// Whether `bytes` is 1-64 of `A-Z a-z 0-9 . _ - @`.
  public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard bytes.count >= 1, bytes.count <= Limits.nameBytes else { return false }
    for byte in bytes where !isLetter(byte) { return false }
    return true
  }

  @inline(__always)
  private static func isLetter(_ byte: UInt8) -> Bool {
    let lower = byte | 0x20
    return (lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "z"))
      || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
      || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
      || byte == UInt8(ascii: "@")
  }
}

/// What a chat's id says about it. The two users of a direct chat stand in byte order.
public enum ChatName {
  case direct(UnsafeRawBufferPointer, UnsafeRawBufferPointer)
  case room(UnsafeRawBufferPointer)

  /// Reads `dm:<user>:<user>` or `room:<name>`; nil where it is neither, or a direct chat's users are out
  /// of order. The result points into `bytes`.
  public init?(_ bytes: UnsafeRawBufferPointer) {
    if bytes.count > 5, sameBytes(.init(rebasing: bytes[..<5]), "room:") {
      let name = UnsafeRawBufferPointer(rebasing: bytes[5...])
      guard Name.isValid(name) else { return nil }
      self = .room(name)
    } else if bytes.count > 3, sameBytes(.init(rebasing: bytes[..<3]), "dm:") {
      let users = UnsafeRawBufferPointer(rebasing: bytes[3...])
      guard let colon = users.firstIndex(of: UInt8(ascii: ":")) else { return nil }
      let first = UnsafeRawBufferPointer(rebasing: users[..<colon])
      let second = UnsafeRawBufferPointer(rebasing: users[(colon + 1)...])
      guard Name.isValid(first), Name.isValid(second), !comesBefore(second, first) else { return nil }
      self = .direct(first, second)
    } else {
      return nil
    }
  }

  /// Whether a direct chat is one of this user's; false for a room.
  public func isDirect(of user: UnsafeRawBufferPointer) -> Bool {
    guard case .direct(let first, let second) = self else { return false }
    return sameBytes(first, user) || sameBytes(second, user)
  }
}
