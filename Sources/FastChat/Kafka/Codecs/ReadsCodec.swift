public import Chat
public import JSON

/// Read positions in the reads topic (DESIGN section 6), key and value:
///
///     <user>\n<chat>    {"seq":1099511627776}
public enum ReadsCodec {
  public static func encodeKey(_ mark: ReadMark, into buffer: inout ByteBuffer) {
    mark.user.withUnsafeBytes { buffer.append($0) }
    buffer.append("\n")
    mark.chat.withUnsafeBytes { buffer.append($0) }
  }

  public static func encodeValue(_ mark: ReadMark, into buffer: inout ByteBuffer) {
    buffer.append("{\"seq\":")
    buffer.append(decimal: mark.seq)
    buffer.append("}")
  }

  /// The position that a record of the topic holds, of no session; nil where it is none of ours. No bytes make
  /// this trap.
  /// - Parameter value: nil for a tombstone.
  public static func decode(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) -> ReadMark? {
    guard let value, let line = key.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let user = UnsafeRawBufferPointer(rebasing: key[..<line])
    let chat = UnsafeRawBufferPointer(rebasing: key[(line + 1)...])
    guard Name.isValid(user), ChatName(chat) != nil, let seq = seq(value) else { return nil }
    return ReadMark(chat: Array(chat), user: Array(user), seq: seq, origin: SessionID(raw: 0))
  }

  private static func seq(_ value: UnsafeRawBufferPointer) -> Seq? {
    guard isUTF8(value) else { return nil }
    do throws(JSONError) {
      var seq: Seq?
      var reader = JSONReader(value)
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("seq") { seq = try reader.integer() } else { _ = try reader.value() }
      }
      try reader.end()
      return seq.flatMap { $0 >= 0 ? $0 : nil }
    } catch {
      return nil
    }
  }
}
