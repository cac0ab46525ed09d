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

  @Test func aServerThatIsAskedToEndIsNotReadyAtOnce() {
    let health = health(turn: 100_000, batch: 100_000)
    health.end()
    #expect(health.isHealthy(at: 100_001))
    #expect(!health.isReady(at: 100_001))
  }
}
