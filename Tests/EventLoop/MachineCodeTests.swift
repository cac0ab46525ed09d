import Glibc
import Testing

#if DEBUG
  private let isOptimised = false
#else
  private let isOptimised = true
#endif

/// What the counters of `CountingTests` see on the paths that they take, the disassembly shows for all of
/// them: `swift test -c release -Xswiftc -enable-testing --filter MachineCodeTests`, where binutils are there.
@Suite(
  "The machine code of the loop counts no references",
  .enabled(
    if: isOptimised && access("/usr/bin/objdump", X_OK) == 0 && access("/usr/bin/nm", X_OK) == 0,
    "read from a release build, by nm and objdump"))
struct MachineCodeTests {
  /// The types whose code runs in a turn, as their symbols begin.
  private static let types = [
    "AAC", "14IOUringBackendV", "12EpollBackendV", "11OutputQueueV", "10BufferPoolV", "10TimerWheelV",
    "15ConnectionTableV", "9DirtyListV", "9LoopClockV",
  ].map { "$s9EventLoop" + $0 }

  /// What runs when a loop is set up or torn down: `init`, `shutdown`, `destroy`, `watch` of a mailbox,
  /// deinitialisers, and accessors as such (they are inlined where they are used).
  private static let cold = ["8shutdown", "7destroyyyF", "5watchyyAA7MailboxC", poolFilling] + lending
  /// Count the owner of lent bytes, once for an event however many it goes to; the counters hold that.
  private static let lending = ["4lend_6keptBy", "endLending"]
  /// Asks the system for memory while the pool fills; the counters hold that it stops.
  private static let poolFilling = "10BufferPoolV4take"
  private static let coldEndings = ["fC", "fc", "fD", "fd", "Ma", "Wl", "Z", "vg", "vs", "vM"]

  private static let forbidden = [
    "swift_retain", "swift_release", "swift_bridgeObjectRetain", "swift_allocObject", "swift_slowAlloc",
    "swift_beginAccess", "swift_once",
  ]

  @Test("No retain, no release, no allocation, no check of access")
  func disassembly() throws {
    let program = "/proc/\(getpid())/exe"
    let symbols = try output(of: "nm --defined-only \(program)").compactMap { line -> String? in
      guard let name = line.split(separator: " ").last.map(String.init),
        Self.types.contains(where: { name.hasPrefix($0) }),
        !Self.cold.contains(where: { name.contains($0) }),
        // Specialisations carry their own ending behind that of the function.
        !Self.coldEndings.contains(where: { name.hasSuffix($0) || name.contains($0 + "Tf") }),
        !name.contains("Vw"), !name.contains("Ow"), !name.contains("WO")
      else { return nil }
      return name
    }
    // The two that a caller turns the loop with are among them.
    #expect(symbols.contains { $0.hasPrefix("$s9EventLoopAAC4turn") })
    #expect(symbols.contains { $0.hasPrefix("$s9EventLoopAAC4next") })
    #expect(symbols.count > 40)
    for symbol in symbols {
      let code = try output(of: "objdump -d --no-show-raw-insn --disassemble='\(symbol)' \(program)")
      let calls = code.filter { line in Self.forbidden.contains { line.contains($0) } }
      #expect(calls.isEmpty, "\(symbol): \(calls)")
    }
  }

  private func output(of command: String) throws -> [String] {
    let pipe = try #require(popen(command + " 2>/dev/null", "r"))
    defer { pclose(pipe) }
    var lines: [String] = []
    var line = [CChar](repeating: 0, count: 4_096)
    while fgets(&line, Int32(line.count), pipe) != nil {
      lines.append(
        String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
    return lines
  }
}
