import Support
import Synchronization

/// What the devices of a ledger run share: where the server is, which round it is, and whether they are to
/// come to an end. Any thread may use it.
final class LedgerBoard: Sendable {
  enum Phase: Sendable {
    /// Send and be killed.
    case load
    /// Settle what is pending, and send nothing new.
    case settle
    /// Come back once more with the cursors, and end at `live`.
    case finish
    /// End at once: the run has failed.
    case abandon
  }

  private struct State {
    var port: UInt16
    var phase = Phase.load
    var round = 0
    var acknowledged = 0
    var settled: Set<String> = []
    var failures: [String] = []
  }

  private let state: Mutex<State>
  /// Messages that each device may send in a round.
  let share: Int

  init(port: UInt16, share: Int) {
    state = Mutex(State(port: port))
    self.share = share
  }

  var port: UInt16 { state.withLock { $0.port } }
  var phase: Phase { state.withLock { $0.phase } }
  var round: Int { state.withLock { $0.round } }
  var failures: [String] { state.withLock { $0.failures } }
  /// Sends that were settled since the round began.
  var acknowledged: Int { state.withLock { $0.acknowledged } }
  var settledDevices: Int { state.withLock { $0.settled.count } }

  func begin(round: Int, port: UInt16) {
    state.withLock {
      $0.round = round
      $0.port = port
      $0.acknowledged = 0
    }
  }

  func enter(_ phase: Phase) { state.withLock { $0.phase = phase } }
  func acknowledge() { state.withLock { $0.acknowledged += 1 } }
  func settled(_ device: String) { state.withLock { _ = $0.settled.insert(device) } }
  func fail(_ reason: String) { state.withLock { $0.failures.append(reason) } }
}
