/// Requests whose outcome counts: messages, and changes of members and rooms.
extension ClientMachine {
  /// Answers to a first request that changed nothing and may be better later.
  private static let laterCodes: Set<String> = ["rate-limited", "busy", "unauthorized"]
  /// Answers after which nobody knows whether it happened.
  private static let indefiniteCodes: Set<String> = ["unavailable", "internal"]
  /// After one of those, only these refusals settle a repeat (PROTOCOL, "Errors").
  private static let settlingCodes: Set<String> = ["forbidden", "not-found", "exists"]
  /// Bytes that a frame grows by when it is sent: the mark of a repeat and the brace.
  private static let frameTailBytes = 14

  /// Takes a request. It is kept before it is sent.
  func submit(_ request: Pending, _ moment: Moment) {
    now = moment
    guard phase != .ended else { return perform(.settled(id: request.id, .failure(.stopped))) }
    perform(.keep(request))
    pendingCount += 1
    lanes[request.chat, default: Lane()].queue.append(request)
    pump(request.chat)
  }

  /// Sends the chat's next request, if it is its turn.
  func pump(_ chat: String) {
    while phase == .live, let lane = lanes[chat], !lane.isUnderWay, !lane.isWaiting, lane.lookup == nil,
      var first = lane.queue.first
    {
      // A gap waits for the answers under way; were the next one sent first, it would wait for ever.
      if let gap = chats[chat]?.gap, !gap.isAsking, timers[.gap(chat)] == nil {
        closeGap(chat)
        continue
      }
      if first.isDoubtful, !first.needsLookup,
        serverNow - first.firstSent > dedupe - Lane.dedupeMarginMilliseconds
      {
        first.needsLookup = true
        lanes[chat]?.queue[lane.queue.startIndex] = first
      }
      if first.needsLookup {
        guard !first.isMessage else {
          lanes[chat]?.lookup = Lane.Lookup()
          return askLookup(chat)
        }
        refuse(
          first,
          ClientError(
            .timedOut, "nobody knows whether it happened: the server can no longer tell",
            advice: "look, and ask anew"))
      } else if first.text.utf8.count + Self.frameTailBytes > frameBytes, !first.isDoubtful {
        refuse(
          first, ClientError(.tooLarge, "it is larger than the \(frameBytes) bytes that this server takes"))
      } else if underWay.count >= Lane.underWayMax {
        return crowded.append(chat)
      } else {
        send(first, chat)
      }
    }
  }

  private func send(_ request: Pending, _ chat: String) {
    let start = lanes[chat]!.queue.startIndex
    if !request.isDoubtful { lanes[chat]!.queue[start].firstSent = serverNow }
    lanes[chat]!.isUnderWay = true
    underWay[request.id] = chat
    set(.lane(chat), after: Self.answerMilliseconds)
    write(request.text + (request.isDoubtful ? ",\"retry\":true}" : "}"))
  }

  func laneIsDue(_ chat: String) {
    guard lanes[chat]?.isUnderWay != true else {
      return breakOff(ClientError(.network, "the server does not answer"))
    }
    lanes[chat]?.isWaiting = false
    pump(chat)
  }

  /// Takes a request out of its lane; nil where it is settled already, or never was one.
  func take(_ id: String, of chat: String) -> Pending? {
    guard var lane = lanes.removeValue(forKey: chat) else { return nil }
    var taken: Pending?
    if let place = lane.queue.firstIndex(where: { $0.id == id }) {
      taken = place == lane.queue.startIndex ? lane.queue.removeFirst() : lane.queue.remove(at: place)
      pendingCount -= 1
    }
    if !lane.queue.isEmpty || lane.isUnderWay || lane.isWaiting || lane.lookup != nil { lanes[chat] = lane }
    return taken
  }

  /// An answer came: the lane is free.
  private func answerCame(_ id: String) -> String? {
    guard let chat = underWay.removeValue(forKey: id) else { return nil }
    lanes[chat]?.isUnderWay = false
    timers[.lane(chat)] = nil
    if lanes[chat]?.queue.isEmpty == true, lanes[chat]?.lookup == nil { lanes[chat] = nil }
    return chat
  }

  private func goOn(_ chat: String) {
    closeGap(chat)
    pump(chat)
    while underWay.count < Lane.underWayMax, !crowded.isEmpty { pump(crowded.removeFirst()) }
  }

  func acknowledged(_ frame: ServerFrame) {
    guard let id = frame.id, let chat = answerCame(id) else { return }
    if let request = take(id, of: chat) {
      var mark: Mark?
      if frame.kind == .ack, noteOwn(frame.seq, chat) { mark = .own(chat: chat, seq: frame.seq) }
      settle(request, mark, seq: frame.seq, time: frame.time, json: frame.text)
    }
    goOn(chat)
  }

  /// Remembers what this device sent, until the server has replayed it. It moves no cursor: another's event
  /// with a lower seq may be under way.
  func noteOwn(_ seq: Int64, _ chat: String) -> Bool {
    if chats[chat] == nil {
      chats[chat] = ChatState(cursor: isReturning ? 0 : nil)
      chats[chat]?.isSeen = true
    }
    guard var state = chats.removeValue(forKey: chat) else { return false }
    defer { chats[chat] = state }
    state.known = max(state.known, seq)
    guard seq > state.cursor ?? 0 else { return false }
    state.own.insert(seq)
    return true
  }

