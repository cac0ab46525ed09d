/// Milliseconds since the run began, the same for all threads.
enum RunClock {
  private static let start = ContinuousClock.now

  static var milliseconds: Int {
    let passed = start.duration(to: .now).components
    return Int(passed.seconds) * 1_000 + Int(passed.attoseconds / 1_000_000_000_000_000)
  }
}
