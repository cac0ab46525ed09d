import Testing

@testable import Server

@Suite struct HeartbeatTests {
  /// How often each slot was passed by the two hands in `steps` steps of so many milliseconds.
  private func beats(
    _ heartbeat: inout Heartbeat, steps: Int, of milliseconds: Int, used: Int
  ) -> (pings: [Int], looks: [Int]) {
    var pings = [Int](repeating: 0, count: used)
    var looks = pings
    for _ in 0..<steps {
      heartbeat.advance(milliseconds, used: used) {
        pings[$0] += 1
      } watch: {
        looks[$0] += 1
      }
    }
    return (pings, looks)
  }

  @Test(arguments: [1, 7, 249, 250, 251, 10_000])
  func everySlotIsPingedOnceInAHeartbeat(used: Int) {
    var heartbeat = Heartbeat(seconds: 25)
    let (pings, looks) = beats(&heartbeat, steps: 250, of: 100, used: used)
    #expect(pings.allSatisfy { $0 == 1 })
    #expect(looks.allSatisfy { $0 == 12 || $0 == 13 })
  }

  @Test func pingsAreSpreadOverTheHeartbeat() {
    var heartbeat = Heartbeat(seconds: 25)
    for _ in 0..<250 {
      let (pings, _) = beats(&heartbeat, steps: 1, of: 100, used: 10_000)
      #expect(pings.reduce(0, +) == 40)
    }
  }

  @Test func afterALongPauseEachSlotIsPassedOnceNotOften() {
    var heartbeat = Heartbeat(seconds: 1)
    let (pings, looks) = beats(&heartbeat, steps: 1, of: 60_000, used: 3)
    #expect(pings == [1, 1, 1])
    #expect(looks == [1, 1, 1])
  }

  @Test func slotsThatComeInUseLaterArePingedToo() {
    var heartbeat = Heartbeat(seconds: 1)
    _ = beats(&heartbeat, steps: 7, of: 100, used: 3)
    let (pings, _) = beats(&heartbeat, steps: 20, of: 100, used: 50)
    #expect(pings.allSatisfy { $0 >= 1 && $0 <= 3 })
  }

  @Test func withoutSlotsThereIsNothingToPass() {
    var heartbeat = Heartbeat(seconds: 1)
    let (pings, _) = beats(&heartbeat, steps: 20, of: 100, used: 0)
    #expect(pings.isEmpty)
  }
}
