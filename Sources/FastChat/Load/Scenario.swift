import JSON

/// What the connections of one worker say to each other. Its own thread calls it; errors end the run.
protocol Scenario: AnyObject {
  /// The connections it wants, and the path of each.
  var connectionCount: Int { get }
  func path(of client: Int) -> String
  /// Whether it connects to the second server.
  func isAtPeer(_ client: Int) -> Bool

  /// The WebSocket connection stands.
  func opened(_ client: Int) throws(LoadError)
  /// One message came.
  func received(_ client: Int, _ message: UnsafeRawBufferPointer) throws(LoadError)
  /// All that one reception brought was told.
  func receivedAll(_ client: Int) throws(LoadError)
  /// A turn of the loop is over.
  func turned() throws(LoadError)

  /// Whether load may begin.
  var isReady: Bool { get }
  /// Begins the load.
  func begin() throws(LoadError)
  /// Begins to count.
  func beginMeasuring()
  /// Stops counting, and sending. What it gives was seen since `beginMeasuring`.
  func end() -> Outcome
  /// Whether nothing is under way any more.
  var isDrained: Bool { get }
  /// Looks at what the whole run brought; throws what is wrong with it.
  func check() throws(LoadError)
}

extension Scenario {
  func isAtPeer(_ client: Int) -> Bool { false }
  func receivedAll(_ client: Int) throws(LoadError) {}
  func turned() throws(LoadError) {}
  func check() throws(LoadError) {}
}
