import JSON

/// One frame of a client, taken apart in one pass and without a copy: the fields that any request knows,
/// still as they stand in the text. What a field must be depends on the request, and is asked for later.
struct Request {
  enum Field: Int, CaseIterable {
    case type, id, to, body, retry, chat, seq, before, after, limit, on, name, isPublic, user, device, log,
      cursors, token
  }

  enum Kind: UInt8 {
    case absent, text, number, bool, null, composite
  }

  struct Value {
    var kind = Kind.absent
    var isPlain = true
    /// Of a text: without its quotes. Of anything else: as it stands.
    var raw = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  enum Failure: Error {
    /// Not JSON, not an object, or too deep.
    case badFrame
  }

  private var values = InlineArray<18, Value>(repeating: Value())
  /// A field stood twice: which one counts would depend on the reader.
  private(set) var hasDuplicates = false

  init(_ text: UnsafeRawBufferPointer) throws(Failure) {
    do throws(JSONError) {
      var reader = JSONReader(text, maxDepth: Limits.jsonDepth)
      try reader.beginObject()
      while let key = try reader.nextKey() {
        guard let field = Self.field(key) else {
          _ = try reader.value()
          continue
        }
        if values[field.rawValue].kind != .absent { hasDuplicates = true }
        values[field.rawValue] = try Self.value(&reader)
      }
      try reader.end()
    } catch {
      throw .badFrame
    }
  }

  private static func value(_ reader: inout JSONReader) throws(JSONError) -> Value {
    switch try reader.kind() {
    case .string:
      let text = try reader.string()
      return Value(kind: .text, isPlain: text.isPlain, raw: text.raw)
    case .number: return Value(kind: .number, raw: try reader.value())
    case .bool: return Value(kind: .bool, raw: try reader.value())
    case .null: return Value(kind: .null, raw: try reader.value())
    case .object, .array: return Value(kind: .composite, raw: try reader.value())
    }
  }

  private static func field(_ key: JSONText) -> Field? {
    guard key.isPlain else { return Field.allCases.first { key.equals(name(of: $0)) } }
    let candidate: Field
    switch key.raw.count {
    case 2:
      switch key.raw[0] {
      case UInt8(ascii: "i"): candidate = .id
      case UInt8(ascii: "t"): candidate = .to
      default: candidate = .on
      }
    case 3: candidate = key.raw[0] == UInt8(ascii: "l") ? .log : .seq
    case 4:
      switch key.raw[0] {
      case UInt8(ascii: "t"): candidate = .type
      case UInt8(ascii: "b"): candidate = .body
      case UInt8(ascii: "c"): candidate = .chat
      case UInt8(ascii: "u"): candidate = .user
      default: candidate = .name
      }
    case 5:
      switch key.raw[0] {
      case UInt8(ascii: "r"): candidate = .retry
      case UInt8(ascii: "a"): candidate = .after
      case UInt8(ascii: "t"): candidate = .token
      default: candidate = .limit
      }
    case 6:
      switch key.raw[0] {
      case UInt8(ascii: "b"): candidate = .before
      case UInt8(ascii: "p"): candidate = .isPublic
      default: candidate = .device
      }
    case 7: candidate = .cursors
    default: return nil
    }
    return sameBytes(key.raw, name(of: candidate)) ? candidate : nil
  }

  private static func name(of field: Field) -> StaticString {
    switch field {
    case .type: "type"
    case .id: "id"
    case .to: "to"
    case .body: "body"
    case .retry: "retry"
    case .chat: "chat"
    case .seq: "seq"
    case .before: "before"
    case .after: "after"
    case .limit: "limit"
    case .on: "on"
    case .name: "name"
    case .isPublic: "public"
    case .user: "user"
    case .device: "device"
    case .log: "log"
    case .cursors: "cursors"
    case .token: "token"
    }
  }

  func has(_ field: Field) -> Bool { values[field.rawValue].kind != .absent }

  /// The text of a field that must be a string, decoded; nil where it is absent or something else. What has
  /// escapes is decoded into `scratch`, which may move.
  func text(_ field: Field, _ scratch: inout ByteBuffer) -> UnsafeRawBufferPointer? {
    let value = values[field.rawValue]
    guard value.kind == .text else { return nil }
    if value.isPlain { return value.raw }
    scratch.removeAll()
    var reader = JSONReader(json(field)!)
    guard let text = try? reader.string(), text.append(to: &scratch) else { return nil }
    return scratch.bytes
  }

  /// A whole number; nil where the field is absent or something else.
  func integer(_ field: Field) -> Int64? {
    let value = values[field.rawValue]
    guard value.kind == .number else { return nil }
    var reader = JSONReader(value.raw)
    return try? reader.integer()
  }

  /// `true` or `false`; nil where the field is absent or something else.
  func bool(_ field: Field) -> Bool? {
    let value = values[field.rawValue]
    guard value.kind == .bool else { return nil }
    return value.raw.count == 4
  }

  /// A field's JSON as the client wrote it.
  func json(_ field: Field) -> UnsafeRawBufferPointer? {
    let value = values[field.rawValue]
    switch value.kind {
    case .absent: return nil
    case .text:
      return UnsafeRawBufferPointer(start: value.raw.baseAddress! - 1, count: value.raw.count + 2)
    default: return value.raw
    }
  }

  func isObject(_ field: Field) -> Bool {
    let value = values[field.rawValue]
    return value.kind == .composite && value.raw[0] == UInt8(ascii: "{")
  }
}

/// The requests of this protocol version that are served.
enum RequestType {
  case hello, send, history, read, typing, create, join, leave, members, chats, ping

  init?(_ name: UnsafeRawBufferPointer) {
    // By length first: the comparison that follows is the only one.
    switch name.count {
    case 4:
      switch name[0] {
      case UInt8(ascii: "s") where sameBytes(name, "send"): self = .send
      case UInt8(ascii: "r") where sameBytes(name, "read"): self = .read
      case UInt8(ascii: "j") where sameBytes(name, "join"): self = .join
      case UInt8(ascii: "p") where sameBytes(name, "ping"): self = .ping
      default: return nil
      }
    case 5:
      switch name[0] {
      case UInt8(ascii: "h") where sameBytes(name, "hello"): self = .hello
      case UInt8(ascii: "l") where sameBytes(name, "leave"): self = .leave
      case UInt8(ascii: "c") where sameBytes(name, "chats"): self = .chats
      default: return nil
      }
    case 6:
      switch name[0] {
      case UInt8(ascii: "t") where sameBytes(name, "typing"): self = .typing
      case UInt8(ascii: "c") where sameBytes(name, "create"): self = .create
      default: return nil
      }
    case 7:
      switch name[0] {
      case UInt8(ascii: "h") where sameBytes(name, "history"): self = .history
      case UInt8(ascii: "m") where sameBytes(name, "members"): self = .members
      default: return nil
      }
    default: return nil
    }
  }
}
