public import Chat
public import JSON

/// A connection to a Redis server, without the socket: commands in, bytes out; bytes in, answers out.
///
/// ```
/// connected -> greeting -> ready      greeting: AUTH, CLIENT SETNAME, INFO server, replication and cluster,
///                 |          |        SCRIPT LOAD of each script, all in one write
///                 +----------+--> a thrown `RedisFailure`: the connection is over, `end` tells what it leaves
/// ```
/// Commands run and are answered in their order. Where a server lost its scripts (`SCRIPT FLUSH`), nothing
/// more is sent until all that is under way was answered; then they are loaded, and what was refused for
/// the want of them is asked again. What ran before its turn meanwhile counts as unknown.
///
/// Time is an input: milliseconds of any clock that does not jump.
public final class RedisLink {
  /// An answer that takes longer ends the connection.
  public static let answerMilliseconds: Tick = 2_000
  /// How often a primary is asked whether it still is one, and whether it is there.
  public static let heartbeatMilliseconds: Tick = 1_000
  /// Commands, and bytes of them, that may wait for their answers.
  public static let commandsMax = 65_536
  public static let bytesMax = 64 << 20
  /// Scripts say by flags what they do since this version (`#!lua flags=no-writes`).
  static let majorVersion = 7
  /// How often a command is asked again for the want of its script.
  static let repeatsMax = 2
  /// Bytes of the output buffer that are kept.
  static let keptBytes = 1 << 20

  /// What is asked of the server before any command.
  public enum Greeting: Sendable {
    /// A primary, with our scripts.
    case primary
    /// Somebody who is asked where primaries are. He may ask for no password.
    case guide
  }

  public struct Answer {
    public let token: UInt64
    /// Nil where nobody knows what became of the command.
    public let reply: RedisReply?
  }

  private enum Question {
    case password, name, version, role, mode
    case script(RedisScript)
    case heartbeat, asking
    case command(RedisCommand, token: UInt64, repeats: Int)
  }

  private struct Waiting {
    let question: Question
    let since: Tick
    let bytes: Int
  }

  public private(set) var isReady = false
  /// Whether the server says that it is a node of a Redis Cluster: known when it is ready.
  public private(set) var isCluster = false
  /// Bytes to be written, in the order in which they were asked for.
  public private(set) var output = ByteBuffer(capacity: 4_096)
  /// Bytes of the commands that wait for their answers.
  public private(set) var waitingBytes = 0
  public var waitingCommands: Int { sent.count + held.count }

  private let greeting: Greeting
  private let reader = ReplyReader()
  private var sent = Fifo<Waiting>()
  /// What waits for scripts to be loaded again, in its order.
  private var held = Fifo<Waiting>()
  private var digests: [[UInt8]] = RedisScript.allCases.map { _ in [] }
  private var lastHeartbeat: Tick
  /// The connection ends when what was answered has been told.
  private var failure: RedisFailure?

  /// The connection stands: what greets the server is put into `output`.
  /// - Parameter name: what we are called in the server's list of clients; letters, digits and dashes.
  public init(_ greeting: Greeting, to address: RedisAddress, name: String, now: Tick) {
    self.greeting = greeting
    lastHeartbeat = now
    if let password = address.password {
      put(.password, .authenticate(user: address.user, password: password), now)
    }
    put(.name, .setName(name), now)
    switch greeting {
    case .primary:
      put(.version, .info("server"), now)
      put(.role, .info("replication"), now)
      put(.mode, .info("cluster"), now)
      for script in RedisScript.allCases { put(.script(script), .load(script), now) }
    case .guide: if address.password == nil { isReady = true }
    }
  }

  // MARK: Commands

  /// Asks a command. False, and nothing happened: not ready yet, or as much waits as may.
  /// - Parameter asking: the slot is only on its way to this server (`-ASK`).
  public func send(_ command: RedisCommand, token: UInt64, asking: Bool = false, now: Tick) -> Bool {
    guard isReady, failure == nil, waitingCommands < Self.commandsMax,
      waitingBytes + command.bytes.count <= Self.bytesMax
    else { return false }
    let question = Question.command(command, token: token, repeats: 0)
    if held.isEmpty {
      if asking { put(.asking, .asking, now) }
      put(question, command, now)
    } else {
      guard !asking else { return false }
      waitingBytes += command.bytes.count
      held.append(Waiting(question: question, since: now, bytes: command.bytes.count))
    }
    return true
  }

  private func put(_ question: Question, _ command: RedisCommand, _ now: Tick) {
    command.encode(into: &output) { digests[Int($0.rawValue)] }
    waitingBytes += command.bytes.count
    sent.append(Waiting(question: question, since: now, bytes: command.bytes.count))
  }