  func settle(_ request: Pending, _ mark: Mark?, seq: Int64, time: Int64, json: String?) {
    let receipt = Receipt(
      id: request.id, chat: request.chat, seq: seq, time: time,
      json: json
        ?? "{\"type\":\"ack\",\"id\":\(quoted(request.id)),\"chat\":\(quoted(request.chat)),\"seq\":\(seq),\"time\":\(time)}"
    )
    perform(.hand(.sent(receipt), [.settled(id: request.id)] + (mark.map { [$0] } ?? [])))
    perform(.settled(id: request.id, .success(receipt)))
  }

  private func refuse(_ request: Pending, _ error: ClientError, json: String? = nil) {
    _ = take(request.id, of: request.chat)
    let code =
      if case .refused(let code) = error.kind { code } else {
        error.kind == .tooLarge ? "too-large" : "unavailable"
      }
    let refusal = Refusal(
      id: request.id, chat: request.chat, request: request.text + "}", error: error,
      json: json
        ?? "{\"type\":\"error\",\"id\":\(quoted(request.id)),\"code\":\"\(code)\",\"message\":\(quoted(error.description))}"
    )
    tell(.refused(refusal), .settled(id: request.id))
    perform(.settled(id: request.id, .failure(error)))
  }

  func refusedRequest(_ frame: ServerFrame, _ id: String) {
    guard let chat = answerCame(id) else { return }
    defer { goOn(chat) }
    guard var lane = lanes[chat], let place = lane.queue.firstIndex(where: { $0.id == id }) else { return }
    var request = lane.queue[place]
    let error = ClientError(.refused(frame.code), frame.message.isEmpty ? frame.code : frame.message)
    let isIndefinite = Self.indefiniteCodes.contains(frame.code)
    if Self.settlingCodes.contains(frame.code)
      || (!request.isDoubtful && !isIndefinite && !Self.laterCodes.contains(frame.code))
    {
      return refuse(request, error, json: frame.text)
    }
    if isIndefinite {
      request.isDoubtful = true
    } else if request.isDoubtful, request.isMessage, !Self.laterCodes.contains(frame.code) {
      // The edge refuses the frame itself. Whether it was taken once, only the history can say.
      request.needsLookup = true
      request.refusal = error
    }
    request.tries += 1
    lane.queue[place] = request
    lane.isWaiting = true
    lanes[chat] = lane
    set(.lane(chat), after: max(frame.retry, pause(request.tries)))
  }

  /// Full jitter again, for requests.
  func pause(_ tries: Int) -> Int64 {
    Int64.random(in: 0...min(5_000, 100 << Int64(min(tries, 10))), using: &random)
  }

  // MARK: Lookups

  /// What may have been sent to this chat is looked for before it is sent again.
  func doubtAll(_ chat: String) {
    guard var lane = lanes[chat] else { return }
    for place in lane.queue.indices where lane.queue[place].isDoubtful {
      lane.queue[place].needsLookup = true
    }
    lanes[chat] = lane
  }

  func askLookup(_ chat: String) {
    guard phase == .live, let lookup = lanes[chat]?.lookup, !lookup.isAsking else { return }
    lanes[chat]?.lookup?.isAsking = true
    askHistory(.lookup(chat), chat, lookup.before.map { ",\"before\":\($0)" } ?? "")
  }

  func lookupPage(_ chat: String, _ page: ServerFrame) {
    guard let lane = lanes[chat], var lookup = lane.lookup else { return }
    for row in page.messages where row.from == user {
      guard let id = row.id, let request = take(id, of: chat) else { continue }
      let mark: Mark? = noteOwn(row.seq, chat) ? .own(chat: chat, seq: row.seq) : nil
      settle(request, mark, seq: row.seq, time: row.time, json: nil)
    }
    lookup.pages += 1
    lookup.isAsking = false
    lookup.before = page.messages.first?.seq
    lanes[chat]?.lookup = lookup
    let wanted = lanes[chat]?.queue.filter(\.needsLookup).map(\.firstSent).min()
    let oldest = page.messages.first?.time
    guard page.more, let wanted, let oldest, oldest >= wanted - Lane.lookupSlackMilliseconds,
      lookup.pages < Lane.lookupPagesMax
    else { return lookupIsComplete(chat) }
    askLookup(chat)
  }

  func lookupRefused(_ chat: String, isFinal: Bool, wait: Int64) {
    lanes[chat]?.lookup?.isAsking = false
    if isFinal { lookupIsComplete(chat) } else { set(.lookup(chat), after: wait) }
  }

  /// What was not found never happened: it is made anew, under its id.
  private func lookupIsComplete(_ chat: String) {
    guard var lane = lanes[chat] else { return }
    lane.lookup = nil
    var refused: [(Pending, ClientError)] = []
    for place in lane.queue.indices where lane.queue[place].needsLookup {
      if let refusal = lane.queue[place].refusal { refused.append((lane.queue[place], refusal)) }
      lane.queue[place].needsLookup = false
      lane.queue[place].firstSent = serverNow
    }
    lanes[chat] = lane.queue.isEmpty ? nil : lane
    for (request, error) in refused { refuse(request, error) }
    pump(chat)
  }
}
