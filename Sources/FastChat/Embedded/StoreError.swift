/// Why a store could not be opened: one line for people, and a code to act on.
public struct StoreError: Error, CustomStringConvertible {
  public enum Code: Sendable, Equatable {
    /// The directory cannot be made or written to, or the disk is full.
    case unwritable
    /// Another server holds the store; its process id where it is known.
    case inUse(pid: Int32?)
    /// A later version of FastChat wrote it; nothing was changed.
    case newer
    /// The file is a database, but none of FastChat's; nothing was changed.
    case foreign
    /// The file is no database any more, or its parts contradict each other; nothing was changed.
    case damaged
  }

  public let code: Code
  public let description: String

  init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}
