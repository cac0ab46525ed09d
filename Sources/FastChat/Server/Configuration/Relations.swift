import Chat

extension Configuration {
  /// Bytes of a record at most beside its body: the chat's name, the user's, the device's, the request's, and the rest.
  static let recordBytes = 1 << 10
  /// Descriptors that are not connections: listeners, store, rings, standard streams, log.
  static let descriptorsReserved = 64

  /// Makes `cluster` of the options that were given, and the server's name in it.
  ///
  /// - Parameters:
  ///   - given: names of the options that somebody gave, wherever.
  ///   - hostName: names the server in a cluster unless it was told a name.
  mutating func settleCluster(given: Set<String>, hostName: String) throws(ConfigurationError) {
    cluster = try clusterOptions.settled()
    guard cluster != nil else {
      // Somebody who names one of these thinks that he starts a cluster.
      let needing = ["kafka-config", "kafka-config-file", "kafka-prefix", "partitions", "replication"]
      if let name = (needing + ["redis", "redis-password-file"]).first(where: given.contains) {
        throw ConfigurationError(
          "--\(name) needs --kafka HOST:PORT,...; leave it out to use the embedded store")
      }
      return
    }
    if given.contains("data") {
      throw ConfigurationError(
        "--data has no meaning in a cluster, which keeps everything in Kafka and Redis; leave it out")
    }
    if !given.contains("server-id") {
      serverID = String(hostName.map { Option.isServerID(String($0)) ? $0 : "-" }.prefix(64))
      guard Option.isServerID(serverID), serverID.contains(where: { $0 != "-" }) else {
        throw ConfigurationError("this host has no name; give the server one with --server-id NAME")
      }
    }
    if serverID == ClusterOptions.reservedServerID {
      throw ConfigurationError(
        "--server-id \(serverID) is no server's name in a cluster: it means all of them; choose another")
    }
  }

  /// Checks what no option can tell alone: which values go together, and whether the whole is safe.
  func check(descriptors: Int) throws(ConfigurationError) {
    if !listen.isLoopback, authentication == .none, !insecure {
      throw ConfigurationError(
        "--listen \(listen) can be reached from elsewhere, and with --auth none anybody may be anybody; "
          + "listen on 127.0.0.1, or accept it with --insecure")
    }
    if !admin.isLoopback, !insecure {
      throw ConfigurationError(
        "--admin \(admin) can be reached from elsewhere and asks for no key; "
          + "use 127.0.0.1, or accept it with --insecure")
    }
    if listen == admin, listen.port != 0 {
      throw ConfigurationError("--listen and --admin are both \(listen); give one another port")
    }
    let bytes = Quantity.bytes
    if limits.bodyBytes > limits.frameBytes {
      throw ConfigurationError(
        "--limits-body \(bytes.format(limits.bodyBytes)) does not fit into "
          + "--limits-frame \(bytes.format(limits.frameBytes)); lower the one or raise the other")
    }
    // A shard hands over no more than its share at once: a body beyond that would be too much for ever.
    let share = limits.appendBytes / shardCount
    if limits.bodyBytes + Self.recordBytes > share {
      throw ConfigurationError(
        "--limits-body \(bytes.format(limits.bodyBytes)) does not fit into a shard's share of --limits-append-bytes "
          + "\(bytes.format(limits.appendBytes)), which is 1 of \(shardCount); lower it or --shards, or raise that"
      )
    }
    if connections + Self.descriptorsReserved > descriptors, connections > 0 {
      throw ConfigurationError(
        "--limits-connections \(connections) needs \(connections + Self.descriptorsReserved) open files and "
          + "the process may have \(descriptors); raise it (ulimit -n, LimitNOFILE=) or lower the limit")
    }
  }
}
