import EventLoop

/// What the flags ask of a machine, as `serve` would understand them there.
struct Plan: Sendable {
  let configuration: Configuration
  let shards: Int
  let bounds: Bounds
  /// Nil: one was forced that the kernel does not offer.
  let backend: BackendKind?

  init(_ configuration: Configuration, _ facts: Facts) {
    self.configuration = configuration
    shards = configuration.shards > 0 ? configuration.shards : max(facts.processors, 1)
    bounds = Bounds(configuration, shards: shards, descriptors: facts.descriptors)
    backend =
      switch configuration.backend {
      case .automatic: facts.report.backends.first
      case .epoll: .epoll
      case .ioUring: facts.report.supportsIOUring ? .ioUring : nil
      }
  }

  /// Connections that the server would admit.
  var connections: Int { bounds.connectionsMax }
}
