extension Generator {
  /// A whole number of the range, each as likely as another. The same on every machine, which the standard
  /// library's `random(in:using:)` does not promise.
  public mutating func between(_ low: Int64, _ high: Int64) -> Int64 {
    guard high > low else { return low }
    return low + Int64(((next() >> 32) &* UInt64(high - low + 1)) >> 32)
  }

  public mutating func below(_ count: Int) -> Int { Int(between(0, Int64(count) - 1)) }

  public mutating func element<T>(of list: [T]) -> T? { list.isEmpty ? nil : list[below(list.count)] }

  /// Mostly low, now and then up to `high`.
  public mutating func latency(_ low: Int64, _ high: Int64) -> Int64 {
    chance(0.9) ? between(low, low + (high - low) / 8) : between(low, high)
  }
}
