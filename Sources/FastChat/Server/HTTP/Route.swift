import WebSocket

/// What a request asks for, judged by its method and path alone.
enum Route: Equatable {
  case webSocket
  case echo
  /// A file of the web client; `/` is one of them.
  case asset
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

  init(_ request: HTTPRequest, port: Port) {
    guard let route = Route.find(request, port) else {
      self = .notFound
      return
    }
    // What is wrong with an upgrade by another method, the handshake tells.
    let isAllowed = route.isUpgrade || request.method == .get || request.method == .head
    self = isAllowed ? route : .methodNotAllowed
  }

  /// Whether the route is a WebSocket's.
  var isUpgrade: Bool { self == .webSocket || self == .echo }

  private static func find(_ request: HTTPRequest, _ port: Port) -> Route? {
    if request.isPath("/healthz") { return .health }
    if request.isPath("/readyz") { return .readiness }
    switch port {
    case .admin: return request.isPath("/metrics") ? .metrics : nil
    case .main(let hasEcho):
      if request.isPath("/ws") { return .webSocket }
      if hasEcho, request.isPath("/echo") { return .echo }
      return Asset(path: request.path) == nil ? nil : .asset
    }
  }
}
