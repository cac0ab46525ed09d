import Chat
import Testing

/// Random schedules of all that may happen to a registrar; the stage checks each step.
@Suite struct RegistrarScheduleTests {
  @Test(arguments: UInt64(1)...150)
  func whatShardsTakeForRegisteredStandsWhateverHappens(seed: UInt64) {
    let stage = RegistrarStage(seed: seed, shards: 3)
    stage.faults = .init(lostRequests: 10, lostAnswers: 10, lateRequests: 10, delay: 150)
    stage.start()
    var nextSlot = 0
    for _ in 0..<120 {
      switch Int.random(in: 0..<100, using: &stage.generator) {
      case 0..<25:
        nextSlot += 1
        // A device of its own each: that a session was replaced is told once, and the answer may be lost.
        stage.attach(nextSlot, shard: nextSlot % 3, user: "u\(nextSlot % 7)", device: "d\(nextSlot)")
      case 25..<40:
        let sessions = stage.attached.keys.sorted { $0.raw < $1.raw }
        if let session = sessions.randomElement(using: &stage.generator) { stage.detach(session) }
      case 40..<75:
        let shard = Int.random(in: 0..<3, using: &stage.generator)
        let room = "r\(Int.random(in: 0..<4, using: &stage.generator))"
        if stage.shards[shard].listening.contains(Array(room.utf8)) {
          stage.unlisten(shard, room)
        } else {
          stage.listen(shard, room)
        }
      case 75..<80: stage.failOver()
      case 80..<83: stage.failOver { $0.lease = nil }
      case 83..<86: stage.run(4_000, isFrozen: true)
      case 86..<90: stage.input { $0.registrationAsked(shard: 1) }
      case 90..<92:
        stage.isDown = true
        stage.run(2_500)
        stage.isDown = false
        stage.input { $0.directoryReconnected(stage.now) }
      case 92..<94:
        stage.inboxes = []
        stage.input { $0.inboxLost() }
      case 94..<95:
        let other = LeaseHolder(epoch: 99, host: "elsewhere", boot: "b", process: 1)
        stage.primaries[stage.primary]!.lease = (other, stage.now + 2_000)
      default: stage.run(5_000)
      }
      stage.run(.random(in: 0...600, using: &stage.generator))
    }
    stage.faults = .init()
    stage.run(40_000)
    stage.checkQuiet()
    #expect(stage.failures.prefix(3) == [])
  }
}
