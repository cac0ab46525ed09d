import Chat

/// The table: every option once, in the order in which it is shown.
enum Options {
  static let all: [Option] = [
    Option(
      name: "listen", section: .network, value: .address(\.listen), placeholder: "ADDRESS:PORT",
      help: "Where clients connect"),
    Option(
      name: "admin", section: .network, value: .address(\.admin), placeholder: "ADDRESS:PORT",
      help: "Where /metrics is served"),
    Option(
      name: "origins", section: .network, value: .origins(\.origins), placeholder: "LIST",
      help: "Origins of pages that may connect, beside the server's own"),
    Option(
      name: "deflate", section: .network, value: .toggle(\.deflate), placeholder: "",
      help: "Offer permessage-deflate on /ws"),
    Option(
      name: "echo", section: .network, value: .toggle(\.echo), placeholder: "",
      help: "Serve /echo, which sends each message back (conformance tests and benchmarks)"),
    Option(
      name: "tls-cert", section: .network, value: .unbuilt(meanwhile: proxy), placeholder: "FILE",
      help: "Certificate chain for TLS, PEM"),
    Option(
      name: "tls-key", section: .network, value: .unbuilt(meanwhile: proxy), placeholder: "FILE",
      help: "Private key for TLS, PEM"),

    Option(
      name: "auth", section: .identity, value: .choice(authentications), placeholder: "none|jwt",
      help: "How clients prove who they are; none believes the name they give"),
    Option(
      name: "insecure", section: .identity, value: .toggle(\.insecure), placeholder: "",
      help: "Accept that whoever reaches the server may be anyone: needed beyond loopback"),
    Option(
      name: "jwt-key", section: .identity, value: .unbuilt(meanwhile: "leave it out and use --auth none"),
      placeholder: "FILE", help: "Key that signs the clients' tokens"),
    Option(
      name: "api-key-file", section: .identity,
      value: .unbuilt(meanwhile: "leave it out and keep --admin on a loopback address"),
      placeholder: "FILE", help: "Keys of the operators' API"),

    Option(
      name: "data", section: .storage, value: .path(\.dataDirectory), placeholder: "DIRECTORY",
      help: "Where the embedded store keeps its files; made if it is missing"),

    Option(
      name: "shards", section: .engine, value: .count(\.shards, 0...256), placeholder: "N",
      help: "Event-loop threads", defaultNote: "one a core"),
    Option(
      name: "backend", section: .engine, value: .choice(backends), placeholder: "auto|io_uring|epoll",
      help: "Kernel interface of the event loop; auto takes what the kernel offers"),

    Option(
      name: "limits-frame", section: .limits,
      value: .bytes(\.limits.frameBytes, 1 << 10...Limits.helloBytes), placeholder: "SIZE",
      help: "A client's message; over it the connection is closed (1009)"),
    Option(
      name: "limits-body", section: .limits,
      value: .bytes(\.limits.bodyBytes, 256...Limits.serverFrameBytes - 4_096), placeholder: "SIZE",
      help: "The JSON of a message's body"),
    Option(
      name: "limits-rate", section: .limits, value: .count(\.limits.ratePerSecond, 1...1_000_000),
      placeholder: "N", help: "Requests of a session a second; two seconds' worth may be saved up"),
    Option(
      name: "limits-pending", section: .limits, value: .count(\.limits.pendingRequests, 1...4_096),
      placeholder: "N", help: "Unanswered requests of a session; over it its socket is not read"),
    Option(
      name: "limits-output", section: .limits, value: .bytes(\.limits.outputBytes, 16 << 10...64 << 20),
      placeholder: "SIZE", help: "Bytes waiting for a session; over it the session pulls at its own pace"),
    Option(
      name: "limits-connections", section: .limits, value: .count(\.connections, 0...16_000_000),
      placeholder: "N", help: "Connections of the server; over it 503",
      defaultNote: "90 % of the descriptors"),
    Option(
      name: "limits-handshake-bytes", section: .limits,
      value: .bytes(\.handshakeBytes, Limits.helloBytes...16 << 30), placeholder: "SIZE",
      help: "Bytes of all connections that had no welcome yet; over it 503"),
    Option(
      name: "limits-append-bytes", section: .limits,
      value: .bytes(\.limits.appendBytes, 1 << 20...16 << 30), placeholder: "SIZE",
      help: "Bytes of all appends that wait for the log; over it busy"),
    Option(
      name: "limits-room-members", section: .limits, value: .count(\.limits.roomMembers, 1...1_000_000),
      placeholder: "N", help: "Members of a room; over it a join is forbidden"),
    Option(
      name: "limits-user-rooms", section: .limits, value: .count(\.limits.userRooms, 1...100_000),
      placeholder: "N", help: "Rooms of a user; over it a join is forbidden"),
    Option(
      name: "limits-window", section: .limits,
      value: .milliseconds(\.limits.windowMilliseconds, 600_000...3_650 * 86_400_000),
      placeholder: "TIME", help: "How far back events are replayed and paged"),
    Option(
      name: "limits-window-events", section: .limits,
      value: .count(\.limits.windowEvents, 100...100_000_000), placeholder: "N",
      help: "Events of a chat that are replayed and paged"),
    Option(
      name: "limits-dedupe", section: .limits,
      value: .milliseconds(\.limits.dedupeMilliseconds, 1_000...300_000), placeholder: "TIME",
      help: "How long a repeated request is recognised, as clients are told"),
    Option(
      name: "limits-heartbeat", section: .limits, value: .seconds(\.limits.heartbeatSeconds, 1...3_600),
      placeholder: "TIME", help: "Between two pings to a client, in whole seconds"),

    Option(
      name: "server-id", section: .cluster, value: .serverID(\.serverID), placeholder: "NAME",
      help: "This server's name, unique in a cluster", defaultNote: "in a cluster the host's name"),
    Option(
      name: "kafka", section: .cluster, value: .endpoints(\.clusterOptions.brokers),
      placeholder: "HOST:PORT,...", help: "Brokers of the log; with them the server is one of a cluster"),
    Option(
      name: "kafka-config", section: .cluster, value: .kafkaSetting(\.clusterOptions.settings),
      placeholder: "NAME=VALUE", help: "A setting of librdkafka: TLS, SASL, timeouts"),
    Option(
      name: "kafka-config-file", section: .cluster, value: .path(\.clusterOptions.settingsFile),
      placeholder: "FILE", help: "Such settings as name = value lines, for those that nobody should see"),
    Option(
      name: "kafka-prefix", section: .cluster, value: .topicPrefix(\.clusterOptions.topicPrefix),
      placeholder: "NAME", help: "What the names of all topics begin with"),
    Option(
      name: "partitions", section: .cluster, value: .count(\.clusterOptions.partitions, 1...1_024),
      placeholder: "N", help: "Partitions of the log, when it is made; it keeps them"),
    Option(
      name: "replication", section: .cluster, value: .count(\.clusterOptions.replication, 0...15),
      placeholder: "N", help: "Copies of each record", defaultNote: "3 where brokers allow"),
    Option(
      name: "redis", section: .cluster, value: .redis(\.clusterOptions.redis), placeholder: "ADDRESS",
      help: "Directory and recent history"),
    Option(
      name: "redis-password-file", section: .cluster, value: .path(\.clusterOptions.redisPasswordFile),
      placeholder: "FILE", help: "The password for Redis"),

    Option(
      name: "config", section: .general, value: .configurationFile, placeholder: "FILE",
      help: "Read options from a file of name = value lines"),
    Option(
      name: "log-level", section: .general, value: .choice(levels), placeholder: "debug|info|warning|error",
      help: "The least important lines to write on standard error"),
  ]

  /// The option of a name, as it is written behind the two dashes.
  static func named(_ name: some StringProtocol) -> Option? { all.first { $0.name == name } }

  private static let proxy = "leave it out and put a proxy that ends TLS in front"

  private static let authentications = [
    Option.Choice(
      name: "none", set: { $0.authentication = .none }, meanwhile: "", isSet: { $0.authentication == .none }),
    Option.Choice(
      name: "jwt", set: nil, meanwhile: "use --auth none, which is meant for development",
      isSet: { _ in false }),
  ]

  private static let backends = Configuration.Backend.allCases.map { backend in
    Option.Choice(
      name: backend.rawValue, set: { $0.backend = backend }, meanwhile: "", isSet: { $0.backend == backend })
  }

  private static let levels = Log.Level.allCases.map { level in
    Option.Choice(
      name: level.name, set: { $0.logLevel = level }, meanwhile: "", isSet: { $0.logLevel == level })
  }
}
