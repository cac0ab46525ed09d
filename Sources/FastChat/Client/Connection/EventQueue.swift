import Synchronization

/// Events between the client's thread and its one consumer, in order, with what each changes in what is kept.
/// What the consumer confirmed goes back through the mailbox.
final class EventQueue: Sendable {
  private struct State {
    var entries: ArraySlice<(event: ClientEvent?, marks: [Mark])> = []
    /// Of the event that was handed last.
    var unconfirmed: [Mark] = []
    var waiter: CheckedContinuation<ClientEvent?, Never>?
    var isFinished = false
    /// The client's thread was told so, and waits for room.
    var wasFull = false

    /// The next event, and what is confirmed by asking for it.
    mutating func pop(_ confirmation: ClientConfiguration.Confirmation) -> (ClientEvent?, [Mark]) {
      var confirmed = unconfirmed
      unconfirmed = []
      while let entry = entries.popFirst() {
        guard let event = entry.event else {
          confirmed += entry.marks
          continue
        }
        switch confirmation {
        case .whenNextIsAskedFor: unconfirmed = entry.marks
        case .beforeHanding: confirmed += entry.marks
        }
        return (event, confirmed)
      }
      return (nil, confirmed)
    }
  }

  private let state = Mutex(State())
  private let mailbox: Mailbox
  private let confirmation: ClientConfiguration.Confirmation
  private let countMax: Int

  init(_ mailbox: Mailbox, _ configuration: ClientConfiguration) {
    self.mailbox = mailbox
    confirmation = configuration.confirmation
    countMax = max(1, configuration.eventsMax)
  }

  /// Whether the consumer is so far behind that nothing more should be read from the server.
  func isFull() -> Bool {
    state.withLock { state in
      state.wasFull = state.entries.count >= countMax
      return state.wasFull
    }
  }

  /// Whether the consumer has taken and confirmed everything.
  var isDrained: Bool { state.withLock { $0.entries.isEmpty && $0.unconfirmed.isEmpty } }

  /// Forgets the events that would be kept as handed and were not taken: at the end, so that nobody is handed
  /// them here and again by the next client.
  func dropUntaken() { state.withLock { $0.entries.removeAll { !$0.marks.isEmpty } } }

  func append(_ event: ClientEvent?, _ marks: [Mark]) {
    var waiter: CheckedContinuation<ClientEvent?, Never>?
    var next: ClientEvent?
    let confirmed = state.withLock { state in
      state.entries.append((event, marks))
      guard state.waiter != nil else { return [Mark]() }
      let (popped, confirmed) = state.pop(confirmation)
      guard popped != nil else { return confirmed }
      next = popped
      waiter = state.waiter
      state.waiter = nil
      return confirmed
    }
    confirm(confirmed)
    waiter?.resume(returning: next)
  }

  /// Nothing more comes.
  func finish() {
    let waiter = state.withLock { state in
      state.isFinished = true
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: nil)
  }

  /// The next event; nil at the end, or where the calling task was cancelled.
  func next() async -> ClientEvent? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        var event: ClientEvent?
        var isWaiting = false
        var hasRoom = false
        let confirmed = state.withLock { state in
          let (popped, confirmed) = state.pop(confirmation)
          event = popped
          hasRoom = state.wasFull && state.entries.count <= countMax / 2
          if hasRoom { state.wasFull = false }
          if event == nil, !state.isFinished, !Task.isCancelled {
            precondition(state.waiter == nil, "the events of a client have one consumer")
            state.waiter = continuation
            isWaiting = true
          }
          return confirmed
        }
        confirm(confirmed)
        if hasRoom { mailbox.post(.taken) }
        if !isWaiting { continuation.resume(returning: event) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume(returning: nil)
    }
  }

  private func confirm(_ marks: [Mark]) {
    if !marks.isEmpty { mailbox.post(.confirmed(marks)) }
  }
}
