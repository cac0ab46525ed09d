/// Where a client connects to, as whom, and how it behaves.
public struct ClientConfiguration: Sendable {
  /// Why a token is asked for again.
  public struct TokenRefusal: Sendable {
    /// What the server said of the last one.
    public let reason: String
  }

  /// When an event counts as handed over, and its cursor may be stored.
  public enum Confirmation: Sendable {
    /// When the next event is asked for: a process that dies while it handles an event is handed that one
    /// again. At least once over a crash, exactly once otherwise.
    case whenNextIsAskedFor
    /// Before it is handed: a process that dies while it handles an event is not handed it again. At most
    /// once over a crash, exactly once otherwise.
    case beforeHanding
  }

  /// Where the server is, `ws://host:port/ws`.
  public var address: String
  /// Who this is. With a token it must be its subject.
  public var user: String
  /// The name of this installation, as a user id; nil: the one in the storage, else a random one. Two clients
  /// with one device end each other's sessions.
  public var device: String?
  /// Gives the token, also each time it was refused or expired. Nil where the server asks for none.
  public var token: (@Sendable (TokenRefusal?) async throws -> String)?
  /// Where cursors and unsent messages are kept.
  public var storage: any ClientStorage = MemoryStorage()
  public var confirmation = Confirmation.whenNextIsAskedFor

  /// Milliseconds from the start of a connection to its upgrade.
  public var connectMilliseconds: Int64 = 10_000
  /// Milliseconds from `hello` to `welcome`. A server that waits for its directory holds it for 10 s.
  public var welcomeMilliseconds: Int64 = 20_000
  /// Milliseconds that `history` and other questions wait for their answer, connecting again included.
  public var answerMilliseconds: Int64 = 30_000
  /// The first wait before connecting again is a random part of this, in milliseconds; it doubles each time.
  public var firstBackOffMilliseconds: Int64 = 500
  /// The longest wait before connecting again, in milliseconds.
  public var longestBackOffMilliseconds: Int64 = 15_000
  /// Milliseconds after which a cursor that rose is stored. One that is late costs a repeated event after a
  /// crash.
  public var saveMilliseconds: Int64 = 300
  /// Milliseconds that `stop` waits for the consumer to handle the last events.
  public var stopMilliseconds: Int64 = 2_000
  /// Messages that may wait to be sent; over it `send` throws `full`.
  public var pendingMax = 10_000
  /// Events that may wait to be taken; over it nothing more is read from the server.
  public var eventsMax = 1_024

  public init(address: String, user: String, device: String? = nil) {
    self.address = address
    self.user = user
    self.device = device
  }
}
