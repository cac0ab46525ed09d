/// Times in nanoseconds, counted in buckets whose width is 1/32 of their value or less.
struct Histogram: Sendable {
  private static let stepBits = 5
  private var buckets = [UInt64](repeating: 0, count: 64 << stepBits)
  private(set) var count: UInt64 = 0

  mutating func record(_ nanoseconds: UInt64) {
    buckets[Histogram.bucket(nanoseconds)] += 1
    count += 1
  }

  mutating func add(_ other: Histogram) {
    for i in buckets.indices { buckets[i] += other.buckets[i] }
    count += other.count
  }

  mutating func clear() { self = Histogram() }

  /// The time in milliseconds that a share of all (0 to 1) did not exceed; 0 if there are none.
  func milliseconds(atMost share: Double) -> Double {
    let wanted = UInt64((Double(count) * share).rounded(.up))
    var seen: UInt64 = 0
    for (bucket, n) in buckets.enumerated() where n > 0 {
      seen += n
      if seen >= wanted { return Double(Histogram.middle(of: bucket)) / 1_000_000 }
    }
    return 0
  }

  private static func bucket(_ value: UInt64) -> Int {
    let exponent = 63 - (value | 1).leadingZeroBitCount
    guard exponent > stepBits else { return Int(value) }
    let shift = exponent - stepBits
    return shift << stepBits + Int(value >> UInt64(shift))
  }

  private static func middle(of bucket: Int) -> UInt64 {
    guard bucket >= 2 << stepBits else { return UInt64(bucket) }
    let shift = bucket >> stepBits - 1
    let mantissa = bucket - shift << stepBits
    return UInt64(mantissa) << UInt64(shift) + 1 << UInt64(shift - 1)
  }
}
