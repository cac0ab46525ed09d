/// Chats whose head moved since the state topic was last told: it is told when a chat has been quiet for a
/// minute, or has gone on for an hour (DESIGN section 6).
struct TouchedChats: ~Copyable {
  static let quietMilliseconds: Tick = 60_000
  static let longestMilliseconds: Tick = 3_600_000
  /// Chats at most; at the bound the one that has waited longest is told early.
  static let maximum = 1 << 18

  private struct Chat {
    var head: Seq
    var since: Tick
    var last: Tick
  }

  private struct Due: BitwiseCopyable {
    var name: Int32
    var at: Tick
  }

  private var names: NameTable
  /// By the names' numbers.
  private var chats: [Chat] = []
  private var queue = Queue<Due>()

  init(seed: UInt64) { names = NameTable(seed: seed) }

  var isFull: Bool { names.count >= Self.maximum }

  mutating func touch(_ chat: UnsafeRawBufferPointer, seq: Seq, at tick: Tick) {
    if let number = names.find(chat) {
      chats[Int(number)].head = max(chats[Int(number)].head, seq)
      chats[Int(number)].last = tick
      return
    }
    let number = names.retain(chat)
    while chats.count <= Int(number) { chats.append(Chat(head: 0, since: 0, last: 0)) }
    chats[Int(number)] = Chat(head: seq, since: tick, last: tick)
    queue.append(Due(name: number, at: tick + Self.quietMilliseconds))
  }

  /// The head of a chat that is due at `tick`, or of the oldest one where there are too many.
  mutating func next(at tick: Tick) -> StateRow? {
    while let due = queue.first, due.at <= tick || isFull {
      _ = queue.popFirst()
      let chat = chats[Int(due.name)]
      let dueAt = min(chat.last + Self.quietMilliseconds, chat.since + Self.longestMilliseconds)
      guard dueAt <= tick || isFull else {
        queue.append(Due(name: due.name, at: dueAt))
        continue
      }
      let row = StateRow(chat: Array(names.bytes(due.name)), seq: chat.head, value: .head)
      _ = names.release(due.name)
      return row
    }
    return nil
  }
}
