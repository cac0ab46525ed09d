/// The seqs of what this device sent itself, above its cursor in a chat: rising, and mostly added at the end
/// and dropped at the front.
struct OwnSeqs: Equatable {
  /// How many are remembered, the window of a chat: what is further back is not replayed.
  static let countMax = 10_000

  private(set) var seqs: ArraySlice<Int64> = []

  var isEmpty: Bool { seqs.isEmpty }

  mutating func insert(_ seq: Int64) {
    let place = firstPlace(notBelow: seq)
    guard place == seqs.endIndex || seqs[place] != seq else { return }
    seqs.insert(seq, at: place)
    if seqs.count > Self.countMax { seqs.removeFirst() }
  }

  func contains(_ seq: Int64) -> Bool {
    let place = firstPlace(notBelow: seq)
    return place < seqs.endIndex && seqs[place] == seq
  }

  /// Drops those that a cursor has passed.
  mutating func drop(upTo cursor: Int64) {
    while let first = seqs.first, first <= cursor { seqs.removeFirst() }
  }

  private func firstPlace(notBelow seq: Int64) -> Int {
    guard let last = seqs.last, last >= seq else { return seqs.endIndex }
    var low = seqs.startIndex
    var high = seqs.endIndex
    while low < high {
      let middle = low + (high - low) / 2
      if seqs[middle] < seq { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
