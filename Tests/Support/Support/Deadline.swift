/// When a test stops waiting. Deadlines are guards against hanging, never measures of speed.
public struct Deadline: Sendable {
  private let instant: ContinuousClock.Instant

  public static func after(_ duration: Duration) -> Deadline {
    Deadline(instant: ContinuousClock.now.advanced(by: duration))
  }

  /// What every wait gets that names no deadline: far above what a busy machine needs.
  public static var usual: Deadline { after(.seconds(20)) }

  public var hasPassed: Bool { ContinuousClock.now >= instant }

  /// Milliseconds until then, rounded up, for `poll`; 0 once it has passed.
  public var milliseconds: Int32 {
    let left = ContinuousClock.now.duration(to: instant).components
    guard left.seconds >= 0, left.attoseconds >= 0 else { return 0 }
    return Int32(min(left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1, 1_000_000))
  }
}

/// Why a test cannot go on.
public struct TestFailure: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
