import CAllocations
import Chat
import Testing

@testable import Server

/// The suites whose names hold "Counting" run once more on optimised code (`make test`).
@Suite struct MetricsCountingTests {
  @Test(.enabled(if: fc_counting_works()))
  func countingOnTheMessagePathTakesNoMemoryAndCountsNoReferences() {
    let metrics = Metrics(threads: 2, backend: "epoll")
    let block = metrics.block(1)
    let (allocations, retains) = (fc_allocations(), fc_retains())
    for i in 0..<10_000 {
      block.add(.messagesDelivered, i)
      block.refused(.rateLimited)
      block.set(.connections, to: i)
      block.record(.turn, nanoseconds: UInt64(i) &* 977)
    }
    let (allocated, retained) = (fc_allocations() - allocations, fc_retains() - retains)
    #expect(metrics.total(.messagesDelivered) == 9_999 * 5_000)
    #expect(allocated == 0)
    #if !DEBUG
      #expect(retained == 0)
    #else
      _ = retained
    #endif
  }

  @Test(.enabled(if: fc_counting_works()))
  func aLineBelowTheLevelBuildsNothing() {
    let before = fc_allocations()
    for i in 0..<1_000 { Log.debug("not written", ["number": "a number that is too long to be inline \(i)"]) }
    #expect(fc_allocations() == before)
  }
}
