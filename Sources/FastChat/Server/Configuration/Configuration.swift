public import Chat
import EventLoop

/// What one run of `fastchat serve` is told to be: the sum of the defaults below, the configuration
/// file, the `FASTCHAT_...` variables and the flags, checked as a whole.
///
/// The initial values here are the defaults that `--help` and docs/OPTIONS.md print.
public struct Configuration: Sendable {
  /// How a client proves who it is. `jwt` is not built yet.
  public enum Authentication: Sendable { case none }

  /// Which of the event loop's two backends to use.
  public enum Backend: String, CaseIterable, Sendable {
    case automatic = "auto"
    case ioUring = "io_uring"
    case epoll = "epoll"
  }

  /// Where clients connect, and where operators do. Port 0: any free one.
  public var listen = Address(host: "127.0.0.1", port: 8080)
  public var admin = Address(host: "127.0.0.1", port: 9100)
  /// 1-64 of `A-Z a-z 0-9 -`, unique in a cluster.
  public var serverID = "local"
  /// The cluster that this server is one of; nil for the embedded store.
  public internal(set) var cluster: ClusterConfiguration?
  var clusterOptions = ClusterOptions()
  /// Where the embedded store keeps its files.
  public var dataDirectory = "./data"
  public var authentication = Authentication.none
  /// Origins of pages that may connect, beside the server's own (`https://chat.example`).
  public var origins: [String] = []
  /// The operator accepts that whoever reaches the server may be anyone.
  public var insecure = false
  /// Event-loop threads; 0: one a core.
  public var shards = 0
  /// How many there are then.
  var shardCount: Int { shards > 0 ? shards : max(LoopThread.processors, 1) }
  public var backend = Backend.automatic
  /// Offer permessage-deflate on `/ws`.
  public var deflate = false
  /// Serve `/echo`.
  public var echo = false
  public var logLevel = Log.Level.info

  public var limits = Chat.Limits()
  /// Connections of the whole server; 0: 90 % of the descriptors (`connectionsMax(descriptors:)`).
  public var connections = 0
  /// Bytes held for connections that had no `welcome` yet, all of them.
  public var handshakeBytes = 64 << 20

  public init() {}

  /// The connections to admit where the process may open `descriptors` files.
  public func connectionsMax(descriptors: Int) -> Int {
    connections > 0 ? connections : max(1, descriptors / 10 * 9)
  }
}
