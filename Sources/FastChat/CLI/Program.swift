import Glibc
import Server

/// The `fastchat` program: reads what it is asked to be, and is it.
@main
enum Program {
  /// Flags, variables or the configuration file are wrong.
  static let exitUsage: Int32 = 2

  static func main() {
    do throws(ConfigurationError) {
      let invocation = try Invocation(
        arguments: Array(CommandLine.arguments.dropFirst()), environment: Surroundings.environment(),
        descriptors: Surroundings.descriptorsMax())
      switch invocation {
      case .show(let text): print(text, terminator: "")
      case .client(let words): exit(ClientProgram.run(words))
      case .serve(let configuration, let notes):
        for note in notes { Log.warning("configuration", ["note": note]) }
        exit(ServerProgram.run(configuration))
      case .doctor(let configuration, let notes, let json):
        exit(DoctorProgram.run(configuration, notes: notes, json: json))
      case .rebuild(let configuration, let order): exit(RebuildProgram.run(configuration, order))
      case .newGeneration(let configuration, let order): exit(GenerationProgram.run(configuration, order))
      }
    } catch {
      var line = "fastchat: \(error)\n"
      line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
      exit(exitUsage)
    }
  }
}
