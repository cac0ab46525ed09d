import CAssets
import JSON

/// What a request asks for, judged by its method and path alone.
enum Route: Equatable {
  case webSocket
  case echo
  /// A file of the web page.
  case asset(UnsafePointer<asset>)
  case health
  case readiness
  case metrics
  case notFound
  /// The path exists and knows no such method.
  case methodNotAllowed

  /// Which of our ports a request came in at.
  enum Port {
    /// For clients; `/echo` is there where the configuration asks for it.
    case main(hasEcho: Bool)
    case admin
  }

  init(port: Port, method: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer) {
    guard let route = Route.find(port: port, path: path) else {
      self = .notFound
      return
    }
    let isRead = sameBytes(method, "GET") || (sameBytes(method, "HEAD") && !route.isUpgrade)
    self = isRead ? route : .methodNotAllowed
  }

  /// Whether the route is a WebSocket's.
  var isUpgrade: Bool { self == .webSocket || self == .echo }

  private static func find(port: Port, path: UnsafeRawBufferPointer) -> Route? {
    if sameBytes(path, "/healthz") { return .health }
    if sameBytes(path, "/readyz") { return .readiness }
    switch port {
    case .admin: return sameBytes(path, "/metrics") ? .metrics : nil
    case .main(let hasEcho):
      if sameBytes(path, "/ws") { return .webSocket }
      if hasEcho && sameBytes(path, "/echo") { return .echo }
      guard let start = path.baseAddress else { return nil }
      return assets_find(start, path.count).map { .asset($0) }
    }
  }
}
