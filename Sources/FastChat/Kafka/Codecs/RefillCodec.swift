public import Chat
public import JSON

/// An event of an older generation of the log as a newer one has it (docs/LOG.md, "Generations"): what the view's
/// history had of it, with its old seq.
public struct RefilledEvent: Sendable, Equatable {
  public var chat: [UInt8]
  public var seq: Seq
  public var prev: Seq
  /// The event as clients get it.
  public var json: [UInt8]
  // As the history has them: figures and names in text.
  public var kind: [UInt8]
  public var role: [UInt8]
  public var user: [UInt8]
  public var time: [UInt8]
  public var origin: [UInt8]

  public init(
    chat: [UInt8], seq: Seq, prev: Seq, json: [UInt8], kind: [UInt8], role: [UInt8], user: [UInt8],
    time: [UInt8], origin: [UInt8]
  ) {
    (self.chat, self.seq, self.prev, self.json) = (chat, seq, prev, json)
    (self.kind, self.role, self.user, self.time, self.origin) = (kind, role, user, time, origin)
  }
}

/// Records with which a new generation of the log begins. To everybody who does not know them they are of another
/// type, and passed by.
///
///     {"type":"refilled","seq":1099511627776,"prev":0,"kind":"1","role":"0","user":"alice","time":"17..",
///      "origin":"..","event":{"type":"message",...}}
///     {"type":"refill-end"}                          without a key, behind the last one of each partition
public enum RefillCodec {
  /// Appends the record's value.
  public static func encode(_ event: RefilledEvent, into buffer: inout ByteBuffer) {
    buffer.append("{\"type\":\"refilled\",\"seq\":")
    buffer.append(decimal: event.seq)
    buffer.append(",\"prev\":")
    buffer.append(decimal: event.prev)
    append("kind", event.kind, to: &buffer)
    append("role", event.role, to: &buffer)
    append("user", event.user, to: &buffer)
    append("time", event.time, to: &buffer)
    append("origin", event.origin, to: &buffer)
    buffer.append(",\"event\":")
    event.json.withUnsafeBytes { buffer.append($0) }
    buffer.append("}")
  }

  private static func append(_ name: StaticString, _ text: [UInt8], to buffer: inout ByteBuffer) {
    buffer.append(",\"")
    buffer.append(name)
    buffer.append("\":\"")
    text.withUnsafeBytes { buffer.append(jsonEscaping: $0) }
    buffer.append("\"")
  }

  public static let end: StaticString = "{\"type\":\"refill-end\"}"
  private static let head: StaticString = "{\"type\":\"refilled\","

  static func isEnd(_ value: UnsafeRawBufferPointer) -> Bool {
    value.elementsEqual(UnsafeRawBufferPointer(start: end.utf8Start, count: end.utf8CodeUnitCount))
  }

  /// Nil for what is none. No bytes make this trap.
  public static func decode(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> RefilledEvent? {
    let head = UnsafeRawBufferPointer(start: head.utf8Start, count: head.utf8CodeUnitCount)
    guard value.count > head.count, value[..<head.count].elementsEqual(head), ChatName(key) != nil,
      isUTF8(value)
    else { return nil }
    do throws(JSONError) {
      return try read(value, chat: Array(key))
    } catch {
      return nil
    }
  }

  private static func read(_ value: UnsafeRawBufferPointer, chat: [UInt8]) throws(JSONError) -> RefilledEvent?
  {
    var event = RefilledEvent(
      chat: chat, seq: 0, prev: -1, json: [], kind: [], role: [], user: [], time: [], origin: [])
    // An event's body stands two levels below the record.
    var reader = JSONReader(value, maxDepth: LogDecoder.depth + 1)
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("seq") {
        event.seq = try reader.integer()
      } else if key.equals("prev") {
        event.prev = try reader.integer()
      } else if key.equals("kind") {
        event.kind = Array(try reader.string().raw)
      } else if key.equals("role") {
        event.role = Array(try reader.string().raw)
      } else if key.equals("user") {
        event.user = Array(try reader.string().raw)
      } else if key.equals("time") {
        event.time = Array(try reader.string().raw)
      } else if key.equals("origin") {
        event.origin = Array(try reader.string().raw)
      } else if key.equals("event") {
        event.json = Array(try reader.value())
      } else {
        _ = try reader.value()
      }
    }
    try reader.end()
    guard event.seq > 0, event.prev >= 0, !event.json.isEmpty, !event.kind.isEmpty else { return nil }
    return event
  }
}
