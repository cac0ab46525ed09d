public import Chat

/// Read positions that are to be written, the highest of each user and chat, by partition.
public struct ReadsTable: Sendable {
  /// Positions that wait at most; another one is not taken. Each takes some 200 bytes.
  public static let positionsMax = 16_384

  private struct Key: Hashable {
    let user: [UInt8]
    let chat: [UInt8]
  }

  /// By partition: the positions, and where each key's is.
  private var waiting: [[ReadMark]]
  private var places: [[Key: Int]]
  public private(set) var count = 0

  public init(partitions: Int32) {
    waiting = Array(repeating: [], count: Int(partitions))
    places = Array(repeating: [:], count: Int(partitions))
  }

  /// Takes a position in, in the place of a lower one.
  /// - Returns: false where too many wait, and this one is not among them.
  public mutating func put(_ mark: ReadMark, partition: Int32) -> Bool {
    let p = Int(partition)
    let key = Key(user: mark.user, chat: mark.chat)
    if let place = places[p][key] {
      waiting[p][place].seq = max(waiting[p][place].seq, mark.seq)
      return true
    }
    guard count < Self.positionsMax else { return false }
    places[p][key] = waiting[p].count
    waiting[p].append(mark)
    count += 1
    return true
  }

  /// Takes all out that waits for a partition, what came first at first.
  public mutating func take(partition: Int32) -> [ReadMark] {
    let p = Int(partition)
    guard !waiting[p].isEmpty else { return [] }
    defer {
      count -= waiting[p].count
      waiting[p] = []
      places[p] = [:]
    }
    return waiting[p]
  }
}
