import Glibc
import Support
import Testing

extension ClusterTests {
  /// Servers on a Redis with a password whose primary sentinels tell.
  @Suite struct RedisSentinelTests {
    private static let password = "geheim"

    /// The replica that takes over lacks what was applied last, and was delivered; the old primary comes back
    /// empty, under its address and at once, so that servers may find it as the primary still, before it becomes a
    /// replica.
    @Test func thePrimaryDiesAndItsReplicaLacksWhatWasAppliedLast() throws {
      try withRedisSentinels(3, password: Self.password) { primary, replica, sentinels in
        let hosts = (["127.0.0.1:1"] + sentinels.map(\.address)).joined(separator: ",")
        let flags = ["--redis", "sentinel://:\(Self.password)@\(hosts)/main"]
        try withInstances(redisFlags: flags) { cluster in
          let users = try Correspondence(cluster.start("s1"), cluster.start("s2"))
          try users.write()
          try users.settle()
          try users.read()

          try replica.stopFollowing()
          for _ in 0..<3 { try users.write() }
          try users.settle()
          #expect(try replica.replicationOffset() < primary.replicationOffset())
          primary.kill()
          try users.write { try replica.ask("ROLE").hasPrefix("master") }
          try replica.followAgain()
          try primary.restart()
          try users.settle()
          // Whichever of the two the sentinels settle on.
          try users.write {
            try [primary, replica].contains {
              try $0.ask("INFO", "replication").contains("master_link_status:up")
            }
          }
          try users.settle()
          try users.read()
          let run = try ServerProcess.run(["rebuild", "--dry-run"] + cluster.connection)
          #expect(run.status == 0 && run.output.hasSuffix("no differences\n"), "\(run.output)\(run.errors)")
          for server in cluster.servers { #expect(!server.errors.contains(Self.password)) }
        }
      }
    }
  }
}
