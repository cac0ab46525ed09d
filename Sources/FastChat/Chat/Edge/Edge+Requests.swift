import JSON

/// What a client asks for: checked, authorised, and handed on.
extension Edge {
  /// One text message. Not called between `pause` and `resume`.
  public func received(_ id: SessionID, text: UnsafeRawBufferPointer) {
    beginInput()
    guard let session = find(id) else { return }
    serve(session, text, isConfirmed: false)
  }

  /// `isConfirmed`: the view said that the user is in the chat that this frame names.
  func serve(_ session: SessionPointer, _ text: UnsafeRawBufferPointer, isConfirmed: Bool) {
    let request: Request
    do throws(Request.Failure) {
      request = try Request(text)
    } catch {
      return refuse(session, .badFrame, id: nil, "not a JSON object")
    }
    let id = requestID(request)
    if !isConfirmed {
      counters.requests += 1
      if session.pointee.phase == .open, let wait = takeAllowance(session) {
        return refuse(session, .rateLimited, id: id, "too many requests", retry: wait)
      }
    }
    guard let name = request.text(.type, &nameScratch), let type = RequestType(name) else {
      return session.pointee.phase == .waitingForHello
        ? refuse(session, .unauthorized, id: id, "say hello first")
        : refuse(session, .badRequest, id: id, "unknown type")
    }
    guard !request.hasDuplicates else {
      return refuse(session, .badRequest, id: id, "a field stands twice")
    }
    guard session.pointee.phase != .waitingForHello else {
      guard type == .hello else { return refuse(session, .unauthorized, id: id, "say hello first") }
      return hello(session, request)
    }
    guard type != .read, type != .typing, type != .hello else {
      return serveUnanswered(session, type, request, text, id: id, isConfirmed: isConfirmed)
    }
    guard let id else {
      return refuse(session, .badRequest, id: nil, "id must be a string of 1-64 bytes")
    }
    switch type {
    case .send: send(session, request, text, id: id, isConfirmed: isConfirmed)
    case .create, .join, .leave: change(session, type, request, id: id)
    case .history: history(session, request, id: id)
    case .members: members(session, request, id: id)
    case .chats: listChats(session, request, id: id)
    case .ping: sendPlain(session, "pong", id: id)
    case .hello, .read, .typing: preconditionFailure("served above")
    }
  }

  /// The request's id, where it has one that may be echoed. Valid until the next request.
  func requestID(_ request: borrowing Request) -> UnsafeRawBufferPointer? {
    guard let id = request.text(.id, &idScratch), !id.isEmpty, id.count <= Limits.requestIDBytes else {
      return nil
    }
    return id
  }

  /// Requests that need no id.
  private func serveUnanswered(
    _ session: SessionPointer, _ type: RequestType, _ request: borrowing Request,
    _ text: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer?, isConfirmed: Bool
  ) {
    switch type {
    case .read: read(session, request, text, id: id, isConfirmed: isConfirmed)
    case .typing: typing(session, request, text, id: id, isConfirmed: isConfirmed)
    default: refuse(session, .badRequest, id: id, "hello was said already")
    }
  }

  /// Counts one request; the milliseconds to wait where it is one too many.
  private func takeAllowance(_ session: SessionPointer) -> Int64? {
    let rate = Int64(limits.ratePerSecond)
    let most = rate * Int64(Limits.rateBurstSeconds) * 1000
    let gained = (tick - session.pointee.allowanceAt) * rate
    session.pointee.allowance = min(most, session.pointee.allowance + gained)
    session.pointee.allowanceAt = tick
    guard session.pointee.allowance >= 1000 else {
      return max(1, (1000 - session.pointee.allowance) / max(rate, 1))
    }
    session.pointee.allowance -= 1000
    return nil
  }

  // MARK: Chats and who may

  /// The chat that a request names, if its user may name it: `chat`, or `to` where `mayAddress`. An error
  /// was answered where it is nil. Valid until the next request.
  private func chat(
    _ session: SessionPointer, _ request: borrowing Request, _ field: Request.Field,
    id: UnsafeRawBufferPointer?
  ) -> (bytes: UnsafeRawBufferPointer, name: ChatName)? {
    guard let text = request.text(field, &chatScratch) else {
      refuse(session, .badRequest, id: id, "the chat must be a string")
      return nil
    }
    let user = userNames.bytes(session.pointee.user)
    if field == .to, text.count > 5, sameBytes(.init(rebasing: text[..<5]), "user:") {
      let other = UnsafeRawBufferPointer(rebasing: text[5...])
      guard Name.isValid(other) else {
        refuse(session, .badRequest, id: id, "no such user id can be")
        return nil
      }
      nameScratch.removeAll()
      nameScratch.append("dm:")
      let isFirst = comesBefore(user, other)
      nameScratch.append(isFirst ? user : other)
      nameScratch.append(":")
      nameScratch.append(isFirst ? other : user)
      return (nameScratch.bytes, ChatName(nameScratch.bytes)!)
    }
    guard let name = ChatName(text) else {
      refuse(session, .badRequest, id: id, "not a chat id")
      return nil
    }
    if case .direct = name, !name.isDirect(of: user) {
      refuse(session, .forbidden, id: id, refusal(.forbidden))
      return nil
    }
    return (text, name)
  }

