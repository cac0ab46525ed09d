import Glibc

/// A client of FastChat: it connects, stays connected, and keeps the client's side of the promise that each
/// message is there once, in its place (PROTOCOL).
///
/// One consumer takes ``events``; where nobody does, the client stops reading from the server after
/// ``ClientConfiguration/eventsMax`` of them, and nothing is answered any more. What is sent is kept and
/// repeated until the server has it, whatever breaks in between.
public final class ChatClient: Sendable {
  public let user: String
  /// The name of this installation: the one in the configuration or in the storage, else a random one.
  public let device: String
  private let configuration: ClientConfiguration
  private let endpoint: Endpoint
  private let mailbox: Mailbox
  private let queue: EventQueue
  private let board: StatusBoard

  /// Reads what is kept, and begins to connect.
  ///
  /// - Throws: `configuration` where the address or a name cannot be used, `storage` where what is kept
  ///   cannot be read or belongs to another user or device.
  public init(_ configuration: ClientConfiguration) throws(ClientError) {
    self.configuration = configuration
    endpoint = try Endpoint(configuration.address)
    let kept = try Self.kept(configuration)
    user = kept.user
    device = kept.device
    board = StatusBoard(pending: kept.pending.count)
    mailbox = try Mailbox()
    queue = EventQueue(mailbox, configuration)
    let (endpoint, mailbox, queue, board) = (endpoint, mailbox, queue, board)
    try startThread { ClientThread(configuration, endpoint, kept, mailbox, queue, board).run() }
  }

  deinit { mailbox.post(.stop) }

  private static func kept(_ configuration: ClientConfiguration) throws(ClientError) -> KeptState {
    for name in [configuration.user, configuration.device ?? "x"] where !Names.isName(name) {
      throw ClientError(.configuration, "'\(name)' is no name", advice: "use 1-64 of A-Z a-z 0-9 . _ - @")
    }
    guard let bytes = try configuration.storage.load(), !bytes.isEmpty else {
      let random = String(UInt64.random(in: 0...UInt64.max), radix: 36)
      return KeptState(user: configuration.user, device: configuration.device ?? "client-\(random)")
    }
    let kept = try KeptState(bytes)
    guard kept.user == configuration.user, configuration.device ?? kept.device == kept.device else {
      throw ClientError(
        .storage, "what is kept there belongs to \(kept.user) on the device \(kept.device)",
        advice: "give each user and device a file of its own")
    }
    return kept
  }

  // MARK: What comes

  /// What the client tells, in order; it ends behind `connection(.ended)`. For one consumer: asking for the
  /// next event says that the one before it has been handled.
  public var events: ClientEvents { ClientEvents(queue: queue) }

  /// Whether the client is connected and was handed all that was stored.
  public var isLive: Bool { board.isLive }

  /// How many requests wait for the server's word.
  public var pendingCount: Int { board.pending }

  /// Ends the session and waits until that is done and the state is stored. The consumer has
  /// ``ClientConfiguration/stopMilliseconds`` to take the last events; those that he did not take the next client
  /// with this storage hands him, and so the one that he took and had not handled. Unsent messages are kept for
  /// the next client.
  public func stop() async {
    // Also where it is ending already: the last save comes after the last word is taken.
    mailbox.post(.stop)
    await board.waitForEnd()
  }

  // MARK: What goes

  /// Sends a message, and waits until the server has it, however long that takes. It is kept meanwhile, and
  /// is sent also where the calling task is cancelled.
  ///
  /// - Parameters:
  ///   - body: any JSON, of at most `limits.body`.
  ///   - to: a chat's id, or `user:<id>`.
  /// - Throws: `refused` or `tooLarge` where it is refused for good, `full` where too much waits, `stopped`.
  @discardableResult
  public func send(_ body: Body, to: String) async throws(ClientError) -> Receipt {
    try await settled(RequestText.send(body, to: to, id: Self.newID()))
  }

