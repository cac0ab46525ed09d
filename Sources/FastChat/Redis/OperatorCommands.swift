public import Chat

/// What the commands of an operator ask of the views.
extension RedisCommand {
  /// Keys that one `removeKeys` takes away.
  public static let removedKeys = 500
  /// Keys that one step of a scan looks at.
  private static let scannedKeys: Int64 = 1_000

  /// Takes a view away from its owner and from all readers; answered by `ViewState(held:)`.
  /// - Parameter id: random, not 0.
  public static func holdView(partition: Int32, id: ViewID) -> RedisCommand {
    var command = RedisCommand(.holdView)
    command.add(RedisKeys.view(partition))
    command.add(id)
    return command
  }

  /// Removes keys of a view that is held; answered by 1, or by 0 where somebody else has it.
  /// - Parameter givingUpBelow: with the last run: the view is its owner's again, without outcomes below it.
  public static func removeKeys(
    partition: Int32, id: ViewID, keys: ArraySlice<[UInt8]>, givingUpBelow: Seq? = nil
  ) -> RedisCommand {
    var command = RedisCommand(.removeKeys)
    command.add(RedisKeys.view(partition))
    command.add(id)
    if let givingUpBelow { command.add(givingUpBelow) } else { command.add("") }
    for key in keys { command.add(key) }
    return command
  }

  /// Keys of a partition; answered by `ScanPage(reply:)`.
  /// - Parameters:
  ///   - kinds: letters of DESIGN section 7's keys, such as `hm`.
  ///   - cursor: of the page before; "0" for the first.
  public static func scan(partition: Int32, kinds: String, cursor: [UInt8]) -> RedisCommand {
    var command = RedisCommand(plain: "SCAN", isAboutServer: true)
    command.add(cursor)
    command.add("MATCH")
    command.add("fc:{p\(partition)}:[\(kinds)]:*")
    command.add("COUNT")
    command.add(scannedKeys)
    return command
  }

  /// Fields of a hash; answered by `ScanPage(reply:)`, each field before its value.
  public static func scanFields(of key: [UInt8], cursor: [UInt8]) -> RedisCommand {
    var command = RedisCommand(plain: "HSCAN")
    command.add(key)
    command.add(cursor)
    command.add("COUNT")
    command.add(scannedKeys)
    return command
  }

  /// Events of a history from one seq to another, in order; answered by `StoredEvent.list(reply:)`.
  public static func events(ofHistory key: [UInt8], from: Seq, upto: Seq = .max, limit: Int) -> RedisCommand {
    var command = RedisCommand(plain: "XRANGE")
    command.add(key)
    command.add(from)
    if upto == .max { command.add("+") } else { command.add(upto) }
    command.add("COUNT")
    command.add(Int64(limit))
    return command
  }

  /// How many events a history has.
  public static func eventCount(ofHistory key: [UInt8]) -> RedisCommand {
    var command = RedisCommand(plain: "XLEN")
    command.add(key)
    return command
  }

  /// A field of a partition's hash.
  public static func field(_ field: [UInt8], of key: [UInt8]) -> RedisCommand {
    var command = RedisCommand(plain: "HGET")
    command.add(key)
    command.add(field)
    return command
  }

  /// Which log all of it is of.
  public static var readLogID: RedisCommand {
    var command = RedisCommand(plain: "GET")
    command.add(RedisKeys.log)
    return command
  }
}

/// The keys that belong to one chat or user of a partition.
public enum PartitionKey {
  /// - Parameter kind: a letter of DESIGN section 7's keys.
  public static func of(_ kind: String, _ name: some Collection<UInt8>, partition: Int32) -> [UInt8] {
    Array("fc:{p\(partition)}:\(kind):".utf8) + name
  }

  /// The letter and the name in a key of that partition.
  public static func parts(_ key: [UInt8], partition: Int32) -> (kind: UInt8, name: ArraySlice<UInt8>)? {
    let head = Array("fc:{p\(partition)}:".utf8)
    guard key.count > head.count + 2, key.starts(with: head) else { return nil }
    return (key[head.count], key[(head.count + 2)...])
  }
}

/// One page of a scan.
public struct ScanPage {
  /// For the next page; nil behind the last.
  public var next: [UInt8]?
  public var texts: [[UInt8]]

  public init?(reply: RedisReply) {
    guard let elements = reply.elements, elements.count == 2, let cursor = elements[0].bytes,
      let found = elements[1].elements
    else { return nil }
    next = cursor == [UInt8(ascii: "0")] ? nil : cursor
    texts = found.compactMap(\.bytes)
  }
}

/// An event as its history has it.
public struct StoredEvent {
  public var seq: Seq
  /// The names and values of what was stored with it.
  private var fields: [[UInt8]]

  /// The value of a field, empty where it has none.
  public subscript(name: StaticString) -> [UInt8] {
    for i in stride(from: 0, to: fields.count - 1, by: 2)
    where fields[i].elementsEqual(
      UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    {
      return fields[i + 1]
    }
    return []
  }

  /// Nil where the reply is none.
  public static func list(reply: RedisReply) -> [StoredEvent]? {
    guard let elements = reply.elements else { return nil }
    var events: [StoredEvent] = []
    for element in elements {
      guard let parts = element.elements, parts.count == 2, let id = parts[0].bytes,
        let seq = Seq(String(decoding: id.prefix { $0 != UInt8(ascii: "-") }, as: UTF8.self)),
        let fields = parts[1].elements
      else { return nil }
      events.append(StoredEvent(seq: seq, fields: fields.compactMap(\.bytes)))
    }
    return events
  }
}

extension ViewState {
  /// As a view was when it was held; nil where the reply is none.
  public init?(held reply: RedisReply) {
    guard let elements = reply.elements else { return nil }
    self.init(elements[...])
  }
}
