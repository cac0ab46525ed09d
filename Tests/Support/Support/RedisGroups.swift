/// Runs `body` beside a Redis Cluster that lives as long as it: three primaries with a third of the slots each,
/// and as many replicas as wanted, of the first ones, behind them in the list.
public func withRedisCluster<Result>(
  replicas: Int = 0, password: String? = nil, _ body: ([RedisServerProcess]) throws -> Result
) throws -> Result {
  let nodes = try (0..<(3 + replicas)).map { _ in try RedisServerProcess(.clusterNode, password: password) }
  return try withRedisServers(nodes) { nodes in
    let busPorts = try nodes.map { try $0.busPort() }
    for (number, node) in nodes.enumerated() where number > 0 {
      try nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", "\(node.port)", busPorts[number])
    }
    for (number, range) in [(0, 5_460), (5_461, 10_922), (10_923, 16_383)].enumerated() {
      try nodes[number].ask("CLUSTER", "ADDSLOTSRANGE", "\(range.0)", "\(range.1)")
    }
    for node in nodes {
      try node.wait("CLUSTER", "INFO") {
        $0.contains("cluster_state:ok") && $0.contains("cluster_known_nodes:\(nodes.count)")
      }
    }
    for number in 0..<replicas {
      try nodes[3 + number].ask("CLUSTER", "REPLICATE", nodes[number].ask("CLUSTER", "MYID"))
    }
    for replica in nodes.dropFirst(3) {
      try replica.wait("INFO", "replication") { $0.contains("master_link_status:up") }
    }
    return try body(nodes)
  }
}

/// Runs `body` beside a primary, a replica that follows it, and sentinels that know both under the name `main`,
/// most of whom have to agree.
public func withRedisSentinels<Result>(
  _ count: Int = 1, password: String? = nil,
  _ body: (RedisServerProcess, RedisServerProcess, [RedisServerProcess]) throws -> Result
) throws -> Result {
  let primary = try RedisServerProcess(password: password)
  let replica = try RedisServerProcess(
    .server, ["--replicaof", "127.0.0.1 \(primary.port)"], password: password)
  try replica.wait("INFO", "replication") { $0.contains("master_link_status:up") }
  let sentinels = try (0..<count).map { _ in try RedisServerProcess(.sentinel(of: primary.port)) }
  return try withRedisServers([primary, replica] + sentinels) { _ in
    for sentinel in sentinels {
      // How often they ask servers and tell each other; a primary that comes back is demoted after four of these.
      try sentinel.ask("SENTINEL", "DEBUG", "info-period", "500", "publish-period", "500")
      if let password { try sentinel.ask("SENTINEL", "SET", "main", "auth-pass", password) }
      try sentinel.ask("SENTINEL", "SET", "main", "quorum", "\(count / 2 + 1)")
    }
    for sentinel in sentinels {
      try sentinel.wait("SENTINEL", "REPLICAS", "main") {
        $0.contains("\(replica.port)") && !$0.contains("s_down")
      }
      try sentinel.wait("SENTINEL", "MASTER", "main") {
        $0.contains("num-other-sentinels\n\(count - 1)\n")
      }
    }
    return try body(primary, replica, sentinels)
  }
}

extension RedisServerProcess {
  /// A replica gets nothing more of what its primary writes, and may take its place all the same; it follows
  /// none until `followAgain`, or a restart. Both need a password.
  public func stopFollowing() throws {
    try ask("CONFIG", "SET", "masterauth", "another one")
    try ask("CLIENT", "KILL", "TYPE", "master")
    try wait("INFO", "replication") { $0.contains("master_link_status:down") }
  }

  public func followAgain() throws { try ask("CONFIG", "SET", "masterauth", password ?? "") }

  /// How many bytes of a primary's writes it has, or has made itself.
  public func replicationOffset() throws -> Int {
    let text = try ask("INFO", "replication")
    guard let match = text.firstMatch(of: /master_repl_offset:(\d+)/), let offset = Int(match.1) else {
      throw TestFailure("no offset in \(text)")
    }
    return offset
  }

  fileprivate func busPort() throws -> String {
    let row = try ask("CLUSTER", "NODES")
    // <id> <ip>:<port>@<bus port>...
    guard let match = row.firstMatch(of: /@(\d+)/) else { throw TestFailure("no bus port in \(row)") }
    return String(match.1)
  }
}
