/// Which primary of a Redis Cluster has which slots.
public struct ClusterMap: Sendable, Equatable {
  /// Primaries that a map may have.
  public static let primariesMax = 256
  /// The slot is nobody's.
  public static let nobody = UInt16.max

  /// In the order in which their first slots come.
  public private(set) var primaries: [RedisHost] = []
  /// The place in `primaries` of each slot, or `nobody`.
  public private(set) var places = [UInt16](repeating: nobody, count: HashSlot.count)

  /// The answer to `readSlots`; nil where it is none, or no slot is anybody's.
  /// - Parameter asked: the server that gave it, which may leave its own name out.
  public init?(reply: RedisReply, asked: RedisHost) {
    guard let rows = reply.elements else { return nil }
    var ranges: [(first: Int, last: Int, host: RedisHost)] = []
    for row in rows {
      guard let row = row.elements, row.count >= 3, let first = row[0].number, let last = row[1].number,
        first >= 0, first <= last, last < HashSlot.count,
        let primary = row[2].elements, primary.count >= 2,
        let port = primary[1].number.flatMap({ UInt16(exactly: $0) }), port > 0
      else { return nil }
      // Null: as the server that was asked; "?": it does not know.
      let given = primary[0].bytes.map { String(decoding: $0, as: UTF8.self) } ?? ""
      guard given != "?" else { continue }
      ranges.append((Int(first), Int(last), RedisHost(given.isEmpty ? asked.name : given, port: port)))
    }
    ranges.sort { $0.first < $1.first }
    for range in ranges {
      var place = primaries.firstIndex(of: range.host)
      if place == nil {
        guard primaries.count < Self.primariesMax else { return nil }
        primaries.append(range.host)
        place = primaries.count - 1
      }
      for slot in range.first...range.last { places[slot] = UInt16(place!) }
    }
    guard !primaries.isEmpty else { return nil }
  }
}
