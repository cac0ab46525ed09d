import Chat
import Foundation
import Testing

@testable import Server

@Suite struct OptionsTests {
  @Test func namesAreUniqueAndFitForAFlagAVariableAndALine() {
    #expect(Set(Options.all.map(\.name)).count == Options.all.count)
    for option in Options.all {
      #expect(option.name.wholeMatch(of: /[a-z]+(-[a-z]+)*/) != nil)
      #expect(!option.help.hasSuffix(".") && !option.help.isEmpty)
      #expect(option.isToggle == option.placeholder.isEmpty)
    }
    #expect(Options.named("limits-rate")?.variable == "FASTCHAT_LIMITS_RATE")
  }

  @Test func everyDefaultIsAllowedAndChangesNothing() throws {
    for option in Options.all where option.isBuilt && !option.defaultText.isEmpty {
      var configuration = Configuration()
      try option.apply(option.defaultText, to: &configuration)
      #expect("\(configuration)" == "\(Configuration())", "\(option.name)")
    }
  }

  @Test func theHelpNamesEveryOptionAndFitsATerminal() throws {
    guard
      case .show(let text) = try Invocation(arguments: ["serve", "--help"], environment: [], descriptors: 9)
    else {
      Issue.record("no help")
      return
    }
    let lines = text.split(separator: "\n")
    for option in Options.all {
      #expect(lines.contains { $0.hasPrefix("  --\(option.name)") }, "\(option.name)")
    }
    for line in lines { #expect(line.count <= 100, "\(line)") }
  }

  @Test func helpAndVersionWinOverServing() throws {
    for words in [["--help"], ["-h"], ["serve", "--echo", "--help"], ["options", "--help"]] {
      guard case .show(let text) = try Invocation(arguments: words, environment: [], descriptors: 9) else {
        Issue.record("serves: \(words)")
        continue
      }
      #expect(text.hasPrefix("Usage: fastchat"))
    }
    guard case .show(let version) = try Invocation(arguments: ["--version"], environment: [], descriptors: 9)
    else {
      Issue.record("no version")
      return
    }
    #expect(version.wholeMatch(of: /fastchat \d+\.\d+\.\d+\n/) != nil)
  }

  @Test func thePageInTheDocsIsTheOneThatTheProgramPrints() throws {
    let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../docs/OPTIONS.md").standardizedFileURL
    let text = try String(contentsOf: page, encoding: .utf8)
    #expect(text == OptionsPage.text, "run: make docs")
  }

  @Test(arguments: [
    ("0", 0), ("1", 1), ("1B", 1), ("1KiB", 1_024), ("64MiB", 64 << 20), ("1M", 1 << 20), ("2K", 2_048),
    ("3GiB", 3 << 30), ("007", 7),
  ])
  func sizesAreRead(_ text: String, _ bytes: Int) {
    #expect(Quantity.bytes.parse(text) == bytes)
  }

  @Test(arguments: ["", "KiB", "1 KiB", "1kb", "1KB", "-1", "1.5MiB", "999999999999999999GiB", "٣"])
  func whatIsNoSizeIsRefused(_ text: String) {
    #expect(Quantity.bytes.parse(text) == nil)
  }

  @Test(arguments: [
    ("0", 0), ("5ms", 5), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("7d", 604_800_000),
  ])
  func timesAreReadAndWrittenInTheLargestUnit(_ text: String, _ milliseconds: Int) {
    #expect(Quantity.milliseconds.parse(text) == milliseconds)
    #expect(Quantity.milliseconds.format(milliseconds) == (milliseconds == 0 ? "0ms" : text))
  }

  @Test(arguments: ["5", "5 s", "s", "1w", "1.5s", ""])
  func aTimeWithoutAKnownUnitIsRefused(_ text: String) {
    #expect(Quantity.milliseconds.parse(text) == nil)
  }

  @Test func clientsAreToldLessThanTheOwnerRemembers() {
    guard case .milliseconds(_, let range) = Options.named("limits-dedupe")?.value else {
      Issue.record("no limits-dedupe")
      return
    }
    // What may stand still between the first send and its repeat's judging: a shard, the append, the network.
    let standing = Limits.stallMilliseconds + Limits.appendMilliseconds + 60_000
    #expect(Int64(range.upperBound) + standing <= Limits.dedupeSpanMilliseconds)
  }
}