  /// The first `count` bytes of `output` were handed on.
  public func outputTaken(_ count: Int) {
    if count == output.count {
      output.removeAll(keepingAtMost: Self.keptBytes)
    } else {
      output.removeFirst(count)
    }
  }

  // MARK: Answers

  /// Bytes came in: ask `nextAnswer` until there is none.
  public func received(_ bytes: UnsafeRawBufferPointer) { reader.feed(bytes) }

  public func nextAnswer(now: Tick) throws(RedisFailure) -> Answer? {
    while true {
      if let failure { throw failure }
      guard let reply = try reader.next() else { return nil }
      guard let waiting = sent.popFirst() else {
        throw .protocolError("an answer that nobody asked for")
      }
      waitingBytes -= waiting.bytes
      let answer = try take(reply, waiting, now)
      if sent.isEmpty, !held.isEmpty { askAgain(now) }
      if let answer { return answer }
    }
  }

  /// To be called every tenth of a second or so. Throws where an answer is overdue.
  public func tick(_ now: Tick) throws(RedisFailure) {
    if let first = sent.first, now - first.since >= Self.answerMilliseconds { throw .noAnswer }
    guard isReady, case .primary = greeting, held.isEmpty,
      now - lastHeartbeat >= Self.heartbeatMilliseconds
    else { return }
    lastHeartbeat = now
    put(.heartbeat, .info("replication"), now)
  }

  /// The connection is over: the tokens of all commands whose answers never come.
  public func end() -> [UInt64] {
    isReady = false
    var tokens: [UInt64] = []
    for waiting in [sent.takeAll(), held.takeAll()].joined() {
      if case .command(_, let token, _) = waiting.question { tokens.append(token) }
    }
    waitingBytes = 0
    return tokens
  }

  private func take(
    _ reply: RedisReply, _ waiting: Waiting, _ now: Tick
  ) throws(RedisFailure) -> Answer? {
    if case .command(let command, let token, let repeats) = waiting.question {
      return answer(reply, waiting, command, token, repeats)
    }
    if case .error(let text) = reply {
      switch (waiting.question, greeting) {
      case (.name, _), (.asking, _): return nil
      case (.password, .guide): break
      case (.password, .primary) where RedisComplaint(text) != .notReady:
        // Who has no such command repeats what it was given, the password among it.
        throw .refused(String(text.prefix { $0 != " " }))
      default: throw RedisComplaint(text) == .notReady ? .notReady : .refused(text)
      }
    }
    switch waiting.question {
    case .password:
      if case .guide = greeting { isReady = true }
    case .version:
      let version = RedisInfo(reply: reply)?["redis_version"] ?? ""
      guard let major = Int(version.prefix { $0 != "." }), major >= Self.majorVersion else {
        throw .tooOld(version)
      }
    case .mode: isCluster = RedisInfo(reply: reply)?.isCluster ?? false
    case .role, .heartbeat:
      guard let info = RedisInfo(reply: reply), info.isPrimary else { throw .notPrimary }
    case .script(let script):
      guard let digest = reply.bytes else { throw .protocolError("SCRIPT LOAD answers no digest") }
      digests[Int(script.rawValue)] = digest
      if script == RedisScript.allCases.last { isReady = true }
    case .name, .asking, .command: break
    }
    return nil
  }

  private func answer(
    _ reply: RedisReply, _ waiting: Waiting, _ command: RedisCommand, _ token: UInt64, _ repeats: Int
  ) -> Answer? {
    guard case .error(let text) = reply else {
      // Behind one that has to be asked again it ran before its turn.
      return Answer(token: token, reply: held.isEmpty ? reply : nil)
    }
    switch RedisComplaint(text) {
    case .noScript:
      guard repeats < Self.repeatsMax else { break }
      waitingBytes += waiting.bytes
      held.append(
        Waiting(
          question: .command(command, token: token, repeats: repeats + 1), since: waiting.since,
          bytes: waiting.bytes))
      return nil
    case .readOnly: failure = .notPrimary
    case .notReady: failure = .notReady
    case .notAllowed: failure = .refused(text)
    case .full, .moved, .ask, .clusterUnsettled, .other: break
    }
    return Answer(token: token, reply: reply)
  }

  /// Loads all scripts, and asks what waited for them.
  private func askAgain(_ now: Tick) {
    for script in RedisScript.allCases { put(.script(script), .load(script), now) }
    for waiting in held.takeAll() {
      guard case .command(let command, _, _) = waiting.question else { continue }
      waitingBytes -= waiting.bytes
      put(waiting.question, command, now)
    }
  }
}
