/// Why the server cannot start: one line for a person.
struct StartFailure: Error {
  let message: String
  init(_ message: String) { self.message = message }
}
