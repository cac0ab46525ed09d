import Testing

@testable import Chaos

@Suite struct FaultPlanTests {
  private static let cluster = WorldSize(instances: 3, brokers: 3, isEmbedded: false, partitions: 4)

  private func draw(_ seed: UInt64, _ size: WorldSize, _ kinds: [FaultKind] = FaultKind.allCases) -> [Fault] {
    var plan = FaultPlan(seed: seed, size: size, kinds: kinds)
    return (0..<300).map { _ in plan.next() }
  }

  @Test func aSeedDrawsTheSameFaultsAgainAndAnotherSeedOthers() {
    #expect(draw(1, Self.cluster) == draw(1, Self.cluster))
    #expect(draw(1, Self.cluster) != draw(2, Self.cluster))
  }

  @Test func everyFaultIsDrawnWhereItFits() {
    #expect(Set(draw(3, Self.cluster).flatMap(\.kinds)) == Set(FaultKind.allCases))
    let embedded = WorldSize(instances: 1, brokers: 1, isEmbedded: true, partitions: 1)
    #expect(Set(draw(3, embedded).flatMap(\.kinds)) == [.kill, .dead, .stop, .rolling, .clientCut])
    let oneBroker = WorldSize(instances: 3, brokers: 1, isEmbedded: false, partitions: 4)
    #expect(Set(draw(3, oneBroker).flatMap(\.kinds)) == Set(FaultKind.allCases).subtracting([.brokerLeader]))
  }

  @Test func onlyChosenFaultsAreDrawn() {
    #expect(Set(draw(4, Self.cluster, [.kill, .flushall]).flatMap(\.kinds)) == [.kill, .flushall])
  }

  /// What a fault breaks its own steps mend, so that the system has a chance to recover before the next one.
  @Test func everyFaultMendsWhatItBreaks() {
    for fault in draw(5, Self.cluster) {
      var dead: Set<Int> = []
      var stopped: Set<Int> = []
      var cuts: Set<String> = []
      var isRedisDown = false
      var areBrokersDown = false
      for step in fault.steps {
        switch step.action {
        case .kill(let instance): dead.insert(instance)
        case .start(let instance): dead.remove(instance)
        case .restart: break
        case .stop(let instance): stopped.insert(instance)
        case .resume(let instance): stopped.remove(instance)
        case .killBrokers, .killLeader: areBrokersDown = true
        case .resumeBrokers: areBrokersDown = false
        case .killRedis: isRedisDown = true
        case .startRedis, .startRedisEmpty, .startRedisFromSnapshot: isRedisDown = false
        case .takeSnapshot, .flushRedis: break
        case .cutClients(let instance, let rule): change(&cuts, "clients \(instance)", rule)
        case .cutRedis(let instance, let rule): change(&cuts, "redis \(instance)", rule)
        case .cutKafka(let instance, let rule): change(&cuts, "kafka \(instance)", rule)
        }
      }
      // Two at once may mend each other's earlier; what one breaks last, its own end mends.
      if fault.kinds.count == 1 {
        #expect(
          dead.isEmpty && stopped.isEmpty && cuts.isEmpty && !isRedisDown && !areBrokersDown, "\(fault)")
      }
      #expect(fault.steps.map(\.at) == fault.steps.map(\.at).sorted())
    }
  }

  private func change(_ cuts: inout Set<String>, _ name: String, _ rule: Relay.Rule) {
    if rule == .pass { cuts.remove(name) } else { cuts.insert(name) }
  }
}

@Suite struct InterruptionsTests {
  @Test func waitsAreKeptByFaultAndByWhoWasHit() {
    var waits = Interruptions()
    waits.add(.acknowledgement, from: 10, to: 15, devices: [0])
    waits.begin("kill", hitsAll: false, at: 100)
    waits.hit(0)
    waits.add(.acknowledgement, from: 90, to: 1_790, devices: [0])
    waits.add(.acknowledgement, from: 200, to: 500, devices: [0])
    waits.add(.delivery, from: 200, to: 240, devices: [1, 2])
    waits.begin(Interruptions.calm, hitsAll: false, at: 2_000)
    // It began under the fault, and outlasted it.
    waits.add(.delivery, from: 1_500, to: 2_400, devices: [1, 0])
    waits.add(.delivery, from: 2_100, to: 2_107, devices: [1, 0])
    waits.begin("flushall", hitsAll: true, at: 3_000)
    waits.add(.delivery, from: 3_000, to: 3_060, devices: [1, 2])
    waits.begin("kill", hitsAll: false, at: 4_000)
    waits.add(.acknowledgement, from: 4_000, to: 4_020, devices: [0])
    let kill = waits.rows.first { $0.fault == "kill" }
    #expect(kill?.times == 2)
    #expect(kill?.longest(.acknowledgement, ofHit: true) == 1_700)
    #expect(kill?.longest(.acknowledgement, ofHit: false) == 20)
    #expect(kill?.longest(.delivery, ofHit: true) == 900)
    #expect(kill?.longest(.delivery, ofHit: false) == 40)
    let flush = waits.rows.first { $0.fault == "flushall" }
    #expect(flush?.longest(.delivery, ofHit: true) == 60)
    #expect(flush?.longest(.delivery, ofHit: false) == nil)
    #expect(waits.rows[0].longest(.delivery, ofHit: false) == 7)
    #expect(waits.table.contains("1.70 s"))
  }
}
