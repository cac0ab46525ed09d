/// One command for a Redis primary: a plain one, or a script with its keys and arguments.
///
/// All texts stand in one buffer, so that a batch of hundreds of records makes a handful of allocations.
public struct RedisCommand: Sendable, Equatable {
  /// Nil for a plain command, whose first text is its name.
  public let script: RedisScript?
  /// How many of the texts are a script's keys; they stand first.
  public let keyCount: Int
  /// It names no key, but asks a server about itself.
  private let isAboutServer: Bool
  /// All texts, one behind the other.
  public private(set) var bytes: [UInt8] = []
  private var ends: [Int] = []

  /// - Parameter bytes: about how many there will be.
  init(_ script: RedisScript, keys: Int = 1, texts: Int = 0, bytes: Int = 0) {
    self.script = script
    keyCount = keys
    isAboutServer = false
    ends.reserveCapacity(texts)
    self.bytes.reserveCapacity(bytes)
  }

  init(plain name: String, isAboutServer: Bool = false) {
    script = nil
    keyCount = 0
    self.isAboutServer = isAboutServer
    add(name)
  }

  // MARK: Reading

  /// Texts of the command: of a script its keys and then its arguments, of a plain one its words.
  public var count: Int { ends.count }

  /// Where a text stands in `bytes`.
  public func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

  public subscript(index: Int) -> ArraySlice<UInt8> { bytes[range(index)] }

  /// Every text by itself.
  public var texts: [[UInt8]] { (0..<count).map { Array(self[$0]) } }

  /// The key that says which primary the command is for; nil for one that every primary is asked.
  public var key: ArraySlice<UInt8>? {
    let place = script == nil ? 1 : 0
    return place < count && !isAboutServer ? self[place] : nil
  }

  /// The slot of `key` in a Redis Cluster.
  public var slot: UInt16? { key.map { $0.withUnsafeBytes(HashSlot.of) } }

  /// Whether it may be asked of the primary to which its slot is on its way (`-ASK`): it touches the key that
  /// it names alone, where other scripts go on to keys beside it. Not look-ups: who answers these must be one
  /// of the primaries that say behind them who they are.
  public var mayFollowItsKey: Bool {
    switch script {
    case .registerSessions, .removeSessions, .removeRoom, .renewLease, .dropLease: true
    default: false
    }
  }

  /// All texts as they lie in memory: text `i` ends before `ends[i]`, where the next one begins.
  public func withTexts<Result>(
    _ body: (_ bytes: UnsafeRawBufferPointer, _ ends: UnsafeBufferPointer<Int>) throws -> Result
  ) rethrows -> Result {
    try bytes.withUnsafeBytes { bytes in try ends.withUnsafeBufferPointer { try body(bytes, $0) } }
  }

  // MARK: Writing

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    self.bytes.append(contentsOf: bytes)
    ends.append(self.bytes.count)
  }

  mutating func add(_ text: [UInt8]) { text.withUnsafeBytes { add($0) } }

  mutating func add(_ text: StaticString) {
    add(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func add(_ text: String) {
    bytes.append(contentsOf: text.utf8)
    end()
  }

  mutating func add(_ number: Int64) {
    append(number)
    end()
  }

  mutating func add(_ number: UInt64) {
    append(number)
    end()
  }

  mutating func add(_ flag: Bool) { add(flag ? "1" : "0" as StaticString) }

  /// Adds to the text under way, which `end` ends.
  mutating func append(_ text: some Sequence<UInt8>) { bytes.append(contentsOf: text) }

  mutating func append(_ number: Int64) {
    if number < 0 { bytes.append(UInt8(ascii: "-")) }
    append(number.magnitude)
  }

  mutating func append(_ number: UInt64) {
    var digits = 1
    var rest = number
    while rest >= 10 {
      rest /= 10
      digits += 1
    }
    bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: digits))
    rest = number
    var place = bytes.count
    while rest > 0 {
      place -= 1
      bytes[place] += UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
  }

  mutating func end() { ends.append(bytes.count) }
}
