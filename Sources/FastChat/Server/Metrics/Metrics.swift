import Chat
import JSON

/// All that the server counts: a block for each thread, and the page of `/metrics` over all of them.
final class Metrics: Sendable {
  /// The media type of the page.
  static let contentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"

  private let blocks: [MetricsBlock]
  private let backend: String

  /// - Parameters:
  ///   - threads: blocks to make: the shards, and behind them the store's thread.
  ///   - backend: the event loop's, as it was probed.
  init(threads: Int, backend: String) {
    precondition(threads > 0)
    blocks = (0..<threads).map { _ in MetricsBlock() }
    self.backend = backend
  }

  deinit { for block in blocks { block.deallocate() } }

  /// The block of a thread. The registry must outlive its use.
  func block(_ thread: Int) -> MetricsBlock { blocks[thread] }

  /// The sum of a counter over all threads.
  func total(_ counter: Counter) -> Int { Int(Int64(bitPattern: sum(counter.rawValue))) }

  /// Appends the page in the Prometheus text format 0.0.4.
  func write(to page: inout ByteBuffer) {
    for counter in Counter.allCases {
      let series = counter.series
      page.head(series.name, series.help, series.isGauge ? "gauge" : "counter")
      page.line(series.name, value: Int64(bitPattern: sum(counter.rawValue)))
    }
    let refusals: StaticString = "fastchat_refusals_total"
    page.head(refusals, "Requests answered with an error, by its code.", "counter")
    for code in ErrorCode.allCases {
      let count = sum(MetricsBlock.refusals + Int(code.rawValue))
      page.line(refusals, label: "code", "\(code.name)", value: Int64(bitPattern: count))
    }
    for measure in Measure.allCases { write(measure, to: &page) }

    page.head("fastchat_event_loop_info", "The event loop's backend.", "gauge")
    page.line("fastchat_event_loop_info", label: "backend", backend, value: 1)
    page.head("fastchat_build_info", "The program's version.", "gauge")
    page.line("fastchat_build_info", label: "version", Version.text, value: 1)
    ProcessFigures.now().write(to: &page)
  }

  private func write(_ measure: Measure, to page: inout ByteBuffer) {
    let (name, help) = measure.series
    let start = MetricsBlock.measures + measure.rawValue * MetricsBlock.measureWords
    page.head(name, help, "histogram")
    var count: UInt64 = 0
    for i in 0...TimeBuckets.count {
      count &+= sum(start + i)
      page.append(name)
      page.append("_bucket{le=\"")
      if i < TimeBuckets.count {
        page.append(seconds: TimeBuckets.bound(i))
      } else {
        page.append("+Inf")
      }
      page.append("\"} ")
      page.append(decimal: Int64(bitPattern: count))
      page.append("\n")
    }
    page.append(name)
    page.append("_sum ")
    page.append(seconds: sum(start + TimeBuckets.count + 1))
    page.append("\n")
    page.append(name)
    page.append("_count ")
    page.append(decimal: Int64(bitPattern: count))
    page.append("\n")
  }

  private func sum(_ word: Int) -> UInt64 {
    var sum: UInt64 = 0
    for block in blocks { sum &+= block.value(word: word) }
    return sum
  }
}

extension ByteBuffer {
  mutating func head(_ name: StaticString, _ help: StaticString, _ type: StaticString) {
    append("# HELP ")
    append(name)
    append(" ")
    append(help)
    append("\n# TYPE ")
    append(name)
    append(" ")
    append(type)
    append("\n")
  }

  mutating func line(_ name: StaticString, value: Int64) {
    append(name)
    append(" ")
    append(decimal: value)
    append("\n")
  }

  /// - Parameter text: of ours: without quotes, backslashes and line ends, which the format escapes.
  mutating func line(_ name: StaticString, label: StaticString, _ text: String, value: Int64) {
    append(name)
    append("{")
    append(label)
    append("=\"")
    append(text)
    append("\"} ")
    append(decimal: value)
    append("\n")
  }

  /// Nanoseconds as seconds, exactly: `0.000001024`.
  mutating func append(seconds nanoseconds: UInt64) {
    let (whole, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    append(decimal: Int64(bitPattern: whole))
    guard fraction > 0 else { return }
    append(".")
    var rest = fraction
    var digit: UInt64 = 100_000_000
    while rest > 0 {
      append(UInt8(ascii: "0") + UInt8(rest / digit))
      rest %= digit
      digit /= 10
    }
  }
}
