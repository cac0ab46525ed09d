/// A thread of a simulated process: what reaches it while it stands still waits, in order.
final class SimulatedThread {
  private(set) var isDead = false
  private(set) var isStopped = false
  private var isCatchingUp = false
  private var waiting: [() -> Void] = []

  /// Does `work` now, or when the thread goes on; never once it is dead.
  func run(_ work: @escaping () -> Void) {
    if isDead { return }
    if isStopped || isCatchingUp { waiting.append(work) } else { work() }
  }

  func stop() { isStopped = true }

  func goOn() {
    isStopped = false
    guard !isCatchingUp else { return }
    isCatchingUp = true
    var next = 0
    while next < waiting.count, !isStopped, !isDead {
      waiting[next]()
      next += 1
    }
    waiting.removeFirst(min(next, waiting.count))
    isCatchingUp = false
  }

  func die() {
    isDead = true
    waiting.removeAll()
  }
}
