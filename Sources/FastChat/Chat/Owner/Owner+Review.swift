/// Reading the view, and what follows from where it stands.
extension Owner {
  /// Milliseconds that another owner's rebuild may make no progress before it is taken over, and from one
  /// look at it to the next.
  static let rebuildPatienceMilliseconds: Tick = 10_000
  static let rebuildLookMilliseconds: Tick = 1_000

  struct Review {
    /// Nothing is left of a place of this owner's own: it begins where the view stands.
    var isFresh = true
    /// Outcomes above it are wanted, and above `after` not read yet.
    var wanted: Seq = 0
    var after: Seq = 0
    /// The view that the pages read so far are of.
    var view: ViewID?
    /// Another owner's rebuild as it was seen, and since when it stands there.
    var others: ViewState?
    var othersSince: Tick = 0
  }

  /// Begins where the view stands, whoever brought it there.
  func takeOver() {
    forget()
    counters.takeovers += 1
    review = Review()
    phase = .reviewing
  }

  /// The view refused a batch: it stands elsewhere.
  func lookAgain() {
    pass = nil
    review = Review(isFresh: false, wanted: position, after: position)
    phase = .reviewing
  }

  func advanceReview() {
    guard viewQuestion.isFree(at: tick) else { return }
    let tag = nextTag()
    viewQuestion.ask(tag)
    actions.append(.readView(tag: tag, outcomesAfter: review.after))
  }

  public func viewRead(_ answer: ViewStateAnswer) {
    guard viewQuestion.takes(answer.tag) else { return }
    guard !answer.hasFailed else { return viewQuestion.failed(at: tick) }
    viewQuestion.succeeded()
    if let view = review.view, view != answer.state.id {
      // It was replaced between two pages.
      if review.isFresh { outcomes = [:] }
      review.view = nil
      review.after = review.wanted
      return advance()
    }
    for row in answer.outcomes { outcomes[row.seq] = row }
    if answer.hasMore, let last = answer.outcomes.last {
      review.view = answer.state.id
      review.after = last.seq
    } else {
      review.view = nil
      review.after = review.wanted
      decide(answer.state)
    }
    advance()
  }

  private func decide(_ state: ViewState) {
    guard let id = state.id else { return beginRebuild(of: state) }
    guard review.isFresh else { return id == view ? decide(own: state) : decide(others: state) }
    guard let applied = state.applied else { return beginRebuild(of: state) }
    view = id
    if state.rebuildingUntil != nil { return continueRebuild(of: state) }
    if let committed, applied < committed { return beginRebuild(of: state) }
    ledger.restart()
    beginFill(
      Fill(target: applied, hash: state.hash, appended: state.appended), from: takeoverPlace(state, applied))
  }

  /// Where reading begins so that the dedupe table, and the rows that may not have been committed, are
  /// whole; nil where nothing of this log was applied yet.
  func takeoverPlace(_ state: ViewState, _ applied: Seq) -> LogPlace? {
    if applied <= SeqSpace.nothingYet(generation: configuration.generation) { return nil }
    if state.hash == 0 || committed == nil { return .beginning }
    return .time(state.appended - Limits.dedupeSpanMilliseconds)
  }

  /// The view is the one that this owner wrote to.
  private func decide(own state: ViewState) {
    // Lower: the view went back.
    guard let applied = state.applied, applied >= position else { return beginRebuild(of: state) }
    if state.rebuildingUntil == nil {
      if rebuild != nil { endRebuild() }
    } else if rebuild == nil {
      return takeOver()
    }
    // Higher: an answer was lost, or another owner applies. What lies between is not hinted from here.
    beginFill(Fill(target: applied, hash: state.hash, appended: state.appended, last: position), from: nil)
  }

  /// Another owner rebuilt the view, or is about to.
  private func decide(others state: ViewState) {
    guard state.applied == nil || state.rebuildingUntil != nil else { return takeOver() }
    if review.others != state {
      review.others = state
      review.othersSince = tick
    } else if tick - review.othersSince >= Self.rebuildPatienceMilliseconds {
      return takeOver()
    }
    viewQuestion.wait(until: tick + Self.rebuildLookMilliseconds)
  }
}
