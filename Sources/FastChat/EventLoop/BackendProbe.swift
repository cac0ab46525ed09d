/// Which ways to wait for sockets this kernel offers, found out by trying.
public struct BackendReport: Sendable, CustomStringConvertible {
  /// A thing the loop uses of io_uring. Without a required one it takes epoll; the others only save time.
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
    /// For people: the errno's words, or what did not happen.
    public let reason: String
  }

  /// io_uring's features that work here.
  public internal(set) var present: [Feature] = []
  public internal(set) var missing: [Missing] = []

  /// Whether a loop can run on io_uring here.
  public var supportsIOUring: Bool { !missing.contains { $0.feature.isRequired } }

  /// The backends that a loop can run on here, the preferred one first.
  public var backends: [BackendKind] { supportsIOUring ? [.ioUring, .epoll] : [.epoll] }

  /// One line for the log: what is used, and what is missing.
  public var description: String {
    let absent = missing.map { "\($0.feature.rawValue) (\($0.reason))" }.joined(separator: ", ")
    guard supportsIOUring else { return "epoll; io_uring lacks \(absent)" }
    let used = present.filter { $0 != .ring }.map(\.rawValue).joined(separator: ", ")
    return "io_uring with \(used)" + (absent.isEmpty ? "" : "; without \(absent)")
  }
}

/// What a loop runs on.
public enum BackendKind: String, Sendable, CaseIterable {
  case ioUring = "io_uring"
  case epoll
}
