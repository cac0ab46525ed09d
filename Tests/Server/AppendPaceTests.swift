import Chat
import Testing

@testable import Server

/// When groups of records go to the log.
@Suite final class AppendPaceTests {
  private var pace = AppendPace(partitions: 16)

  private func mayHandOver(pending: Int, answered: Tick = 0, now: Tick) -> Bool {
    pace.mayHandOver(pending: pending, answered: answered, now: now)
  }

  @Test func aFewRecordsWaitForNothing() {
    for now in 0..<10 as Range<Tick> {
      #expect(mayHandOver(pending: 16, answered: now, now: now))
      pace.handedOver(pending: 16, now: now)
      #expect(!pace.isOn)
    }
  }

  @Test func aGroupGoesWhenTheOneBeforeIsAnsweredAndHasRestedAsLong() {
    #expect(mayHandOver(pending: 0, now: 0))
    pace.handedOver(pending: 200, now: 0)
    #expect(pace.isOn)
    #expect(!mayHandOver(pending: 17, answered: 2, now: 2))
    // Answered after 3 ms: it rests until 6, however late somebody looks.
    #expect(!mayHandOver(pending: 0, answered: 3, now: 4))
    #expect(!mayHandOver(pending: 0, answered: 3, now: 5))
    #expect(mayHandOver(pending: 0, answered: 3, now: 6))
  }

  @Test func aGroupThatHardlyGainsRestsHardly() {
    pace.handedOver(pending: 20, now: 0)
    #expect(!mayHandOver(pending: 17, answered: 2, now: 2))
    // Four records more than partitions: a quarter of 4 ms.
    #expect(!mayHandOver(pending: 0, answered: 4, now: 4))
    #expect(mayHandOver(pending: 0, answered: 4, now: 5))
  }

  @Test func afterALongQuietTheFirstRecordGoesAtOnce() {
    pace.handedOver(pending: 200, now: 0)
    #expect(mayHandOver(pending: 0, answered: 3, now: 10_000))
  }

  @Test func slowBrokersAndMissingLeadersHoldNothingForLong() {
    pace.handedOver(pending: 200, now: 0)
    #expect(!mayHandOver(pending: 100, now: AppendPace.answerMax - 1))
    #expect(!mayHandOver(pending: 100, now: AppendPace.answerMax))
    #expect(mayHandOver(pending: 100, now: AppendPace.answerMax + AppendPace.restMax))
  }

  @Test func aSmallGroupEndsIt() {
    pace.handedOver(pending: 200, now: 0)
    #expect(mayHandOver(pending: 0, answered: 1, now: 2))
    pace.handedOver(pending: 16, now: 2)
    #expect(!pace.isOn && mayHandOver(pending: 16, now: 2))
  }
}
