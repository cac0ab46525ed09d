import Glibc
import Simulation
import Synchronization

/// Many seeds on a few threads.
final class Campaign: Sendable {
  struct Outcome: Sendable {
    var runs = 0
    var steps = 0
    var virtualMilliseconds: Int64 = 0
    var coverage = Coverage()
    var failures: [SimulationResult] = []

    mutating func add(_ result: SimulationResult) {
      runs += 1
      steps += result.steps
      virtualMilliseconds += result.virtualMilliseconds
      coverage.add(result.coverage, isRun: true)
      if !result.violations.isEmpty { failures.append(result) }
    }
  }

  /// Failures that are kept; who breaks more often than that is broken enough.
  static let failuresMax = 50

  private let options: SimulatorOptions
  private let next: Atomic<UInt64>
  private let isOver = Atomic<Bool>(false)
  private let outcome = Mutex(Outcome())

  init(_ options: SimulatorOptions) {
    self.options = options
    next = Atomic(options.first)
  }

  func run() -> Outcome {
    let threads = (0..<options.threads).map { _ in WorkerThread { self.work() } }
    for thread in threads { thread.join() }
    return outcome.withLock { outcome in
      outcome.failures.sort { $0.options.seed < $1.options.seed }
      return outcome
    }
  }

  private func work() {
    while !isOver.load(ordering: .relaxed) {
      let seed = next.wrappingAdd(1, ordering: .relaxed).oldValue
      guard seed < options.first + options.seeds else { return }
      var run = options.run
      run.seed = seed
      let result = options.isEmbedded ? Simulation.runEmbedded(run) : Simulation.run(run)
      let failures = outcome.withLock { outcome in
        outcome.add(result)
        return outcome.failures.count
      }
      if failures >= Campaign.failuresMax || failures > 0 && options.stopsAtFailure {
        isOver.store(true, ordering: .relaxed)
      }
    }
  }
}

/// A thread with a stack of the usual size of a program's own.
final class WorkerThread {
  private var handle = pthread_t()

  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  init(_ run: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, 8 << 20)
    let body = Unmanaged.passRetained(Body(run))
    let failure = pthread_create(
      &handle, &attributes,
      { context in
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, body.toOpaque())
    precondition(failure == 0, "no thread can be made")
    pthread_attr_destroy(&attributes)
  }

  func join() { pthread_join(handle, nil) }
}