  /// Whether the user is in the chat as far as this shard knows; where it does not know, the view is asked,
  /// the frame waits, and nothing more of this session is read until then.
  private func isKnownMember(
    _ session: SessionPointer, _ chat: (bytes: UnsafeRawBufferPointer, name: ChatName),
    _ text: UnsafeRawBufferPointer
  ) -> Bool {
    guard case .room = chat.name else { return true }
    let partition = partition(of: chat.bytes)
    if authorisesFromMemory(partition), !isBehind(session, in: chat.bytes),
      membership(of: session.pointee.user, in: chat.bytes) != nil
    {
      return true
    }
    let user = userNames.bytes(session.pointee.user)
    ask(
      .confirm(session.pointee.id, frame: Array(text), asked: tick),
      ViewQuery(
        tag: 0, partition: partition, what: .member, chat: Array(chat.bytes), user: Array(user)))
    pause(session, .confirming)
    return false
  }

  /// Whether removals reached this shard within the time in which a removed member's sends are refused: its
  /// lease holds, and in a doubt its last batch is no older.
  private func authorisesFromMemory(_ partition: Int32) -> Bool {
    let p = Int(partition)
    return tick <= leaseUntil
      && (partitions[p].doubt == .none || tick - partitions[p].joinedOnAt < Limits.leaseMilliseconds)
  }

  /// Whether the session has still to read what happened in the chat: a removal may be among it that a doubt
  /// has jumped over.
  private func isBehind(_ session: SessionPointer, in chat: UnsafeRawBufferPointer) -> Bool {
    guard session.pointee.firstListener >= 0, let number = chatNames.find(chat),
      let listener = listener(of: session, in: number)
    else { return false }
    // One that has read the removal has it before the shard stands there.
    return listeners[listener].pointee.state == .behind || listeners[listener].pointee.isRemoved
  }

  /// The view's answer to `isKnownMember`.
  func confirmed(
    _ id: SessionID, frame: [UInt8], asked: Tick, floor: Seq, _ answer: borrowing ViewAnswer
  ) {
    guard let session = find(id) else { return }
    let isMember = answer.member != nil
    // One that was long under way may be older than a removal.
    let isOld = tick - asked >= Limits.leaseMilliseconds
    let hasFailed = answer.hasFailed || answer.isRebuilding || isOld || answer.applied < floor
    let isPublic = answer.room?.isPublic ?? false
    frame.withUnsafeBytes { text in
      if isMember, !hasFailed {
        serve(session, text, isConfirmed: true)
      } else {
        let code: ErrorCode = hasFailed ? .unavailable : isPublic ? .forbidden : .notFound
        refuse(
          session, code, id: (try? Request(text)).flatMap { requestID($0) },
          hasFailed ? "membership cannot be read now" : refusal(code),
          retry: hasFailed ? 1000 : 0)
      }
    }
    if session.pointee.phase != .free { resume(session, .confirming) }
  }

  func partition(of chat: UnsafeRawBufferPointer) -> Int32 {
    Partition.of(chat, count: configuration.partitions)
  }

  // MARK: What goes to the log

  private func send(
    _ session: SessionPointer, _ request: borrowing Request, _ text: UnsafeRawBufferPointer,
    id: UnsafeRawBufferPointer, isConfirmed: Bool
  ) {
    guard let chat = chat(session, request, .to, id: id) else { return }
    guard let body = request.json(.body) else {
      return refuse(session, .badRequest, id: id, "body is missing")
    }
    guard body.count <= limits.bodyBytes else {
      return refuse(session, .tooLarge, id: id, "the body is over the limit")
    }
    guard let isRepeat = flag(session, request, .retry, id: id) else { return }
    // A repeat is judged by the owner, where the first one was.
    guard isRepeat || isConfirmed || isKnownMember(session, chat, text) else { return }
    append(
      session, .message, pending: isRepeat ? .repeatedSend : .send, isRepeat: isRepeat, chat: chat.bytes,
      id: id,
      body: body)
  }

