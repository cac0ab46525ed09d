import Chat
import EventLoop
import Kafka
import Synchronization

/// How other threads reach a shard, and what it shows of itself.
///
/// Posting never waits, and nothing is dropped silently: what does not fit leaves word, and the shard's
/// next turn makes it a doubt (DESIGN section 5), or the session's end.
final class ShardPort: Sendable {
  /// How far the server's end has come. Only rising.
  enum Stage: UInt8 {
    case serving
    /// Take no connection and no request any more; hand over what was taken.
    case quiescing
    /// All that was handed over has been answered: say goodbye and end.
    case leaving
  }

  static let mailMax = 32_768
  /// Bytes of batches and answers that wait for a shard at most.
  static let mailBytesMax = 64 << 20

  /// What a full mailbox did not take.
  struct Overflow: Equatable, Sendable {
    /// No more than the sessions of the shard.
    var replaced: [SessionID] = []
    /// Reports, batches or answers were lost.
    var isDoubt = false
  }

  let mailbox: Mailbox<Mail>
  /// What became of records that the shard handed to the log, and no more than those.
  let reports: Mailbox<DeliveryReport>
  let pulse = Pulse()
  private let waitingBytes = Atomic<Int>(0)
  private let rawStage = Atomic<UInt8>(Stage.serving.rawValue)
  private let hasOverflow = Atomic<Bool>(false)
  private let overflow = Mutex(Overflow())

  init(mailMax: Int = ShardPort.mailMax) throws(LoopError) {
    mailbox = try Mailbox(capacity: mailMax)
    reports = try Mailbox(capacity: mailMax)
  }

  // MARK: From any thread

  func post(_ news: LogNews) {
    if !post(.news(news), bytes: news.bytes) { overflowed { $0.isDoubt = true } }
  }

  func post(_ news: AnswerNews) {
    if !post(.answer(news), bytes: news.bytes) { overflowed { $0.isDoubt = true } }
  }

  func post(_ ephemerals: [Ephemeral]) {
    // Told to whoever listens now, best effort: one that does not fit is told to nobody, and costs nobody.
    _ = mailbox.post(.ephemerals(ephemerals))
  }

  func post(replaced session: SessionID) {
    if !mailbox.post(.replaced(session)) { overflowed { $0.replaced.append(session) } }
  }

  /// The registrar's words are as many as what it was asked: a full mailbox takes them too.
  func post(_ word: ShardWord) { mailbox.postAlways(.word(word)) }

  /// As many as the shard handed over.
  func post(_ report: DeliveryReport) { reports.postAlways(report) }

  func post(logEnd: Seq?, partition: Int32) { mailbox.postAlways(.logEnded(partition: partition, logEnd)) }

  private func post(_ mail: Mail, bytes: Int) -> Bool {
    let before = waitingBytes.wrappingAdd(bytes, ordering: .relaxed).oldValue
    if before == 0 || before + bytes <= ShardPort.mailBytesMax, mailbox.post(mail) { return true }
    waitingBytes.wrappingSubtract(bytes, ordering: .relaxed)
    return false
  }

  private func overflowed(_ note: (inout Overflow) -> Void) {
    overflow.withLock { note(&$0) }
    hasOverflow.store(true, ordering: .releasing)
  }

  /// Tells the shard how far the server's end has come. It sees it within 100 ms, and not before what was
  /// posted earlier.
  func advance(to stage: Stage) { rawStage.store(stage.rawValue, ordering: .releasing) }

  // MARK: From the shard's thread

  var stage: Stage { Stage(rawValue: rawStage.load(ordering: .acquiring))! }

  /// What was lost since the last time. To be asked before the mailbox is drained, so that the doubt comes
  /// before the first batch that does not join on.
  func takeOverflow() -> Overflow? {
    guard hasOverflow.load(ordering: .acquiring) else { return nil }
    hasOverflow.store(false, ordering: .relaxed)
    return overflow.withLock { overflow in
      let taken = overflow
      overflow = Overflow()
      return taken
    }
  }

  /// Gives back the room of mail that was taken out.
  func taken(bytes: Int) { waitingBytes.wrappingSubtract(bytes, ordering: .relaxed) }
}
