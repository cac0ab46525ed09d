/// What can go wrong while a loop or a socket is set up. Nothing on the message path throws.
public enum LoopError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A bound of the configuration does not hold.
  case configuration(String)
  /// A system call failed.
  case system(call: String, errno: Int32)
  /// The backend that was asked for lacks this feature here.
  case unsupported(String)
  /// Somebody listens on this port already.
  case portInUse(String)
  /// Not a numeric IPv4 or IPv6 address.
  case address(String)
  /// A bound of the configuration is reached: which.
  case exhausted(String)

  public var description: String {
    switch self {
    case .configuration(let what): "event loop configuration: wanted \(what)"
    case .system(let call, let code): "\(call): \(describe(errno: code))"
    case .unsupported(let feature): "event loop backend: \(feature)"
    case .portInUse(let where_): "\(where_) is in use by another process"
    case .address(let text): "not a numeric IP address: \(text)"
    case .exhausted(let what): "event loop: no more \(what)"
    }
  }
}