  private func change(
    _ session: SessionPointer, _ type: RequestType, _ request: borrowing Request, id: UnsafeRawBufferPointer
  ) {
    guard let chat = chat(session, request, .chat, id: id) else { return }
    guard case .room = chat.name else {
      return refuse(session, .badRequest, id: id, "a direct chat has its two users, always")
    }
    guard let isRepeat = flag(session, request, .retry, id: id) else { return }
    var body = UnsafeRawBufferPointer(start: nil, count: 0)
    var kind = RecordKind.join
    if type == .leave { kind = .leave }
    if type == .create {
      kind = .create
      guard let isPublic = flag(session, request, .isPublic, id: id) else { return }
      let name = request.text(.name, &nameScratch)
      let isMistaken = request.has(.name) ? name == nil : false
      guard !isMistaken, (name?.count ?? 0) <= Limits.roomNameBytes else {
        return refuse(session, .badRequest, id: id, "name must be a string of at most 128 bytes")
      }
      bodyScratch.removeAll()
      bodyScratch.append("{\"name\":\"")
      if let name { bodyScratch.append(jsonEscaping: name) }
      bodyScratch.append(isPublic ? "\",\"public\":true}" : "\",\"public\":false}")
      body = bodyScratch.bytes
    }
    append(session, kind, pending: .change, isRepeat: isRepeat, chat: chat.bytes, id: id, body: body)
  }

  /// An optional `true` or `false`, false where it is absent; nil, and answered, where it is something else.
  private func flag(
    _ session: SessionPointer, _ request: borrowing Request, _ field: Request.Field,
    id: UnsafeRawBufferPointer
  ) -> Bool? {
    guard request.has(field) else { return false }
    if let value = request.bool(field) { return value }
    refuse(session, .badRequest, id: id, "retry and public must be true or false")
    return nil
  }

  private func append(
    _ session: SessionPointer, _ kind: RecordKind, pending: Pending.Kind, isRepeat: Bool,
    chat: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer
  ) {
    let user = userNames.bytes(session.pointee.user)
    let device = deviceName(session)
    let size = AppendCodec.overhead + chat.count + user.count + device.count + id.count + body.count
    guard appends.count + size <= appendRoom else {
      return refuse(session, .busy, id: id, refusal(.busy), retry: 1000)
    }
    let number = addPending(session, pending, id: id, chat: chat)
    let partition = partition(of: chat)
    pendings[session.pointee.lastPending].pointee.position = partitions[Int(partition)].position
    counters.sends += 1
    appendCount += 1
    AppendCodec.encode(
      Append(
        partition: partition, kind: kind, isRepeat: isRepeat,
        origin: Origin(epoch: epoch, session: session.pointee.id, request: number),
        time: wall, chat: chat, from: user, device: device, id: id, body: body),
      into: &appends)
  }

  // MARK: What is not stored in the log

  private func read(
    _ session: SessionPointer, _ request: borrowing Request, _ text: UnsafeRawBufferPointer,
    id: UnsafeRawBufferPointer?, isConfirmed: Bool
  ) {
    guard let chat = chat(session, request, .chat, id: id) else { return }
    guard let seq = request.integer(.seq), seq >= 0 else {
      return refuse(session, .badRequest, id: id, "seq must be a whole number")
    }
    guard isConfirmed || isKnownMember(session, chat, text) else { return }
    reads.append(
      ReadMark(
        chat: Array(chat.bytes), user: Array(userNames.bytes(session.pointee.user)), seq: seq,
        origin: session.pointee.id))
    if let id { sendPlain(session, "ok", id: id) }
  }

  private func typing(
    _ session: SessionPointer, _ request: borrowing Request, _ text: UnsafeRawBufferPointer,
    id: UnsafeRawBufferPointer?, isConfirmed: Bool
  ) {
    guard let chat = chat(session, request, .chat, id: id) else { return }
    guard let isOn = request.bool(.on) else {
      return refuse(session, .badRequest, id: id, "on must be true or false")
    }
    guard isConfirmed || isKnownMember(session, chat, text) else { return }
    bodyScratch.removeAll()
    bodyScratch.append("{\"type\":\"typing\",\"chat\":\"")
    bodyScratch.append(chat.bytes)
    bodyScratch.append("\",\"user\":\"")
    bodyScratch.append(userNames.bytes(session.pointee.user))
    bodyScratch.append(isOn ? "\",\"on\":true}" : "\",\"on\":false}")
    ephemerals.append(
      Ephemeral(chat: Array(chat.bytes), origin: session.pointee.id, json: Array(bodyScratch.bytes)))
  }

