import Chat

/// A word in a server's inbox.
enum InboxWord {
  case batch(Batch)
  case verdict(Verdict)
  case replaced(SessionID)
}

/// The inbox topic of one server in one epoch.
final class InboxTopic {
  let owner: ServerEpoch
  /// The words from `firstOffset` on.
  private var words: [InboxWord] = []
  private(set) var firstOffset = 0
  private var waiting: (() -> Void)?

  init(owner: ServerEpoch) { self.owner = owner }

  var end: Int { firstOffset + words.count }

  func append(_ word: InboxWord) {
    words.append(word)
    let wake = waiting
    waiting = nil
    wake?()
  }

  /// Nil where nothing is at that offset yet.
  func word(at offset: Int) -> InboxWord? {
    offset < end ? words[offset - firstOffset] : nil
  }

  /// Who reads from here on is told once there is more.
  func wait(_ wake: @escaping () -> Void) { waiting = wake }

  /// Takes the oldest words away: a position below is out of range.
  func truncate(to offset: Int) {
    words.removeFirst(min(max(offset - firstOffset, 0), words.count))
    firstOffset = max(firstOffset, offset)
    let wake = waiting
    waiting = nil
    wake?()
  }
}
