import Chat
import JSON
import Testing

@testable import Server

@Suite struct MetricsTests {
  private func page(_ metrics: Metrics) -> [String] {
    var buffer = ByteBuffer(capacity: 4_096)
    metrics.write(to: &buffer)
    return String(decoding: buffer.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test func thePageSumsTheBlocksOfAllThreads() {
    let metrics = Metrics(threads: 3, backend: "epoll")
    metrics.block(0).add(.messagesAccepted, 5)
    metrics.block(2).add(.messagesAccepted)
    metrics.block(0).set(.connections, to: 7)
    metrics.block(1).set(.connections, to: 4)
    metrics.block(0).set(.connections, to: 2)
    metrics.block(1).refused(.rateLimited)
    let lines = page(metrics)
    #expect(lines.contains("fastchat_messages_accepted_total 6"))
    #expect(lines.contains("fastchat_connections 6"))
    #expect(lines.contains("fastchat_refusals_total{code=\"rate-limited\"} 1"))
    #expect(lines.contains("fastchat_refusals_total{code=\"bad-frame\"} 0"))
    #expect(lines.contains("fastchat_event_loop_info{backend=\"epoll\"} 1"))
    #expect(metrics.total(.messagesAccepted) == 6)
  }

  @Test func aDistributionIsCumulativeAndEndsWithItsCount() {
    let metrics = Metrics(threads: 2, backend: "epoll")
    for nanoseconds: UInt64 in [0, 1, 1_024, 1_025, 3_000_000_000, .max >> 1] {
      metrics.block(Int(nanoseconds % 2)).record(.turn, nanoseconds: nanoseconds)
    }
    let lines = page(metrics)
    #expect(lines.contains("fastchat_turn_seconds_bucket{le=\"0.000001024\"} 3"))
    #expect(lines.contains("fastchat_turn_seconds_bucket{le=\"0.000002048\"} 4"))
    #expect(lines.contains("fastchat_turn_seconds_bucket{le=\"4.294967296\"} 5"))
    #expect(lines.contains("fastchat_turn_seconds_bucket{le=\"8.589934592\"} 5"))
    #expect(lines.contains("fastchat_turn_seconds_bucket{le=\"+Inf\"} 6"))
    #expect(lines.contains("fastchat_turn_seconds_count 6"))
    #expect(lines.contains("fastchat_store_commit_seconds_count 0"))
  }

  @Test func aTimeFallsIntoTheFirstBucketThatTakesIt() {
    for i in 0..<TimeBuckets.count {
      #expect(TimeBuckets.index(nanoseconds: TimeBuckets.bound(i)) == i)
      #expect(TimeBuckets.index(nanoseconds: TimeBuckets.bound(i) + 1) == i + 1)
    }
    #expect(TimeBuckets.index(nanoseconds: .max) == TimeBuckets.count)
  }

  @Test func everySeriesIsDescribedOnceAndHasItsUnitInItsName() {
    let lines = page(Metrics(threads: 1, backend: "epoll"))
    let types = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ") }
    #expect(Set(types.map { $0[2] }).count == types.count)
    for words in types where words[3] == "counter" { #expect(words[2].hasSuffix("_total")) }
    for words in types where words[3] == "histogram" { #expect(words[2].hasSuffix("_seconds")) }
    for line in lines where !line.hasPrefix("#") {
      #expect(line.wholeMatch(of: /[a-z_]+(\{[a-z]+="[^"]*"\})? -?[0-9]+(\.[0-9]+)?/) != nil, "\(line)")
    }
  }

  @Test func theProcessIsMeasured() {
    let figures = ProcessFigures.now()
    #expect(figures.residentBytes > 1 << 20)
    #expect(figures.openDescriptors >= 3 && figures.openDescriptors <= figures.maxDescriptors)
    #expect(figures.cpuNanoseconds > 0)
  }
}
