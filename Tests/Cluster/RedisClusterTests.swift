import Glibc
import Support
import Testing

extension ClusterTests {
  /// Servers on a real Redis Cluster with a password.
  @Suite struct RedisClusterTests {
    private static let password = "geheim"

    /// The primary of the leases and of half of the partitions dies, and later the one that took its place, which
    /// the first one follows then with less than it had. Users write all the time: what was acknowledged comes
    /// once and in order, and the operator's commands see all of it.
    @Test func aPrimaryOfARedisClusterDiesAndLaterItsSuccessor() throws {
      let directory = try TemporaryDirectory()
      let file = directory.path + "/password"
      try #require(try ServerProcess.execute(["sh", "-c", "echo \(Self.password) > \(file)"]).status == 0)
      try withRedisCluster(replicas: 3, password: Self.password) { nodes in
        let (first, second) = (nodes[2], nodes[5])
        // One that is not there, one that lives on, and a replica.
        let flags = [
          "--redis", "redis://127.0.0.1:1,\(nodes[0].address),\(second.address)", "--redis-password-file",
          file,
        ]
        try withInstances(redisFlags: flags) { cluster in
          let users = try Correspondence(cluster.start("s1"), cluster.start("s2"))
          try users.write()
          try users.settle()
          try users.read()
          try examine(cluster, nodes.prefix(3))

          first.kill()
          try users.write { try second.ask("ROLE").hasPrefix("master") }
          try users.settle()

          try first.restart()
          try first.wait("INFO", "replication") { $0.contains("master_link_status:up") }
          try first.stopFollowing()
          for _ in 0..<3 { try users.write() }
          try users.settle()
          #expect(try first.replicationOffset() < second.replicationOffset())
          second.kill()
          try users.write { try first.ask("ROLE").hasPrefix("master") }
          try users.settle()
          try users.read()
          try examine(cluster, [nodes[0], nodes[1], first])
          for server in cluster.servers { #expect(!server.errors.contains(Self.password)) }
        }
      }
    }

    private func examine(_ cluster: Instances, _ primaries: some Sequence<RedisServerProcess>) throws {
      let doctor = try ServerProcess.run(
        ["doctor", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"] + cluster.flags("s1"))
      let redis = doctor.output.split(separator: "\n").first { $0.contains("\"check\":\"redis\"") } ?? ""
      #expect(redis.contains("\"level\":\"fine\""), "\(redis)")
      for primary in primaries { #expect(redis.contains("\(primary.address) is Redis"), "\(redis)") }
      let run = try ServerProcess.run(["rebuild", "--dry-run"] + cluster.connection)
      #expect(run.status == 0 && run.output.hasSuffix("no differences\n"), "\(run.output)\(run.errors)")
    }
  }
}
