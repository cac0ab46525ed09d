import CLinuxIO

/// What a loop runs on.
public enum BackendKind: String, Sendable, CaseIterable {
  case ioUring = "io_uring"
  case epoll
}

/// What `BackendProbe` found.
public struct BackendReport: Sendable, CustomStringConvertible {
  /// A thing that the loop uses of io_uring. Without a required one it takes epoll; the others save time.
  public enum Feature: String, Sendable, CaseIterable {
    case ring = "io_uring"
    case waitWithTimeout = "EXT_ARG"
    case noDrop = "NODROP"
    case stableSubmission = "SUBMIT_STABLE"
    case bufferRing = "provided buffer ring"
    case multishotAccept = "multishot accept"
    case multishotReceive = "multishot recv"
    case singleIssuer = "SINGLE_ISSUER"
    case deferredTaskRun = "DEFER_TASKRUN"
    case cooperativeTaskRun = "COOP_TASKRUN"
    case submitAll = "SUBMIT_ALL"
    case registeredRing = "registered ring descriptor"

    public var isRequired: Bool {
      switch self {
      case .ring, .waitWithTimeout, .noDrop, .stableSubmission, .bufferRing, .multishotAccept,
        .multishotReceive:
        true
      case .singleIssuer, .deferredTaskRun, .cooperativeTaskRun, .submitAll, .registeredRing: false
      }
    }
  }

  public struct Missing: Sendable, Hashable {
    public let feature: Feature
    /// For people: the errno's words.
    public let reason: String
  }

  /// io_uring's features that work here.
  public private(set) var present: Set<Feature> = []
  public private(set) var missing: [Missing] = []

  package mutating func note(_ feature: Feature, _ result: Int32) {
    if result >= 0 {
      present.insert(feature)
    } else {
      fail(feature, describe(errno: -result))
    }
  }

  /// Takes a feature back, for what turned out later.
  package mutating func fail(_ feature: Feature, _ reason: String) {
    present.remove(feature)
    missing.append(Missing(feature: feature, reason: reason))
  }

  /// Whether a loop can run on io_uring here.
  public var supportsIOUring: Bool {
    Feature.allCases.allSatisfy { !$0.isRequired || present.contains($0) }
  }

  /// The backends that a loop can run on here, the preferred one first.
  public var backends: [BackendKind] { supportsIOUring ? [.ioUring, .epoll] : [.epoll] }

  package init() {}

  /// What a loop takes for a choice; throws `unsupported` where io_uring is forced and lacks something.
  public func backend(for choice: LoopConfiguration.BackendChoice) throws(LoopError) -> BackendKind {
    switch choice {
    case .epoll: return .epoll
    case .automatic: return supportsIOUring ? .ioUring : .epoll
    case .ioUring:
      guard supportsIOUring else { throw .unsupported("io_uring lacks \(list(required: true))") }
      return .ioUring
    }
  }

  /// One line for the log: what io_uring offers here, and what is missing.
  public var description: String {
    guard supportsIOUring else { return "epoll, since io_uring lacks \(list(required: true))" }
    let used = Feature.allCases.filter { $0 != .ring && present.contains($0) }
    let absent = list(required: false)
    return "io_uring with " + used.map(\.rawValue).joined(separator: ", ")
      + (absent.isEmpty ? "" : "; without \(absent)")
  }

  private func list(required: Bool) -> String {
    let relevant = missing.filter { $0.feature.isRequired == required }
    guard !relevant.isEmpty || !required else { return "a probe" }
    return relevant.map { "\($0.feature.rawValue) (\($0.reason))" }.joined(separator: ", ")
  }

  // MARK: Set-up flags

  /// The features that are asked for when the ring is set up, alone or with the one they depend on.
  static let setupFlags: [(Feature, UInt32)] = [
    (.singleIssuer, IORING_SETUP_SINGLE_ISSUER),
    (.deferredTaskRun, IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER),
    (.cooperativeTaskRun, IORING_SETUP_COOP_TASKRUN),
    (.submitAll, IORING_SETUP_SUBMIT_ALL),
  ]

  /// Those that work, together.
  var setupFlags: UInt32 {
    Self.setupFlags.reduce(0) { present.contains($1.0) ? $0 | $1.1 : $0 }
  }
}
