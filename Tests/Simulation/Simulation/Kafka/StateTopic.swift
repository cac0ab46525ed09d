import Chat

/// The compacted state topic and the group's committed positions, which one transaction writes together.
final class StateTopic {
  /// A row's key; the highest seq of a key counts, and a tombstone takes it away.
  struct Key: Hashable {
    var chat: [UInt8]
    /// Empty for a chat's own row.
    var user: [UInt8]
    /// Of an outcome; -1 of a head, else 0.
    var outcome: Seq
  }

  private var places: [[Key: Int]]
  private var rows: [[StateRow?]]
  private(set) var committed: [Seq?]
  /// A transaction that a dead member left open: what is behind it is not read before it ends.
  var openUntil: [Tick]

  init(partitions: Int32) {
    places = Array(repeating: [:], count: Int(partitions))
    rows = Array(repeating: [], count: Int(partitions))
    committed = Array(repeating: nil, count: Int(partitions))
    openUntil = Array(repeating: 0, count: Int(partitions))
  }

  /// Rows and position in one step.
  func commit(_ changes: [StateRow], upto: Seq, partition: Int32) {
    let p = Int(partition)
    for row in changes {
      let key = StateTopic.key(of: row)
      if let place = places[p][key] { rows[p][place] = nil }
      if case .forgottenOutcome = row.value {
        places[p][key] = nil
        continue
      }
      places[p][key] = rows[p].count
      rows[p].append(row)
    }
    committed[p] = upto
  }

  /// What is left of a partition after compaction, in the order of writing.
  func read(partition: Int32) -> [StateRow] { rows[Int(partition)].compactMap { $0 } }

  private static func key(of row: StateRow) -> Key {
    switch row.value {
    case .member(let user, _): Key(chat: row.chat, user: user, outcome: 0)
    case .chat: Key(chat: row.chat, user: [], outcome: 0)
    case .head: Key(chat: row.chat, user: [], outcome: -1)
    case .outcome, .forgottenOutcome: Key(chat: row.chat, user: [], outcome: row.seq)
    }
  }
}
