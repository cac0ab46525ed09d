public enum Log {
  public enum Level: UInt8, CaseIterable, Sendable, Comparable {
    case debug, info, warning, error
    public var name: String {
      switch self {
      case .debug: "debug"
      case .info: "info"
      case .warning: "warning"
      case .error: "error"
      }
    }
    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }
}
