import Chat
import Redis

/// An entry of a stream whose ids are `<seq>-0`.
protocol StreamRow: Sendable {
  var seq: Seq { get }
}

/// `XADD` refuses an id that is not above the stream's last. What a script wrote before stays.
struct StreamOrderError: Error {
  let reply = RedisReply.error(
    "ERR The ID specified in XADD is equal or smaller than the target stream top item")
}

/// A Redis stream: rows in the order of their seqs, added at the end and trimmed from the front. One that
/// is trimmed to nothing is no key any more, as the scripts see to.
struct SeqStream<Row: StreamRow>: Sendable {
  private var rows: [Row] = []
  /// Rows before this one were trimmed.
  private var first = 0

  var isEmpty: Bool { first == rows.count }
  var count: Int { rows.count - first }
  var all: ArraySlice<Row> { rows[first...] }
  var oldest: Seq? { isEmpty ? nil : rows[first].seq }
  var newest: Seq? { isEmpty ? nil : rows[rows.count - 1].seq }

  /// Rows above a seq, oldest first.
  func above(_ seq: Seq) -> ArraySlice<Row> {
    seq == .max ? rows[rows.count...] : rows[place(of: seq + 1)...]
  }

  /// Rows below a seq, oldest first.
  func below(_ seq: Seq) -> ArraySlice<Row> { rows[first..<place(of: seq)] }

  subscript(seq: Seq) -> Row? {
    let place = place(of: seq)
    return place < rows.count && rows[place].seq == seq ? rows[place] : nil
  }

  mutating func append(_ row: Row) throws(StreamOrderError) {
    guard (newest ?? 0) < row.seq else { throw StreamOrderError() }
    rows.append(row)
  }

  /// Takes out rows with a seq below `floor`; 0 for none.
  mutating func trim(below floor: Seq) {
    guard let oldest, oldest < floor else { return }
    drop(to: place(of: floor))
  }

  mutating func trim(toCount limit: Int) {
    if count > limit { drop(to: rows.count - limit) }
  }

  mutating func removeAll() {
    rows = []
    first = 0
  }

  private mutating func drop(to place: Int) {
    first = place
    if first == rows.count {
      removeAll()
    } else if first > 64, first > rows.count / 2 {
      rows.removeFirst(first)
      first = 0
    }
  }

  /// The first row at or above a seq.
  private func place(of seq: Seq) -> Int {
    var (low, high) = (first, rows.count)
    while low < high {
      let middle = (low + high) / 2
      if rows[middle].seq < seq { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
