import Testing

@testable import Server

/// When groups of records go to the log.
@Suite final class AppendPaceTests {
  private static let millisecond: UInt64 = 1_000_000
  private var pace = AppendPace(partitions: 16)

  private func mayHandOver(pending: Int, now: UInt64) -> Bool { pace.mayHandOver(pending: pending, now: now) }

  @Test func aFewRecordsWaitForNothing() {
    for now in 0..<10 as Range<UInt64> {
      #expect(mayHandOver(pending: 16, now: now))
      pace.handedOver(pending: 16, now: now)
      #expect(!pace.isOn)
    }
  }

  @Test func aGroupGoesWhenTheOneBeforeIsAnsweredAndHasRestedAsLong() {
    #expect(mayHandOver(pending: 0, now: 0))
    pace.handedOver(pending: 200, now: 0)
    #expect(pace.isOn)
    #expect(!mayHandOver(pending: 16, now: 2 * Self.millisecond))
    // Answered after 3 ms: it rests until 6.
    #expect(!mayHandOver(pending: 15, now: 3 * Self.millisecond))
    #expect(!mayHandOver(pending: 0, now: 6 * Self.millisecond - 1))
    #expect(mayHandOver(pending: 0, now: 6 * Self.millisecond))
  }

  @Test func slowBrokersAndMissingLeadersHoldNothingForLong() {
    pace.handedOver(pending: 200, now: 0)
    #expect(!mayHandOver(pending: 100, now: AppendPace.answerMax - 1))
    #expect(!mayHandOver(pending: 100, now: AppendPace.answerMax))
    #expect(mayHandOver(pending: 100, now: AppendPace.answerMax + AppendPace.restMax))
  }

  @Test func aSmallGroupEndsIt() {
    pace.handedOver(pending: 200, now: 0)
    #expect(!mayHandOver(pending: 0, now: Self.millisecond))
    #expect(mayHandOver(pending: 0, now: 2 * Self.millisecond))
    pace.handedOver(pending: 16, now: 2 * Self.millisecond)
    #expect(!pace.isOn && mayHandOver(pending: 16, now: 2 * Self.millisecond))
  }
}
