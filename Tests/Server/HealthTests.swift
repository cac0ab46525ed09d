import Testing

@testable import Server

@Suite struct HealthTests {
  private let pulses = [Pulse(), Pulse()]

  private func health(turn: Int64, batch: Int64) -> Health {
    for pulse in pulses {
      pulse.turn(at: turn)
      pulse.batch(at: batch)
    }
    return Health(pulses: pulses)
  }

  @Test func oneShardThatStandsStillIsNeitherHealthyNorReady() {
    let health = health(turn: 100_000, batch: 100_000)
    #expect(health.isHealthy(at: 100_000 + Health.turnMilliseconds))
    #expect(health.isReady(at: 100_000 + Health.turnMilliseconds))
    pulses[0].turn(at: 100_500)
    let late = 100_500 + Health.turnMilliseconds
    #expect(!health.isHealthy(at: late))
    #expect(!health.isReady(at: late))
  }

  @Test func aStoreThatCommitsNothingIsNotReadyThoughTheLoopsAreHealthy() {
    let health = health(turn: 100_000, batch: 100_000)
    for pulse in pulses { pulse.turn(at: 110_000) }
    #expect(health.isHealthy(at: 110_000))
    #expect(!health.isReady(at: 110_000))
    pulses[0].batch(at: 110_000)
    #expect(!health.isReady(at: 110_000))
    pulses[1].batch(at: 110_000)
    #expect(health.isReady(at: 110_000))
  }

  /// All servers would find the same, and a proxy would close them all for the chats of one partition.
  @Test func stoppedPartitionsAreNamedAndCloseNoServer() {
    let health = health(turn: 100_000, batch: 100_000)
    #expect(health.complaint == nil)
    health.stopped([7, 3])
    #expect(health.isReady(at: 100_001))
    #expect(health.complaint == "stopped partitions: 3, 7")
    health.stopped(Set(0..<100))
    #expect(health.complaint?.hasSuffix("14, 15 and 84 more") == true)
  }

  @Test func aServerThatIsAskedToEndIsNotReadyAtOnce() {
    let health = health(turn: 100_000, batch: 100_000)
    health.end()
    #expect(health.isHealthy(at: 100_001))
    #expect(!health.isReady(at: 100_001))
  }
}
