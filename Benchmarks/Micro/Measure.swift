import Glibc

/// A benchmark that is set up when its turn comes.
struct Candidate {
  let name: String
  /// Sets it up, under its name.
  let make: () throws -> Benchmark

  init(_ name: String, _ make: @escaping (String) throws -> Benchmark) {
    self.name = name
    self.make = { try make(name) }
  }
}

/// One figure and its floor: the same work, done by ours and by the least C.
struct Benchmark {
  let name: String
  /// What the floor does, for people.
  let floorName: String
  /// Does the work so many times.
  let ours: (Int) -> Void
  let floor: (Int) -> Void
  /// Operations that one "time" stands for (records of a batch).
  var operations = 1
}

/// A figure in nanoseconds of the thread's CPU time for each operation: medians of interleaved rounds.
struct Figure {
  let name: String
  let floorName: String
  let ours: Double
  let floor: Double
  /// Median of the rounds' own ratios: both sides of a round met the same machine.
  let ratio: Double
}

extension Benchmark {
  private static let rounds = 15
  private static let roundNanoseconds = 4_000_000.0

  func measure() -> Figure {
    let times = (count(ours), count(floor))
    var samples: [(ours: Double, floor: Double)] = []
    for round in 0..<Benchmark.rounds {
      // Who goes first changes, since the second finds a warmer machine.
      if round % 2 == 0 {
        let first = time(ours, times.0)
        samples.append((first, time(floor, times.1)))
      } else {
        let first = time(floor, times.1)
        samples.append((time(ours, times.0), first))
      }
    }
    return Figure(
      name: name, floorName: floorName, ours: median(samples.map(\.ours)),
      floor: median(samples.map(\.floor)), ratio: median(samples.map { $0.ours / $0.floor }))
  }

  /// How often the work fits into a round.
  private func count(_ work: (Int) -> Void) -> Int {
    // Libraries set themselves up in their first call.
    work(1)
    var times = 1
    while true {
      let start = threadNanoseconds()
      work(times)
      let used = Double(threadNanoseconds() - start)
      if used > Benchmark.roundNanoseconds / 4 {
        return max(1, Int(Double(times) * Benchmark.roundNanoseconds / used))
      }
      times *= 4
    }
  }

  private func time(_ work: (Int) -> Void, _ times: Int) -> Double {
    let start = threadNanoseconds()
    work(times)
    return Double(threadNanoseconds() - start) / Double(times * operations)
  }
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted[sorted.count / 2]
}

private func threadNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// A value that the compiler must take for used.
@inline(never)
func keep<T>(_ value: T) {}

/// Memory that lives as long as the program.
func permanent(_ bytes: [UInt8]) -> UnsafeMutableRawBufferPointer {
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 64)
  copy.copyBytes(from: bytes)
  return copy
}
