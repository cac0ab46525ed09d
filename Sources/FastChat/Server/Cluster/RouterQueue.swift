import Chat
import EventLoop
import JSON
import Synchronization

/// What a shard asks of its router beside records and questions.
enum RouterWord: Sendable {
  case attach(SessionEntry)
  case detach(SessionID)
  case listen(room: [UInt8])
  case unlisten(room: [UInt8])
  case viewChanged(partition: Int32, ViewID)
  case askRegistration
  case askLogEnd(partition: Int32)
  case stop(partition: Int32, StopReason)
}

/// All that the shards have for the router since it looked last.
struct RouterMail: ~Copyable {
  /// Records as `AppendCodec` writes them.
  var appends = ByteBuffer(capacity: 64 << 10)
  /// In the order of each shard.
  var words: [(shard: Int, word: RouterWord)] = []
  var questions: [ViewQueue.Question] = []
  var marks: [ReadMark] = []
  var ephemerals: [Ephemeral] = []

  var isEmpty: Bool {
    appends.isEmpty && words.isEmpty && questions.isEmpty && marks.isEmpty && ephemerals.isEmpty
  }

  mutating func removeAll() {
    appends.removeAll(keepingAtMost: 4 << 20)
    words.removeAll(keepingCapacity: true)
    questions.removeAll(keepingCapacity: true)
    marks.removeAll(keepingCapacity: true)
    ephemerals.removeAll(keepingCapacity: true)
  }
}

/// The way from the shards to the router: each hands over what a turn left, once, and the router is woken
/// where nothing waited.
///
/// Bounded (DESIGN I8): records by `room`, which the shards read before they take requests; questions by a
/// share of each shard, marks and ephemeral events by a number, and what is beyond is answered as failed or
/// dropped, being best effort; attaches by `attachesMax`, beyond which connections are ended. All other words
/// follow from sessions that attached, and from answers that only the router gives.
final class RouterQueue: @unchecked Sendable {
  static let marksMax = 4_096
  static let ephemeralsMax = 16_384
  static let attachesMax = 1 << 17

  /// Told to the router's loop; holds one word at most.
  let bell: Mailbox<Bell>
  /// What became of all records that the shards handed over before they fell silent has been told.
  let flushed = Gathering(of: 0..<1)
  /// The router's thread has nothing left to wait for.
  let over = Gathering(of: 0..<1)
  private let monitor = Monitor()
  private let limitBytes: Int
  private let occupiedBytes = Atomic<Int>(0)
  private let waitingWords = Atomic<Int>(0)
  private let paced = Atomic<Bool>(false)
  // Guarded by the monitor.
  private var mail = RouterMail()
  private var unansweredQuestions: [Int]
  private var currentStage = Stage.serving

  /// Something waits.
  struct Bell: Sendable {}

  /// How far the server's end has come, for the router. Only rising.
  enum Stage: Int, Comparable {
    case serving
    /// The shards have handed over all: wait for what is on its way to the log.
    case flushing
    /// The shards are gone: take the server out of the directory, and end.
    case leaving

    static func < (a: Stage, b: Stage) -> Bool { a.rawValue < b.rawValue }
  }

  init(limitBytes: Int, shards: Int) throws(LoopError) {
    self.limitBytes = limitBytes
    unansweredQuestions = [Int](repeating: 0, count: shards)
    bell = try Mailbox(capacity: 1)
  }

  // MARK: From shards

  /// Bytes of records that are still taken, over all shards.
  var room: Int { max(0, limitBytes - occupiedBytes.load(ordering: .relaxed)) }
  /// Bytes that wait to be handed to the log.
  var occupied: Int { occupiedBytes.load(ordering: .relaxed) }
  /// Records go to the log in groups, by way of the router.
  var isPaced: Bool { paced.load(ordering: .relaxed) }
  /// Whether a session may attach.
  var mayAttach: Bool { waitingWords.load(ordering: .relaxed) < Self.attachesMax }

  /// Hands over what a turn of a shard left. Returns how many of the questions were taken.
  func put(
    appends: UnsafeRawBufferPointer, words: [RouterWord], questions: [ViewQuery], marks: [ReadMark],
    ephemerals: [Ephemeral], from shard: Int
  ) -> Int {
    if appends.isEmpty, words.isEmpty, questions.isEmpty, marks.isEmpty, ephemerals.isEmpty { return 0 }
    occupiedBytes.wrappingAdd(appends.count, ordering: .relaxed)
    waitingWords.wrappingAdd(words.count, ordering: .relaxed)
    let (taken, wasEmpty) = monitor.locked {
      let wasEmpty = mail.isEmpty
      mail.appends.append(appends)
      for word in words { mail.words.append((shard, word)) }
      let taken = min(questions.count, ViewQueue.perShardMax - unansweredQuestions[shard])
      for query in questions.prefix(taken) {
        mail.questions.append(ViewQueue.Question(shard: shard, query: query))
      }
      unansweredQuestions[shard] += taken
      mail.marks.append(contentsOf: marks.prefix(Self.marksMax - mail.marks.count))
      mail.ephemerals.append(contentsOf: ephemerals.prefix(Self.ephemeralsMax - mail.ephemerals.count))
      return (taken, wasEmpty)
    }
    if wasEmpty { ring() }
    return taken
  }

  /// Tells the router how far the end has come.
  func advance(to stage: Stage) {
    monitor.locked { currentStage = max(currentStage, stage) }
    ring()
  }

  /// Wakes the router. False says that it is awake already.
  private func ring() { _ = bell.post(Bell()) }

  // MARK: From the router

  var stage: Stage { monitor.locked { currentStage } }

  /// Exchanges what waits for the empty mail of the caller.
  func take(_ taken: inout RouterMail) {
    monitor.locked { swap(&mail, &taken) }
    waitingWords.wrappingSubtract(taken.words.count, ordering: .relaxed)
  }

  /// Gives back the shares of questions that were answered, of each shard.
  func answered(_ counts: [Int]) {
    guard counts.contains(where: { $0 > 0 }) else { return }
    monitor.locked { for shard in counts.indices { unansweredQuestions[shard] -= counts[shard] } }
  }

  func setPaced(_ isOn: Bool) { paced.store(isOn, ordering: .relaxed) }

  /// Gives back the room of `count` bytes that the log's producer has taken.
  func release(_ count: Int) { occupiedBytes.wrappingSubtract(count, ordering: .relaxed) }
}
