import CHiredis

/// hiredis's reader as a codec: the bytes of a connection in, replies out, in their order.
///
/// hiredis's own reply objects are not made: our functions put values where they belong at once.
final class ReplyReader {
  /// Bytes that a reply may have before it is complete; its sender speaks something else beyond.
  static let bytesMax = 64 << 20

  private let reader: UnsafeMutablePointer<redisReader>
  private let builder = ReplyBuilder()

  init() {
    guard let reader = redisReaderCreateWithFunctions(ReplyBuilder.functions) else {
      preconditionFailure("no memory for a reader of replies")
    }
    reader.pointee.privdata = Unmanaged.passUnretained(builder).toOpaque()
    self.reader = reader
  }

  deinit { redisReaderFree(reader) }

  /// Takes a copy of what was received.
  func feed(_ bytes: UnsafeRawBufferPointer) {
    redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
  }

  /// The next complete reply; nil where more bytes are needed. Throws where the bytes are no replies.
  func next() throws(RedisFailure) -> RedisReply? {
    var object: UnsafeMutableRawPointer?
    guard redisReaderGetReply(reader, &object) == REDIS_OK else {
      throw .protocolError(
        withUnsafeBytes(of: reader.pointee.errstr) { text in
          String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        })
    }
    if object != nil { return builder.takeReply() }
    guard reader.pointee.len - reader.pointee.pos <= Self.bytesMax else {
      throw .protocolError("a reply of more than \(Self.bytesMax) bytes")
    }
    return nil
  }
}

/// Builds a reply out of what hiredis tells of it: an array before its elements, each of these in turn.
private final class ReplyBuilder {
  /// Elements that room is made for at once: how many there are is the sender's word.
  private static let roomMax = 4_096

  private var open: [(elements: [RedisReply], missing: Int)] = []
  private var complete: RedisReply?

  func takeReply() -> RedisReply? { complete.take() }

  private func add(_ reply: RedisReply) {
    var reply = reply
    while let last = open.indices.last {
      open[last].elements.append(reply)
      open[last].missing -= 1
      if open[last].missing > 0 { return }
      reply = .array(open.removeLast().elements)
    }
    complete = reply
  }

  private func begin(_ count: Int) {
    guard count > 0 else { return add(.array([])) }
    open.append(([], count))
    open[open.count - 1].elements.reserveCapacity(min(count, Self.roomMax))
  }

  // MARK: What hiredis calls

  /// What hiredis takes for an object: only that it is one is looked at.
  private static var anObject: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: 1) }

  private static func of(_ task: UnsafePointer<redisReadTask>?) -> ReplyBuilder {
    guard let builder = task?.pointee.privdata else { preconditionFailure("a reader has its builder") }
    return Unmanaged<ReplyBuilder>.fromOpaque(builder).takeUnretainedValue()
  }

  /// One table for all readers; never changed.
  nonisolated(unsafe) static let functions: UnsafeMutablePointer<redisReplyObjectFunctions> = {
    let table = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
    table.initialize(
      to: redisReplyObjectFunctions(
        createString: { task, text, count in
          let bytes = UnsafeRawBufferPointer(start: text, count: count)
          let reply: RedisReply =
            switch task?.pointee.type {
            case REDIS_REPLY_STATUS: .status(String(decoding: bytes, as: UTF8.self))
            case REDIS_REPLY_ERROR: .error(String(decoding: bytes, as: UTF8.self))
            default: .bytes([UInt8](bytes))
            }
          ReplyBuilder.of(task).add(reply)
          return ReplyBuilder.anObject
        },
        createArray: { task, count in
          ReplyBuilder.of(task).begin(Int(count))
          return ReplyBuilder.anObject
        },
        createInteger: { task, value in
          ReplyBuilder.of(task).add(.integer(value))
          return ReplyBuilder.anObject
        },
        createNil: { task in
          ReplyBuilder.of(task).add(.null)
          return ReplyBuilder.anObject
        },
        freeObject: { _ in }))
    return table
  }()
}