  /// Sends a message, and does not wait: what becomes of it comes as an event, `sent` or `refused`.
  ///
  /// - Returns: its id.
  /// - Throws: `stopped`.
  @discardableResult
  public func enqueue(_ body: Body, to: String) throws(ClientError) -> String {
    let id = Self.newID()
    guard post(RequestText.send(body, to: to, id: id), nil) else { throw .stopped }
    return id
  }

  /// Makes a room; its maker is its owner. It counts as a request whose outcome is kept, as all of these.
  public func create(_ room: String, name: String, isPublic: Bool) async throws(ClientError) {
    try await change("create", room, ",\"name\":\(quoted(name)),\"public\":\(isPublic)")
  }

  public func join(_ room: String) async throws(ClientError) { try await change("join", room) }

  public func leave(_ room: String) async throws(ClientError) { try await change("leave", room) }

  public func invite(_ member: String, to room: String, role: String = "member") async throws(ClientError) {
    try await change("invite", room, ",\"user\":\(quoted(member)),\"role\":\(quoted(role))")
  }

  public func remove(_ member: String, from room: String) async throws(ClientError) {
    try await change("remove", room, ",\"user\":\(quoted(member))")
  }

  /// Replaces the body of a message.
  @discardableResult
  public func edit(_ seq: Int64, in chat: String, _ body: Body) async throws(ClientError) -> Receipt {
    try await settled(
      RequestText.change("edit", chat, id: Self.newID(), ",\"seq\":\(seq),\"body\":\(body.json)"))
  }

  @discardableResult
  public func delete(_ seq: Int64, in chat: String) async throws(ClientError) -> Receipt {
    try await settled(RequestText.change("delete", chat, id: Self.newID(), ",\"seq\":\(seq)"))
  }

  /// Says that the user has read a chat up to there; later where there is no connection now.
  public func markRead(_ chat: String, upTo seq: Int64) { mailbox.post(.read(chat: chat, seq: seq)) }

  /// Says that the user is typing, or no longer; nothing where there is no connection now.
  public func setTyping(_ isOn: Bool, in chat: String) { mailbox.post(.typing(chat: chat, isOn: isOn)) }

  private func change(_ type: String, _ room: String, _ fields: String = "") async throws(ClientError) {
    _ = try await settled(RequestText.change(type, room, id: Self.newID(), fields))
  }

  // MARK: Questions

  /// Where a page of history begins.
  public enum HistoryPlace: Sendable {
    case newest
    /// Both exclusive.
    case before(Int64)
    case after(Int64)
  }

  /// A page of a chat's past.
  ///
  /// - Parameters:
  ///   - chat: its id.
  ///   - place: where the page begins.
  ///   - limit: 1-100.
  public func history(
    of chat: String, _ place: HistoryPlace = .newest, limit: Int = 50
  ) async throws(ClientError) -> HistoryPage {
    let range =
      switch place {
      case .newest: ""
      case .before(let seq): ",\"before\":\(seq)"
      case .after(let seq): ",\"after\":\(seq)"
      }
    let page = try await answer("history", ",\"chat\":\(quoted(chat))\(range),\"limit\":\(limit)")
    return HistoryPage(messages: page.messages.map { $0.asMessage(in: chat) }, hasMore: page.more)
  }

  /// A page of the user's chats, behind `after` in byte order.
  public func chats(after: String? = nil) async throws(ClientError) -> (rows: [ChatRow], hasMore: Bool) {
    let page = try await answer("chats", (after.map { ",\"after\":\(quoted($0))" } ?? "") + ",\"limit\":100")
    return (page.rows, page.more)
  }

  /// A page of a room's members, behind `after` in byte order.
  public func members(of room: String, after: String? = nil) async throws(ClientError) -> MembersPage {
    let behind = after.map { ",\"after\":\(quoted($0))" } ?? ""
    let page = try await answer("members", ",\"chat\":\(quoted(room))\(behind),\"limit\":100")
    return MembersPage(members: page.memberRows, hasMore: page.more)
  }

