/// Why the server cannot start: one line for a person.
struct StartFailure: Error {
  let message: String
  /// Threads that wait for brokers still run.
  var leavesThreads = false

  init(_ message: String) { self.message = message }
}
