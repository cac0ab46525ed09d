public import JSON

/// Composes events as clients get them. Done once, by the owner: view, hints and history carry these bytes.
public enum EventWriter {
  /// `{"type":"message",...}`. Names need no escaping by their alphabet; the body is passed through.
  public static func message(
    _ record: borrowing Append, seq: Seq, prev: Seq, into buffer: inout ByteBuffer
  ) {
    messageHead(chat: record.chat, seq: seq, into: &buffer)
    buffer.append(decimal: prev)
    messageTail(record, into: &buffer)
  }

  /// What stands before the decimal of `prev`, where somebody else knows it.
  static func messageHead(chat: UnsafeRawBufferPointer, seq: Seq, into buffer: inout ByteBuffer) {
    buffer.append("{\"type\":\"message\",\"chat\":\"")
    place(chat: chat, seq: seq, into: &buffer)
  }

  /// What stands behind it.
  static func messageTail(_ record: borrowing Append, into buffer: inout ByteBuffer) {
    buffer.append(",\"from\":\"")
    buffer.append(record.from)
    buffer.append("\",\"id\":\"")
    buffer.append(jsonEscaping: record.id)
    buffer.append("\",\"time\":")
    buffer.append(decimal: record.time)
    buffer.append(",\"body\":")
    buffer.append(record.body)
    buffer.append("}")
  }

  /// `{"type":"member",...}`: `user` has `role` from now on, nobody's any more where it is `.none`.
  public static func member(
    chat: UnsafeRawBufferPointer, seq: Seq, prev: Seq, user: UnsafeRawBufferPointer, role: Role,
    by: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
  ) {
    memberHead(chat: chat, seq: seq, into: &buffer)
    buffer.append(decimal: prev)
    memberTail(user: user, role: role, by: by, into: &buffer)
  }

  static func memberHead(chat: UnsafeRawBufferPointer, seq: Seq, into buffer: inout ByteBuffer) {
    buffer.append("{\"type\":\"member\",\"chat\":\"")
    place(chat: chat, seq: seq, into: &buffer)
  }

  static func memberTail(
    user: UnsafeRawBufferPointer, role: Role, by: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
  ) {
    buffer.append(",\"user\":\"")
    buffer.append(user)
    if let name = role.name {
      buffer.append("\",\"role\":\"")
      buffer.append(name)
      buffer.append("\",\"by\":\"")
    } else {
      buffer.append("\",\"role\":null,\"by\":\"")
    }
    buffer.append(by)
    buffer.append("\"}")
  }

  /// `{"type":"read",...}`: an event that is not stored, of a position that moved to `seq`.
  public static func read(_ mark: borrowing ReadMark, seq: Seq) -> [UInt8] {
    var buffer = ByteBuffer()
    buffer.append("{\"type\":\"read\",\"chat\":\"")
    mark.chat.withUnsafeBytes { buffer.append($0) }
    buffer.append("\",\"user\":\"")
    mark.user.withUnsafeBytes { buffer.append($0) }
    buffer.append("\",\"seq\":")
    buffer.append(decimal: seq)
    buffer.append("}")
    return Array(buffer.bytes)
  }

  private static func place(chat: UnsafeRawBufferPointer, seq: Seq, into buffer: inout ByteBuffer) {
    buffer.append(chat)
    buffer.append("\",\"seq\":")
    buffer.append(decimal: seq)
    buffer.append(",\"prev\":")
  }
}
