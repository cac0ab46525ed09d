/// Requests that only ask.
extension ClientMachine {
  /// Messages of a page, and chats of one.
  private static let pageSize = 100
  private static let laterCodes: Set<String> = ["rate-limited", "busy", "unavailable", "internal"]

  /// Takes a question of the consumer; `text` is the whole frame. It is asked again after each broken
  /// connection, until its time is over.
  func ask(_ id: String, _ text: String, _ moment: Moment) {
    now = moment
    guard phase != .ended else { return perform(.answered(id: id, .failure(.stopped))) }
    guard questions.count < Question.consumersMax else {
      return perform(
        .answered(id: id, .failure(ClientError(.full, "too many questions wait for their answers"))))
    }
    guard text.utf8.count <= frameBytes else {
      return perform(
        .answered(id: id, .failure(ClientError(.tooLarge, "it is larger than this server takes"))))
    }
    questions[id] = Question(purpose: .consumer, text: text)
    set(.deadline(id), after: configuration.answerMilliseconds)
    pose(id)
  }

  /// What needs no answer. What was read is told later where there is no connection now; typing is not.
  func noteRead(_ chat: String, _ seq: Int64, _ moment: Moment) {
    now = moment
    reads[chat] = max(seq, reads[chat] ?? 0)
    if phase == .live { tellRead(chat, reads[chat]!) }
  }

  func noteTyping(_ chat: String, _ isOn: Bool, _ moment: Moment) {
    now = moment
    if phase == .live { write("{\"type\":\"typing\",\"chat\":\(quoted(chat)),\"on\":\(isOn)}") }
  }

  func tellRead(_ chat: String, _ seq: Int64) {
    reads[chat] = nil
    write("{\"type\":\"read\",\"chat\":\(quoted(chat)),\"seq\":\(seq)}")
  }

  func pose(_ id: String) {
    guard isAttached, var question = questions[id], !question.isUnderWay else { return }
    question.isUnderWay = true
    questions[id] = question
    write(question.text)
  }

  func askHistory(_ purpose: Question.Purpose, _ chat: String, _ range: String) {
    let id = newID()
    let text =
      "{\"type\":\"history\",\"id\":\"\(id)\",\"chat\":\(quoted(chat))\(range),\"limit\":\(Self.pageSize)}"
    questions[id] = Question(purpose: purpose, text: text)
    pose(id)
  }

  func askList() {
    guard phase == .live, listedUpTo != listEnd else { return }
    let id = newID()
    let text =
      "{\"type\":\"chats\",\"id\":\"\(id)\",\"after\":\(quoted(listedUpTo)),\"limit\":\(Self.pageSize)}"
    questions[id] = Question(purpose: .list, text: text)
    pose(id)
  }

  func answered(_ frame: ServerFrame, _ id: String) {
    guard let question = questions.removeValue(forKey: id) else { return }
    switch question.purpose {
    case .consumer:
      timers[.deadline(id)] = nil
      timers[.again(id)] = nil
      perform(.answered(id: id, .success(frame)))
    case .gap(let chat): gapPage(chat, frame)
    case .lookup(let chat): lookupPage(chat, frame)
    case .list:
      for row in frame.rows { listed(row, isWelcome: false) }
      let isComplete = !frame.more || frame.rows.isEmpty
      tell(.chats(frame.rows, isComplete: isComplete))
      listedUpTo = frame.rows.last?.chat ?? listedUpTo
      if isComplete { listIsComplete() } else { askList() }
    }
  }

  func refusedQuestion(_ frame: ServerFrame, _ id: String) {
    guard let question = questions[id] else { return }
    let isLater = Self.laterCodes.contains(frame.code)
    let wait = max(frame.retry, pause(5))
    guard question.purpose != .consumer else {
      questions[id]?.isUnderWay = false
      if isLater { return set(.again(id), after: wait) }
      questions[id] = nil
      timers[.deadline(id)] = nil
      let error = ClientError(.refused(frame.code), frame.message.isEmpty ? frame.code : frame.message)
      return perform(.answered(id: id, .failure(error)))
    }
    questions[id] = nil
    switch question.purpose {
    case .gap(let chat): gapRefused(chat, isFinal: !isLater, wait: wait)
    case .lookup(let chat): lookupRefused(chat, isFinal: !isLater, wait: wait)
    case .list, .consumer: set(.list, after: wait)
    }
  }
}
