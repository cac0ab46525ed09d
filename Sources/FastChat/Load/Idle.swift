/// Connections that are held open and say nothing. On a path that ends in "/ws" they are sessions.
final class Idle: Scenario {
  let connectionCount: Int
  private let path: String
  private let wire: Wire
  private let attach: Attaching?
  private var live = 0

  init(_ options: LoadOptions, _ index: Int, _ connections: Int, _ wire: Wire) {
    connectionCount = connections
    path = options.url.path
    self.wire = wire
    attach = path.hasSuffix("/ws") ? Attaching("i\(index)", wire) : nil
  }

  func path(of client: Int) -> String { path }

  func opened(_ client: Int) throws(LoadError) {
    if let attach { try attach.hello(client) } else { live += 1 }
  }

  func received(_ client: Int, _ message: UnsafeRawBufferPointer) throws(LoadError) {
    if let attach, try attach.isLive(message) { live += 1 }
  }

  var isReady: Bool { live == connectionCount }
  func begin() {}
  func beginMeasuring() {}
  func end() -> Outcome { Outcome() }
  var isDrained: Bool { true }
}
