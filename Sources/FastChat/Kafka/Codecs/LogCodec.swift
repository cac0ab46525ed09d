public import Chat
public import JSON

/// Records of the log as documented JSON (docs/LOG.md), so that any Kafka consumer can read them. The key is
/// the chat's id.
///
///     {"type":"message","from":"alice","device":"phone","id":"m1","time":1700000000000,
///      "origin":{"epoch":"<16 hex>","session":"<16 hex>","request":7},"retry":true,"body":...}
public enum LogCodec {
  /// Appends the record's value. Nothing is allocated once `buffer` has grown.
  public static func encode(_ append: borrowing Append, into buffer: inout ByteBuffer) {
    buffer.append("{\"type\":\"")
    buffer.append(name(append.kind))
    buffer.append("\",\"from\":\"")
    buffer.append(jsonEscaping: append.from)
    buffer.append("\",\"device\":\"")
    buffer.append(jsonEscaping: append.device)
    buffer.append("\",\"id\":\"")
    buffer.append(jsonEscaping: append.id)
    buffer.append("\",\"time\":")
    buffer.append(decimal: append.time)
    buffer.append(",\"origin\":{\"epoch\":\"")
    buffer.append(hex: append.origin.epoch)
    buffer.append("\",\"session\":\"")
    buffer.append(hex: append.origin.session.raw)
    buffer.append("\",\"request\":")
    buffer.append(decimal: Int64(append.origin.request))
    buffer.append("}")
    if append.isRepeat { buffer.append(",\"retry\":true") }
    if !append.body.isEmpty {
      buffer.append(append.kind == .create ? ",\"room\":" : ",\"body\":")
      buffer.append(append.body)
    }
    buffer.append("}")
  }

  /// Appends the value of a record by which a server finds out whether the log takes records.
  static func encodeProbe(server: String, time: WallTime, into buffer: inout ByteBuffer) {
    var server = server
    buffer.append(probeHead)
    server.withUTF8 { buffer.append(jsonEscaping: UnsafeRawBufferPointer($0)) }
    buffer.append("\",\"time\":")
    buffer.append(decimal: time)
    buffer.append("}")
  }

  private static let probeHead: StaticString = "{\"type\":\"probe\",\"server\":\""

  /// Whether a record without a key is a probe: it means nothing, and nothing is wrong with it.
  static func isProbe(_ value: UnsafeRawBufferPointer) -> Bool {
    let head = UnsafeRawBufferPointer(start: probeHead.utf8Start, count: probeHead.utf8CodeUnitCount)
    return value.count > head.count && value[..<head.count].elementsEqual(head)
  }

  static func name(_ kind: RecordKind) -> StaticString {
    switch kind {
    case .message: "message"
    case .create: "create"
    case .join: "join"
    case .leave: "leave"
    }
  }

  static func kind(_ name: JSONText) -> RecordKind? {
    if name.equals("message") { return .message }
    if name.equals("join") { return .join }
    if name.equals("leave") { return .leave }
    return name.equals("create") ? .create : nil
  }
}

/// Reads records of the log. Holds the texts that had escapes, so that the rest stays in the fetch buffer.
public struct LogDecoder: ~Copyable {
  /// A body stands one level below the record, as it stood one below the client's frame.
  static let depth = Limits.jsonDepth + 1

  private let partitions: Int32
  private var unescaped = ByteBuffer(capacity: 256)

  /// - Parameter partitions: of the log, to tell records that lie in a partition that is not their chat's.
  public init(partitions: Int32) {
    precondition(partitions > 0)
    self.partitions = partitions
  }

  /// The record as a view into `key` and `value`, valid until they go and until the next call; nil where
  /// it is not ours: not as docs/LOG.md says, or in another chat's partition. No bytes make this trap.
  public mutating func decode(
    key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, partition: Int32
  ) -> Append? {
    guard ChatName(key) != nil, Partition.of(key, count: partitions) == partition, isUTF8(value) else {
      return nil
    }
    // Decoded texts are never longer than what they stand for: none of them moves once it stands here.
    unescaped.removeAll(keepingAtMost: Limits.helloBytes)
    unescaped.reserve(value.count)
    do throws(JSONError) {
      return try read(value, chat: key, partition: partition)
    } catch {
      return nil
    }
  }

  private mutating func read(
    _ value: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer, partition: Int32
  ) throws(JSONError) -> Append? {
    let empty = UnsafeRawBufferPointer(start: chat.baseAddress, count: 0)
    var kind: RecordKind?
    var origin: Origin?
    var time: WallTime?
    var from = empty
    var device: UnsafeRawBufferPointer?
    var id = empty
    var room = empty
    var body = empty
    var isRepeat = false

    var reader = JSONReader(value, maxDepth: Self.depth)
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("type") {
        kind = LogCodec.kind(try reader.string())
      } else if key.equals("from") {
        from = text(try reader.string()) ?? empty
      } else if key.equals("device") {
        device = text(try reader.string())
      } else if key.equals("id") {
        id = text(try reader.string()) ?? empty
      } else if key.equals("time") {
        time = try reader.integer()
      } else if key.equals("origin") {
        origin = try Self.origin(&reader)
      } else if key.equals("retry") {
        isRepeat = try reader.bool()
      } else if key.equals("room") {
        room = try reader.value()
      } else if key.equals("body") {
        body = try reader.value()
      } else {
        _ = try reader.value()
      }
    }
    try reader.end()

    guard let kind, let origin, let time, let device, time >= 0, Name.isValid(from),
      device.count <= Limits.nameBytes, !id.isEmpty, id.count <= Limits.requestIDBytes
    else { return nil }
    switch kind {
    case .message: guard !body.isEmpty else { return nil }
    case .create:
      guard case .room? = ChatName(chat), !room.isEmpty else { return nil }
      body = room
    case .join, .leave:
      guard case .room? = ChatName(chat) else { return nil }
      body = empty
    }
    return Append(
      partition: partition, kind: kind, isRepeat: isRepeat, origin: origin, time: time, chat: chat,
      from: from, device: device, id: id, body: body)
  }

  private mutating func text(_ text: JSONText) -> UnsafeRawBufferPointer? {
    guard !text.isPlain else { return text.raw }
    let start = unescaped.count
    return text.append(to: &unescaped) ? unescaped[start..<unescaped.count] : nil
  }

  private static func origin(_ reader: inout JSONReader) throws(JSONError) -> Origin? {
    var epoch: UInt64?
    var session: UInt64?
    var request: UInt32?
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("epoch") {
        epoch = hexadecimal(try reader.string().raw)
      } else if key.equals("session") {
        session = hexadecimal(try reader.string().raw)
      } else if key.equals("request") {
        request = UInt32(exactly: try reader.integer())
      } else {
        _ = try reader.value()
      }
    }
    guard let epoch, let session, let request else { return nil }
    return Origin(epoch: epoch, session: SessionID(raw: session), request: request)
  }
}
