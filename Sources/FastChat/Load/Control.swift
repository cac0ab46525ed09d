import Synchronization

/// How the threads of a run move from one phase to the next together.
final class Control: Sendable {
  enum Phase: Int {
    /// Connections are opened, sessions attached.
    case setUp = 0
    /// Load that is not counted yet.
    case warmUp
    /// Load that is counted.
    case measured
    /// Nothing new is sent; what is under way comes to its end.
    case drain
    /// Something failed, everybody leaves.
    case failed
  }

  private let current = Atomic<Int>(Phase.setUp.rawValue)
  private let readyWorkers = Atomic<Int>(0)
  private let measuringWorkers = Atomic<Int>(0)
  private let state = Mutex(State())

  private struct State {
    var outcomes: [Outcome] = []
    var failure: LoadError?
  }

  var phase: Phase { Phase(rawValue: current.load(ordering: .acquiring)) ?? .failed }

  /// Begins a phase, unless the run has failed.
  func begin(_ phase: Phase) {
    let before = current.load(ordering: .acquiring)
    guard before != Phase.failed.rawValue else { return }
    _ = current.compareExchange(
      expected: before, desired: phase.rawValue, ordering: .acquiringAndReleasing)
  }

  func fail(_ error: LoadError) {
    state.withLock { $0.failure = $0.failure ?? error }
    current.store(Phase.failed.rawValue, ordering: .releasing)
  }

  func markReady() { readyWorkers.add(1, ordering: .acquiringAndReleasing) }
  var ready: Int { readyWorkers.load(ordering: .acquiring) }

  /// A worker counts from now on: on a busy machine it may have been late for it.
  func markMeasuring() { measuringWorkers.add(1, ordering: .acquiringAndReleasing) }
  var measuring: Int { measuringWorkers.load(ordering: .acquiring) }

  func report(_ outcome: Outcome) { state.withLock { $0.outcomes.append(outcome) } }

  /// What the workers reported, all together; throws the first failure.
  func result() throws(LoadError) -> Outcome {
    let (outcomes, failure) = state.withLock { ($0.outcomes, $0.failure) }
    if let failure { throw failure }
    return outcomes.reduce(into: Outcome()) { $0.add($1) }
  }
}

/// What one worker saw in the measured window.
struct Outcome: Sendable {
  /// Echoes, copies or delivered messages.
  var messages: UInt64 = 0
  /// Payload bytes of the last of them.
  var messageBytes = 0
  /// Messages sent that caused them (for a fan-out fewer).
  var sent: UInt64 = 0
  /// From send to ack or echo, and from send to delivery.
  var answered = Histogram()
  var delivered = Histogram()

  mutating func add(_ other: Outcome) {
    messages += other.messages
    messageBytes = max(messageBytes, other.messageBytes)
    sent += other.sent
    answered.add(other.answered)
    delivered.add(other.delivered)
  }
}
