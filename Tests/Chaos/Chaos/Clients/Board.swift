import Synchronization

/// What the devices of a run share: what phase it is, which fault is under way, and what was seen. Any thread
/// may use it.
final class Board: Sendable {
  enum Phase: Sendable {
    /// Send, receive, come and go.
    case load
    /// Stay, and settle what is pending; nothing new.
    case settle
    /// Come back once more with the cursors, and end once everything that is owed was handed over.
    case finish
    /// End at once.
    case abandon
  }

  private struct State {
    var phase = Phase.load
    var events: [String: [Int: ChatEvent]] = [:]
    /// By chat: the highest seq that anybody was told, by an event or an ack.
    var heads: [String: Int] = [:]
    var seen: [String] = []
    var settled: Set<Int> = []
    var finished: Set<Int> = []
    var sentAt: [String: Sending] = [:]
    var sent = 0
    var acknowledged = 0
    var delivered = 0
    var waiting: [Int: (since: Int, what: String)] = [:]
    var interruptions = Interruptions()
  }

  private struct Sending {
    let at: Int
    let device: Int
  }

  /// Differences that are kept; the judge tells of fewer.
  private static let seenMax = 100

  private let state = Mutex(State())

  var phase: Phase { state.withLock { $0.phase } }
  func enter(_ phase: Phase) { state.withLock { $0.phase = phase } }

  // MARK: What devices tell

  /// A message that its user wrote at that time.
  func sending(_ id: String, by device: Int, at time: Int) {
    state.withLock {
      $0.sentAt[id] = Sending(at: time, device: device)
      $0.sent += 1
    }
  }

  func acknowledged(_ id: String, seq: Int, in chat: String, by device: Int) {
    let now = RunClock.milliseconds
    state.withLock { state in
      state.heads[chat] = max(state.heads[chat] ?? 0, seq)
      guard let sending = state.sentAt[id] else { return }
      state.acknowledged += 1
      state.interruptions.add(
        .acknowledgement, from: sending.at, to: now, devices: [device],
        story: "\(id) in \(chat), written at \(sending.at) ms")
    }
  }

  /// An event that a device was handed.
  /// - Parameter onlineSince: since when the device has wanted to be connected.
  func handed(_ event: ChatEvent, of chat: String, to device: Int, _ name: String, onlineSince: Int) {
    let now = RunClock.milliseconds
    state.withLock { state in
      if let known = state.events[chat]?[event.seq] {
        if known.text != event.text {
          Self.note("\(chat): \(event.seq) is \(known.text), and to others \(event.text)", &state)
        }
      } else {
        state.events[chat, default: [:]][event.seq] = event
        state.heads[chat] = max(state.heads[chat] ?? 0, event.seq)
      }
      guard case .message(_, let id) = event.kind, let sending = state.sentAt[id], sending.device != device
      else { return }
      state.delivered += 1
      state.interruptions.add(
        .delivery, from: max(sending.at, onlineSince), to: now, devices: [device, sending.device],
        story: "\(id) in \(chat), written at \(sending.at) ms, to \(name), online since \(onlineSince) ms")
    }
  }

  /// The device is on an instance that a fault hits, or tries to get there.
  func isHit(_ device: Int) { state.withLock { $0.interruptions.hit(device) } }

  /// How long the device's oldest request has been waiting: what holds the next fault back.
  func waits(_ device: Int, since: Int?, for what: @autoclosure () -> String = "") {
    state.withLock { $0.waiting[device] = since.map { (since: $0, what: what()) } }
  }
  func settled(_ device: Int, _ isSettled: Bool) {
    state.withLock { state in
      if isSettled { state.settled.insert(device) } else { state.settled.remove(device) }
    }
  }
  func finished(_ device: Int) { state.withLock { _ = $0.finished.insert(device) } }

  func head(_ chat: String) -> Int { state.withLock { $0.heads[chat] ?? 0 } }
  func heads() -> [String: Int] { state.withLock { $0.heads } }

  // MARK: What the director asks and tells

  /// A fault begins; what is measured from now on is its.
  func begin(_ fault: String, hitsAll: Bool) {
    let now = RunClock.milliseconds
    state.withLock { $0.interruptions.begin(fault, hitsAll: hitsAll, at: now) }
  }

  var settledCount: Int { state.withLock { $0.settled.count } }
  var finishedCount: Int { state.withLock { $0.finished.count } }
  var counts: (sent: Int, acknowledged: Int, delivered: Int) {
    state.withLock { ($0.sent, $0.acknowledged, $0.delivered) }
  }
  /// The longest that anything has been waiting now, in milliseconds.
  var longestWait: Int {
    let now = RunClock.milliseconds
    return state.withLock { now - ($0.waiting.values.map(\.since).min() ?? now) }
  }
  /// What that is.
  var longestWaitStory: String {
    state.withLock { $0.waiting.values.min { $0.since < $1.since }?.what ?? "nothing" }
  }

  var interruptions: Interruptions { state.withLock { $0.interruptions } }
  func evidence() -> Evidence {
    state.withLock {
      var evidence = Evidence()
      evidence.events = $0.events
      evidence.seen = $0.seen
      return evidence
    }
  }

  private static func note(_ difference: String, _ state: inout State) {
    if state.seen.count < seenMax { state.seen.append(difference) }
  }
}