  // MARK: Questions to the view

  private func history(
    _ session: SessionPointer, _ request: borrowing Request, id: UnsafeRawBufferPointer
  ) {
    guard let chat = chat(session, request, .chat, id: id), let limit = limit(session, request, 50, id: id)
    else { return }
    let isForward = request.has(.after)
    let field: Request.Field = isForward ? .after : .before
    var seq: Seq = 0
    if request.has(field) {
      let hasBoth = isForward ? request.has(.before) : false
      guard let given = request.integer(field), given >= 0, !hasBoth else {
        return refuse(session, .badRequest, id: id, "before or after, a whole number")
      }
      seq = given
      // Nothing comes before the first event, while 0 stands for "the newest" in a query.
      if !isForward, given == 0 { seq = 1 }
    }
    let number = addPending(session, .query, id: id, chat: chat.bytes)
    askHistory(session, number, chat: chat.bytes, seq: seq, limit: limit, isForward: isForward)
  }

  func askHistory(
    _ session: SessionPointer, _ number: UInt32, chat: UnsafeRawBufferPointer, seq: Seq, limit: Int,
    isForward: Bool
  ) {
    ask(
      .history(session.pointee.id, request: number, limit: limit, isForward: isForward),
      ViewQuery(
        tag: 0, partition: partition(of: chat), what: isForward ? .eventsAfter(seq) : .eventsBefore(seq),
        chat: Array(chat), user: Array(userNames.bytes(session.pointee.user)), limit: limit,
        bytes: Limits.serverFrameBytes - Limits.frameOverheadBytes))
  }

  private func members(
    _ session: SessionPointer, _ request: borrowing Request, id: UnsafeRawBufferPointer
  ) {
    guard let chat = chat(session, request, .chat, id: id),
      let limit = limit(session, request, Limits.pageRows, id: id),
      let after = name(session, request, id: id)
    else { return }
    let number = addPending(session, .query, id: id, chat: chat.bytes)
    ask(
      .members(session.pointee.id, request: number),
      ViewQuery(
        tag: 0, partition: partition(of: chat.bytes), what: .members(after: after), chat: Array(chat.bytes),
        user: Array(userNames.bytes(session.pointee.user)), limit: limit, bytes: Limits.listBytes))
  }

  private func listChats(
    _ session: SessionPointer, _ request: borrowing Request, id: UnsafeRawBufferPointer
  ) {
    guard let limit = limit(session, request, Limits.pageRows, id: id),
      let after = name(session, request, id: id)
    else { return }
    let number = addPending(session, .query, id: id, chat: UnsafeRawBufferPointer(start: nil, count: 0))
    let listing = ChatListing(partitions: partitions.count, limit: limit)
    for partition in 0..<configuration.partitions {
      ask(
        .chats(session.pointee.id, request: number, listing),
        ViewQuery(
          tag: 0, partition: partition, what: .chats(after: after),
          user: Array(userNames.bytes(session.pointee.user)), limit: limit, bytes: Limits.listBytes))
    }
  }

  private func limit(
    _ session: SessionPointer, _ request: borrowing Request, _ standard: Int, id: UnsafeRawBufferPointer
  ) -> Int? {
    guard request.has(.limit) else { return standard }
    if let limit = request.integer(.limit), limit >= 1, limit <= Limits.pageRows { return Int(limit) }
    refuse(session, .badRequest, id: id, "limit must be 1-100")
    return nil
  }

  /// `after` where it is a name: whatever string, since it only says where the list goes on.
  private func name(
    _ session: SessionPointer, _ request: borrowing Request, id: UnsafeRawBufferPointer
  ) -> [UInt8]? {
    guard request.has(.after) else { return [] }
    if let after = request.text(.after, &nameScratch), after.count <= Limits.chatBytes { return Array(after) }
    refuse(session, .badRequest, id: id, "after must be a name")
    return nil
  }

  /// Puts a question to the view, under a new tag.
  func ask(_ read: ViewRead, _ query: ViewQuery) {
    lastTag += 1
    var query = query
    query.tag = lastTag
    let p = Int(query.partition)
    let ahead = read.session.flatMap { find($0) }.map { stands($0, partition: p) } ?? 0
    viewReads[lastTag] = ViewQuestion(read: read, floor: max(partitions[p].position, ahead))
    queries.append(query)
  }
}
