import Testing

@testable import Client

/// The machine against a model of the server, under random cuts, crashes and answers.
@Suite struct RandomCutTests {
  private static let chats = ["dm:alice:bob", "room:one", "dm:alice:alice"]
  /// A seed that failed once is added and kept.
  static let seeds: [UInt64] = (1...5).map { $0 }

  private func run(
    seed: UInt64, steps: Int, cuts: Double, crashes: Double, senders: Int = 4, _ faults: ModelServer.Faults
  ) throws -> MachineWorld {
    let world = try MachineWorld(users: ["alice", "bob"], devicesOfEach: 2, chats: Self.chats, seed: seed)
    // Each device knows where it stands before anything is missed.
    try world.settle()
    world.server.faults = faults
    for step in 0..<steps {
      if step % 6 == 0 {
        let device = world.devices[(step / 6) % senders]
        let targets =
          device.user == "alice" ? ["user:bob", "room:one", "user:alice"] : ["user:alice", "room:one"]
        world.send(device, to: targets[(step / 24) % targets.count])
      }
      try world.step(cuts: cuts, crashes: crashes)
    }
    try world.settle()
    return world
  }

  @Test(arguments: seeds) func nothingIsLostOrDoubledByCuts(seed: UInt64) throws {
    let world = try run(
      seed: seed, steps: 3_000, cuts: 0.01, crashes: 0,
      ModelServer.Faults(unavailable: 0.1, rateLimited: 0.05))
    #expect(world.differences().isEmpty, "seed \(seed): \(world.differences())")
    #expect(world.server.log.count >= 400)
  }

  @Test(arguments: seeds) func nothingIsLostOrDoubledByCrashes(seed: UInt64) throws {
    let world = try run(
      seed: seed, steps: 3_000, cuts: 0.005, crashes: 0.003, ModelServer.Faults(unavailable: 0.1))
    #expect(world.differences().isEmpty, "seed \(seed): \(world.differences())")
  }

  /// One device sends: an own ack hides from a device what was left out below it.
  @Test(arguments: seeds) func gapsAreReadFromTheHistory(seed: UInt64) throws {
    let world = try run(
      seed: seed, steps: 2_000, cuts: 0.002, crashes: 0, senders: 1,
      ModelServer.Faults(unavailable: 0.05, gap: 0.2))
    // The last event of a chat may be left out with none behind it: one more of each shows it.
    for target in ["user:bob", "room:one", "user:alice"] { world.send(world.devices[0], to: target) }
    try world.settle()
    #expect(world.differences().isEmpty, "seed \(seed): \(world.differences())")
  }

  @Test(arguments: seeds) func whatMayHaveBeenSentIsLookedForAfterAReset(seed: UInt64) throws {
    let world = try run(
      seed: seed, steps: 3_000, cuts: 0.02, crashes: 0.002, ModelServer.Faults(unavailable: 0.2, reset: 0.3))
    #expect(world.differences().isEmpty, "seed \(seed): \(world.differences())")
    #expect(!world.server.resets.isEmpty)
  }
}
