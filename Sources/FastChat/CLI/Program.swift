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
      case .client(let words): end(ClientProgram.run(words))
      case .serve(let configuration, let notes):
        for note in notes { Log.warning("configuration", ["note": note]) }
        end(ServerProgram.run(configuration))
      case .doctor(let configuration, let notes, let json):
        end(DoctorProgram.run(configuration, notes: notes, json: json))
      case .rebuild(let configuration, let order): end(RebuildProgram.run(configuration, order))
      case .newGeneration(let configuration, let order): end(GenerationProgram.run(configuration, order))
      }
    } catch {
      var line = "fastchat: \(error)\n"
      line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
      end(exitUsage)
    }
  }

  /// Ends the process without taking apart what threads may still use: those of tasks and of librdkafka are not
  /// waited for, and exit(3) pulls libraries' globals from under them.
  private static func end(_ status: Int32) -> Never {
    fflush(nil)
    _exit(status)
  }
}
