public import Chat
public import Redis

/// One Redis primary in one process: answers each of our commands as the script of that name does, reply
/// for reply. `Tests/Redis` holds both against each other.
public final class SimulatedRedis {
  public var keyspace = Keyspace()
  /// The first 64 bits of `master_replid`: what directories are told apart by.
  public var replicationID: DirectoryID
  /// A replica answers what only reads, says that it is one, and refuses to write.
  public var isPrimary = true

  public init(replicationID: DirectoryID) { self.replicationID = replicationID }

  /// What an error of a server that may not write looks like.
  static let readOnly = RedisReply.error("READONLY You can't write against a read only replica.")

  /// Runs a command in one step.
  /// - Parameter now: the server's clock, for leases, idle histories and the time of a `hello`.
  public func run(_ command: RedisCommand, now: WallTime) -> RedisReply {
    command.withTexts { bytes, ends in
      let texts = CommandTexts(bytes: bytes, ends: ends)
      guard let script = command.script else { return plain(texts, now: now) }
      guard isPrimary || script == .query || script == .readLeases else { return Self.readOnly }
      switch script {
      case .apply: return inPartition(texts) { $0.apply(texts, now: now) }
      case .readView: return inPartition(texts) { $0.readView(texts) }
      case .beginRebuild: return inPartition(texts) { $0.beginRebuild(texts) }
      case .restore: return inPartition(texts) { $0.restore(texts) }
      case .restoreReads: return inPartition(texts) { $0.restoreReads(texts) }
      case .query: return inPartition(texts) { $0.query(texts, primary: primaryText, now: now) }
      case .raiseRead: return inPartition(texts) { $0.raiseRead(texts) }
      case .takeLease: return keyspace.takeLease(texts, now: now)
      case .renewLease: return keyspace.renewLease(texts, now: now)
      case .dropLease: return keyspace.dropLease(texts, now: now)
      case .readLeases: return keyspace.readLeases(texts, primary: primaryText, now: now)
      case .registerSessions: return keyspace.registerSessions(texts, now: now)
      case .removeSessions: return keyspace.removeSessions(texts)
      case .removeRoom: return keyspace.removeRoom(texts)
      // An operator's, and of a second generation of the log.
      case .holdView, .removeKeys, .moveView, .restoreEvents: return .error("ERR not simulated")
      }
    }
  }

  private func inPartition(
    _ texts: CommandTexts, _ body: (inout PartitionSpace) -> RedisReply
  ) -> RedisReply {
    body(&keyspace.partitions[texts.partition(ofKey: 0), default: PartitionSpace()])
  }

  private func plain(_ texts: CommandTexts, now: WallTime) -> RedisReply {
    switch texts.string(0) {
    case "INFO": .bytes(info)
    case "HGETALL": keyspace.allFields(texts)
    case "HSET": isPrimary ? keyspace.registerRoom(texts) : Self.readOnly
    case let name: .error("ERR unknown command '\(name)'")
    }
  }

  /// The id as scripts give it; empty where this is no primary.
  private var primaryText: [UInt8] { isPrimary ? Array(hexadecimal.utf8) : [] }

  private var hexadecimal: String {
    let digits = String(replicationID, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  private var info: [UInt8] {
    let rest = String(repeating: "0", count: 24)
    let role = isPrimary ? "master" : "slave"
    return Array("# Replication\r\nrole:\(role)\r\nmaster_replid:\(hexadecimal)\(rest)\r\n".utf8)
  }
}

/// The texts of a command: of a script its keys and then its arguments.
struct CommandTexts {
  let bytes: UnsafeRawBufferPointer
  let ends: UnsafeBufferPointer<Int>

  var count: Int { ends.count }

  subscript(index: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]])
  }

  func isEmpty(_ index: Int) -> Bool { self[index].isEmpty }
  func string(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }
  func array(_ index: Int) -> [UInt8] { Array(self[index]) }
  func flag(_ index: Int) -> Bool { self[index].elementsEqual("1".utf8) }

  /// A whole number, as our commands write it.
  func number(_ index: Int) -> Int64 {
    let text = self[index]
    let isNegative = text.first == UInt8(ascii: "-")
    let value = digits(isNegative ? UnsafeRawBufferPointer(rebasing: text.dropFirst()) : text)
    return isNegative ? Int64(truncatingIfNeeded: 0 &- value) : Int64(value)
  }

  func id(_ index: Int) -> UInt64 { digits(self[index]) }

  /// Nil for an empty text.
  func optionalNumber(_ index: Int) -> Int64? { isEmpty(index) ? nil : number(index) }
  func optionalID(_ index: Int) -> UInt64? { isEmpty(index) ? nil : id(index) }

  private func digits(_ text: UnsafeRawBufferPointer) -> UInt64 {
    var value: UInt64 = 0
    for byte in text {
      precondition(byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"), "our commands write digits")
      value = value * 10 + UInt64(byte - UInt8(ascii: "0"))
    }
    return value
  }

  /// `N` of a key `fc:{pN}:...`.
  func partition(ofKey index: Int) -> Int32 {
    let text = self[index]
    let start = 5
    var end = start
    while text[end] != UInt8(ascii: "}") { end += 1 }
    return Int32(digits(UnsafeRawBufferPointer(rebasing: text[start..<end])))
  }

  /// What stands in a key behind its prefix and the first colon after `skipping` bytes.
  func tail(_ index: Int, from place: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(rebasing: self[index][place...]), as: UTF8.self)
  }
}

/// A text under way.
struct TextBuilder {
  private(set) var bytes: [UInt8] = []

  init(capacity: Int = 48) { bytes.reserveCapacity(capacity) }

  mutating func append(_ text: some Sequence<UInt8>) { bytes.append(contentsOf: text) }

  mutating func append(_ number: Int64) {
    if number < 0 { bytes.append(UInt8(ascii: "-")) }
    append(number.magnitude)
  }

  mutating func append(_ number: UInt64) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var rest = number
      var place = digits.count
      repeat {
        place -= 1
        digits[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: digits[place...]))
    }
  }

  /// Numbers with a space between two.
  static func figures(_ numbers: Int64...) -> [UInt8] {
    var text = TextBuilder()
    for (place, number) in numbers.enumerated() {
      if place > 0 { text.append(CollectionOfOne(UInt8(ascii: " "))) }
      text.append(number)
    }
    return text.bytes
  }
}

extension RedisReply {
  static func text(_ number: Int64?) -> RedisReply {
    guard let number else { return .null }
    var text = TextBuilder(capacity: 20)
    text.append(number)
    return .bytes(text.bytes)
  }

  static func text(_ id: UInt64?) -> RedisReply {
    guard let id else { return .null }
    var text = TextBuilder(capacity: 20)
    text.append(id)
    return .bytes(text.bytes)
  }

  static func text(_ string: String) -> RedisReply { .bytes(Array(string.utf8)) }
}