  /// Gives the session a new token before the old one expires.
  public func refresh(token: String) async throws(ClientError) {
    _ = try await answer("refresh", ",\"token\":\(quoted(token))")
  }

  /// Takes any request of PROTOCOL, as the JSON of its frame, for scripts. Without an `id` one is made.
  ///
  /// - Parameters:
  ///   - json: the frame, an object with a `type`.
  ///   - answered: called once, on another thread: with the frame that answers a question, an `error` too. With
  ///     nil, and at once, for what is kept and repeated until it is settled (its outcome comes as an event,
  ///     `sent` or `refused`) and for what has no answer.
  /// - Throws: `configuration` where the text is no request, `stopped`.
  public func submit(
    json: String, answered: @escaping @Sendable (String?) -> Void
  ) throws(ClientError) {
    switch try RequestText(json).kind {
    case .kept(let pending):
      guard post(pending, nil) else { throw .stopped }
      answered(nil)
    case .question(let id, let text):
      let isPosted = mailbox.post(
        .ask(id: id, text: text) { result in
          switch result {
          case .success(let frame): answered(frame.text)
          case .failure(let error):
            let code = if case .refused(let code) = error.kind { code } else { "unavailable" }
            answered(
              "{\"type\":\"error\",\"id\":\(quoted(id)),\"code\":\(quoted(code)),\"message\":\(quoted(error.message))}"
            )
          }
        })
      guard isPosted else { throw .stopped }
    case .read(let chat, let seq):
      markRead(chat, upTo: seq)
      answered(nil)
    case .typing(let chat, let isOn):
      setTyping(isOn, in: chat)
      answered(nil)
    }
  }

  // MARK: Waiting

  private static func newID() -> String {
    let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
    return "\(String(UInt64.random(in: 0...UInt64.max), radix: 16))\(digits)"
  }

  /// False where the client has ended.
  private func post(
    _ request: Pending, _ sender: (@Sendable (Result<Receipt, ClientError>) -> Void)?
  ) -> Bool {
    var request = request
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    request.firstSent = Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    request = request.inLane(of: user)
    board.count(1)
    if mailbox.post(.submit(request, sender)) { return true }
    board.count(-1)
    return false
  }

  private func settled(_ request: Pending) async throws(ClientError) -> Receipt {
    try await wait(for: request.id) { finish in
      if !self.post(request, finish) { finish(.failure(.stopped)) }
    }
  }

  private func answer(_ type: String, _ fields: String) async throws(ClientError) -> ServerFrame {
    let id = Self.newID()
    return try await answer(id: id, "{\"type\":\"\(type)\",\"id\":\"\(id)\"\(fields)}")
  }

  private func answer(id: String, _ text: String) async throws(ClientError) -> ServerFrame {
    try await wait(for: id) { finish in
      if !self.mailbox.post(.ask(id: id, text: text, finish)) { finish(.failure(.stopped)) }
    }
  }

  private func wait<Value: Sendable>(
    for id: String, _ begin: (@escaping @Sendable (Result<Value, ClientError>) -> Void) -> Void
  ) async throws(ClientError) -> Value {
    let outcome = Outcome<Value>()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        outcome.wait(continuation)
        begin { outcome.set($0) }
      }
    } onCancel: {
      outcome.set(.failure(ClientError(.cancelled, "the task was cancelled")))
      mailbox.post(.forget(id: id))
    }
    return try result.get()
  }
}

/// The events of a client.
public struct ClientEvents: AsyncSequence, Sendable {
  public typealias Element = ClientEvent
  fileprivate let queue: EventQueue

  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let queue: EventQueue

    public func next() async -> ClientEvent? { await queue.next() }
  }

  public func makeAsyncIterator() -> Iterator { Iterator(queue: queue) }
}
