import Chat

/// One bit for each record of a run of the log: an eighth of a byte of memory a record.
struct SeqMap {
  let from: Seq
  let upto: Seq
  private var words: [UInt64]

  init(from: Seq, upto: Seq) {
    self.from = from
    self.upto = upto
    words = [UInt64](repeating: 0, count: from <= upto ? Int((upto - from) >> 6) + 1 : 0)
  }

  func covers(_ seq: Seq) -> Bool { seq >= from && seq <= upto }

  /// False outside of the run; setting does nothing there.
  subscript(seq: Seq) -> Bool {
    get { covers(seq) && words[Int((seq - from) >> 6)] >> UInt64((seq - from) & 63) & 1 == 1 }
    set {
      guard covers(seq) else { return }
      let bit = UInt64(1) << UInt64((seq - from) & 63)
      if newValue {
        words[Int((seq - from) >> 6)] |= bit
      } else {
        words[Int((seq - from) >> 6)] &= ~bit
      }
    }
  }
}
