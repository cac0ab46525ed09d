public import Chat
public import JSON

/// Rows of the state topic (DESIGN section 6), key and value:
///
///     <chat>\n<user>    {"seq":1099511627776,"role":"member"}     role null: not a member any more
///     <chat>            {"seq":1099511627776,"room":{...}}         of a room
///     <chat>\n#         {"seq":1099511627776}                      the chat's last event
///     <chat>\n#<seq>    {"outcome":"exists","role":null}           no value: forgotten
///
/// No user's name begins with `#` and no chat's id holds a line's end, so a key says what it is.
public enum StateCodec {
  public static func encodeKey(_ row: StateRow, into buffer: inout ByteBuffer) {
    append(row.chat, to: &buffer)
    switch row.value {
    case .member(let user, _):
      buffer.append("\n")
      append(user, to: &buffer)
    case .chat: break
    case .head: buffer.append("\n#")
    case .outcome, .forgottenOutcome:
      buffer.append("\n#")
      buffer.append(decimal: row.seq)
    }
  }

  /// Appends the row's value; false where it has none, which is a tombstone to a compacted topic.
  public static func encodeValue(_ row: StateRow, into buffer: inout ByteBuffer) -> Bool {
    switch row.value {
    case .member(_, let role):
      buffer.append("{\"seq\":")
      buffer.append(decimal: row.seq)
      append(role, to: &buffer)
    case .chat(let room):
      buffer.append("{\"seq\":")
      buffer.append(decimal: row.seq)
      buffer.append(",\"room\":")
      append(room, to: &buffer)
    case .head:
      buffer.append("{\"seq\":")
      buffer.append(decimal: row.seq)
    case .outcome(let outcome, let role):
      buffer.append("{\"outcome\":\"")
      buffer.append(name(outcome))
      buffer.append("\"")
      append(role, to: &buffer)
    case .forgottenOutcome: return false
    }
    buffer.append("}")
    return true
  }

  /// The row that a record of the topic holds; nil where it is none of ours. No bytes make this trap.
  /// - Parameter value: nil for a tombstone.
  public static func decode(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) -> StateRow? {
    let line = key.firstIndex(of: UInt8(ascii: "\n"))
    let chat = UnsafeRawBufferPointer(rebasing: key[..<(line ?? key.count)])
    guard ChatName(chat) != nil else { return nil }
    guard let line else {
      guard let fields = fields(value), let seq = fields.seq, !fields.room.isEmpty else { return nil }
      return StateRow(chat: Array(chat), seq: seq, value: .chat(room: fields.room))
    }
    let rest = UnsafeRawBufferPointer(rebasing: key[(line + 1)...])
    guard rest.first == UInt8(ascii: "#") else {
      guard Name.isValid(rest), let fields = fields(value), let seq = fields.seq else { return nil }
      return StateRow(chat: Array(chat), seq: seq, value: .member(user: Array(rest), role: fields.role))
    }
    guard rest.count > 1 else {
      guard let fields = fields(value), let seq = fields.seq else { return nil }
      return StateRow(chat: Array(chat), seq: seq, value: .head)
    }
    var number = JSONReader(UnsafeRawBufferPointer(rebasing: rest[1...]), maxDepth: 0)
    guard let seq = try? number.integer(), seq >= 0, (try? number.end()) != nil else { return nil }
    guard value != nil else { return StateRow(chat: Array(chat), seq: seq, value: .forgottenOutcome) }
    guard let fields = fields(value), let outcome = fields.outcome else { return nil }
    return StateRow(chat: Array(chat), seq: seq, value: .outcome(outcome, role: fields.role))
  }

  private struct Fields {
    var seq: Seq?
    var role = Role.none
    var room: [UInt8] = []
    var outcome: Outcome?
  }

  private static func fields(_ value: UnsafeRawBufferPointer?) -> Fields? {
    guard let value, isUTF8(value) else { return nil }
    do throws(JSONError) {
      return try read(value)
    } catch {
      return nil
    }
  }

  private static func read(_ value: UnsafeRawBufferPointer) throws(JSONError) -> Fields? {
    var fields = Fields()
    var reader = JSONReader(value)
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("seq") {
        let seq = try reader.integer()
        guard seq >= 0 else { return nil }
        fields.seq = seq
      } else if key.equals("role") {
        if try reader.kind() == .null {
          try reader.null()
        } else {
          guard let role = role(try reader.string()) else { return nil }
          fields.role = role
        }
      } else if key.equals("room") {
        fields.room = Array(try reader.value())
      } else if key.equals("outcome") {
        guard let outcome = outcome(try reader.string()) else { return nil }
        fields.outcome = outcome
      } else {
        _ = try reader.value()
      }
    }
    try reader.end()
    return fields
  }

  // MARK: Names

  private static func append(_ bytes: [UInt8], to buffer: inout ByteBuffer) {
    bytes.withUnsafeBytes { buffer.append($0) }
  }

  private static func append(_ role: Role, to buffer: inout ByteBuffer) {
    guard let name = role.name else { return buffer.append(",\"role\":null") }
    buffer.append(",\"role\":\"")
    buffer.append(name)
    buffer.append("\"")
  }

  private static func role(_ name: JSONText) -> Role? {
    if name.equals("member") { return .member }
    if name.equals("admin") { return .admin }
    return name.equals("owner") ? .owner : nil
  }

  private static func name(_ outcome: Outcome) -> StaticString {
    switch outcome {
    case .event: "event"
    case .unchanged: "unchanged"
    case .duplicate: "duplicate"
    case .forbidden: "forbidden"
    case .notFound: "not-found"
    case .exists: "exists"
    }
  }

  private static func outcome(_ name: JSONText) -> Outcome? {
    if name.equals("event") { return .event }
    if name.equals("unchanged") { return .unchanged }
    if name.equals("duplicate") { return .duplicate }
    if name.equals("forbidden") { return .forbidden }
    if name.equals("not-found") { return .notFound }
    return name.equals("exists") ? .exists : nil
  }
}
