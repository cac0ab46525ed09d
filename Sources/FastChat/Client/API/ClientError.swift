/// What went wrong: what it was, in words for people, and what can be done about it.
public struct ClientError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What kind of thing went wrong, for programs.
  public enum Kind: Sendable, Equatable {
    /// The address or another part of the configuration cannot be used.
    case configuration
    /// The kept state cannot be read or written.
    case storage
    /// No connection came about, or it broke.
    case network
    /// Whatever answers there, it is no FastChat server.
    case notFastChat
    /// The server broke a rule of WebSocket or of the protocol.
    case brokenProtocol
    /// The server does not accept the token, or the token expired and no other one could be had.
    case unauthorized
    /// A newer session of the same device took this one's place (close code 4504).
    case replaced
    /// The server ended the session for good (another close code from 4500 on).
    case ended
    /// The server refused a request: the code of its `error` frame.
    case refused(String)
    /// It is larger than the server takes.
    case tooLarge
    /// Too much waits to be sent already; nothing was taken.
    case full
    /// No answer came in time; nothing is known of the request.
    case timedOut
    /// The client was stopped. A message that waits is kept.
    case stopped
    /// The calling task was cancelled. A message that waits goes on waiting.
    case cancelled
  }

  public let kind: Kind
  /// What is wrong.
  public let message: String
  /// What can be done; empty where there is nothing to do.
  public let advice: String

  public init(_ kind: Kind, _ message: String, advice: String = "") {
    self.kind = kind
    self.message = message
    self.advice = advice
  }

  public var description: String { advice.isEmpty ? message : "\(message); \(advice)" }

  static let stopped = ClientError(.stopped, "the client was stopped")
}
