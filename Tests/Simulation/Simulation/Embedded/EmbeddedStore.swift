import Chat
import JSON

/// Log, owner and view of a server that stands alone, in their plainest form: what is committed is folded
/// into the truth, and asked of it. What an edge is told from here is right by construction.
final class EmbeddedStore {
  static let view: ViewID = 7
  static let directory: DirectoryID = 1
  static let partition: Int32 = 0

  /// What a commit came to, for the shards.
  struct News {
    var appended: [Appended] = []
    var failed: [Failed] = []
    var verdicts: [Verdict] = []
    var batch: Batch?
  }

  let checks: Checks
  private let engine: Engine
  var truth: Truth { checks.truth }
  /// Events as clients get them, by chat, in the order of the truth's events.
  private(set) var json: [[[UInt8]]] = []
  private var reads: [ReadKey: Seq] = [:]
  /// `upto` of the last batch given out.
  private var announced: Seq
  private var lastAppended: WallTime = 0

  private struct ReadKey: Hashable {
    var user: Int
    var chat: Int
  }

  init(_ engine: Engine, checks: Checks) {
    self.engine = engine
    self.checks = checks
    announced = checks.truth.end(0)
  }

  var applied: Seq { truth.end(0) }

  /// The process starts: nothing but what is stored is known.
  func opened() { announced = applied }

  // MARK: Committing

  /// Commits records. Where it `fails` they are reported as failed, whether it `persists` or not.
  func commit(_ bytes: [UInt8], wall: WallTime, fails: Bool, persists: Bool) -> News {
    var news = News()
    if persists { news = apply(bytes, wall: wall) }
    guard fails else {
      announced = applied
      return news
    }
    news = News()
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      while let record = AppendCodec.decode(bytes, at: &offset) {
        news.failed.append(Failed(origin: record.origin, mayHavePersisted: true))
      }
    }
    return news
  }

  private func apply(_ bytes: [UInt8], wall: WallTime) -> News {
    var news = News()
    let since = applied
    lastAppended = max(lastAppended, wall)
    var hints = ByteBuffer()
    bytes.withUnsafeBytes { bytes in
      var offset = 0
      var start = 0
      while let record = AppendCodec.decode(bytes, at: &offset) {
        let seq = applied + 1 + Seq(engine.random.below(2))
        let outcome = checks.appended(
          partition: 0, seq: seq, appended: lastAppended,
          bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<offset]), wallOffset: Engine.wallAtStart)
        engine.note(
          "log \(seq): \(String(utf8: record.chat)) \(record.kind) \(String(utf8: record.id)) \(outcome)")
        tell(record, seq: seq, outcome, &news, &hints)
        start = offset
      }
    }
    // What lies between `announced` and `since` was stored by a commit that was reported as failed: the
    // shards see that this batch does not join on.
    if applied != announced {
      news.batch = Batch(
        partition: 0, view: Self.view, directories: [Self.directory], since: since, upto: applied,
        hints: hints.bytes)
    }
    return news
  }

  private func tell(
    _ record: Append, seq: Seq, _ outcome: Outcome, _ news: inout News, _ hints: inout ByteBuffer
  ) {
    let chat = truth.roster.chat(String(utf8: record.chat))
    switch outcome {
    case .event:
      let event = truth.chats[chat].events.last!
      var text = ByteBuffer()
      if record.kind == .message {
        EventWriter.message(record, seq: seq, prev: event.prev, into: &text)
      } else {
        EventWriter.member(
          chat: record.chat, seq: seq, prev: event.prev, user: record.from, role: event.role,
          by: record.from, into: &text)
      }
      while json.count <= chat { json.append([]) }
      json[chat].append(Array(text.bytes))
      HintCodec.encode(
        Hint(
          kind: record.kind, seq: seq, prev: event.prev, time: record.time, origin: record.origin,
          role: event.role, chat: record.chat, user: record.from, json: text.bytes), into: &hints)
      if record.kind == .message, !record.isRepeat {
        news.appended.append(Appended(origin: record.origin, seq: seq, time: record.time))
      }
    case .duplicate:
      let first = truth.first(
        chat: chat, user: truth.roster.user(String(utf8: record.from)), device: String(utf8: record.device),
        id: String(utf8: record.id))!
      news.verdicts.append(
        Verdict(
          origin: record.origin, outcome: .duplicate, first: first.outcome, seq: first.seq, time: first.time))
    default:
      news.verdicts.append(Verdict(origin: record.origin, outcome: outcome, seq: seq, time: record.time))
    }
  }

  // MARK: Read positions

  /// The event that tells of it, where the position moved.
  func mark(_ mark: ReadMark) -> Ephemeral? {
    let key = mark.user.withUnsafeBytes { user in
      mark.chat.withUnsafeBytes {
        ReadKey(user: truth.roster.user(String(utf8: user)), chat: truth.roster.chat(String(utf8: $0)))
      }
    }
    let seq = min(mark.seq, head(key.chat))
    guard seq > reads[key] ?? 0 else { return nil }
    reads[key] = seq
    return Ephemeral(chat: mark.chat, origin: mark.origin, json: EventWriter.read(mark, seq: seq))
  }

  func head(_ chat: Int) -> Seq { truth.state(of: chat).events.last?.seq ?? 0 }

  func read(_ user: Int, _ chat: Int) -> Seq { reads[ReadKey(user: user, chat: chat)] ?? 0 }

  /// Takes away the oldest of what is stored of some chat.
  func forget(_ count: Int, of chat: Int) { truth.trim(chat: chat, by: count) }
}
