import Chat
import Foundation
import Testing

/// The edge under random schedules: whatever order batches, reports, answers, losses and reconnections come
/// in, every device is handed every event of its chats once and in order, and nobody reads what is not his.
/// `FASTCHAT_SEEDS` says how many schedules each test tries, `FASTCHAT_SEED` which one comes first.
@Suite struct EdgeWorldTests {
  private func run(shards: Int, partitions: Int32, faults: World.Faults) {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["FASTCHAT_SEED"].flatMap(UInt64.init) ?? 1
    let count = environment["FASTCHAT_SEEDS"].flatMap(UInt64.init) ?? 200
    for seed in first..<first + count {
      let world = World(seed: seed, shards: shards, partitions: partitions, faults: faults)
      world.run(steps: 400)
      guard let failure = world.failures().first else { continue }
      let trace = world.devices.first { failure.hasPrefix("\($0.user)/\($0.name)") }?.trace ?? []
      Issue.record("FASTCHAT_SEED=\(seed): \(failure)\n\(trace.joined(separator: "\n"))")
      return
    }
  }

  @Test func everyEventIsHandedOnceAndInOrder() {
    run(shards: 1, partitions: 1, faults: .init())
  }

  @Test func shardsAndPartitionsChangeNothing() {
    run(shards: 2, partitions: 3, faults: .init())
  }

  @Test func copiesLostToSlowReadersAreReadFromTheView() {
    run(shards: 1, partitions: 1, faults: .init(losesCopies: true))
  }

  @Test func aFullMailboxCostsTimeOnly() {
    run(shards: 2, partitions: 1, faults: .init(losesCopies: true, overflows: true))
  }

  @Test func failedCommitsAreRepeatedWithoutDoubling() {
    run(shards: 2, partitions: 2, faults: .init(failsCommits: true))
  }

  @Test func aViewThatCannotBeReadCostsTimeOnly() {
    run(shards: 2, partitions: 2, faults: .init(losesCopies: true, failsAnswers: true))
  }

  @Test func whatStoodStillIsRepeatedWithoutDoubling() {
    run(shards: 2, partitions: 1, faults: .init(failsCommits: true, stalls: true))
  }

  @Test func everythingTogetherWithRetention() {
    run(
      shards: 2, partitions: 2,
      faults: .init(
        losesCopies: true, overflows: true, failsCommits: true, forgets: true, failsAnswers: true,
        stalls: true))
  }
}
