import Foundation
import Support
import Testing

/// The program's words, codes and streams, as a shell sees them.
@Suite struct CommandLineTests {
  private struct Outcome {
    let code: Int32
    let output: String
    let errors: String
  }

  private func run(_ words: [String], environment: [String: String] = [:]) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: ServerProcess.binary)
    process.arguments = words
    process.environment = environment
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let outputData = try output.fileHandleForReading.readToEnd() ?? Data()
    let errorData = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    return Outcome(
      code: process.terminationStatus, output: String(decoding: outputData, as: UTF8.self),
      errors: String(decoding: errorData, as: UTF8.self))
  }

  @Test(arguments: [
    ["--nonsense"], ["srve"], ["--limits-rate", "0"], ["serve", "--kafka", "b:9092"], ["--redis"],
    ["--auth", "jwt"],
    ["--listen", "0.0.0.0:0"], ["--config", "/nowhere/fastchat.conf"], ["serve", "--listen"],
  ])
  func badWordsAreOneLineOnStandardErrorAndCode2(_ words: [String]) throws {
    let outcome = try run(words)
    #expect(outcome.code == 2)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errors.hasPrefix("fastchat: "))
    #expect(outcome.errors.hasSuffix("\n") && outcome.errors.count { $0 == "\n" } == 1, "\(outcome.errors)")
  }

  @Test func aBadVariableIsOneLineAndCode2() throws {
    let outcome = try run([], environment: ["FASTCHAT_LIMITS_RATE": "fast"])
    #expect(outcome.code == 2)
    #expect(outcome.errors == "fastchat: FASTCHAT_LIMITS_RATE: 'fast' is not 1 to 1000000\n")
  }

  @Test(arguments: [["--help"], ["serve", "--help"], ["--version"], ["options"]])
  func whatIsAskedForIsOnStandardOutputAndCode0(_ words: [String]) throws {
    let outcome = try run(words)
    #expect(outcome.code == 0)
    #expect(outcome.errors.isEmpty)
    #expect(outcome.output.hasSuffix("\n"))
  }
}
