import Support

/// An event of a chat as clients are handed it: what carries a seq that a cursor takes.
public struct ChatEvent: Sendable, Equatable {
  public enum Kind: Sendable, Equatable {
    case message(from: String, id: String)
    /// `role` nil: a member no more.
    case member(user: String, role: String?)
  }

  public let seq: Int
  /// Of the event before it in the chat; 0 for the first.
  public let prev: Int
  public let kind: Kind
  /// The frame's bytes: what one device is handed is what every device is handed.
  public let text: String

  public init(seq: Int, prev: Int, kind: Kind, text: String = "") {
    self.seq = seq
    self.prev = prev
    self.kind = kind
    self.text = text
  }

  /// Nil for a frame that is no event, or lacks what one has.
  init?(_ frame: ChatFrame) {
    guard let seq = frame.seq, let prev = frame.prev else { return nil }
    switch frame.type {
    case "message":
      guard let from = frame["from"]?.string, let id = frame.id else { return nil }
      kind = .message(from: from, id: id)
    case "member":
      guard let user = frame["user"]?.string, let role = frame["role"] else { return nil }
      kind = .member(user: user, role: role.string)
    default: return nil
    }
    self.seq = seq
    self.prev = prev
    text = frame.text
  }
}

/// What one device did and was told in a run, written down as it happened.
public struct Account: Sendable {
  public struct Sent: Sendable {
    public let id: String
    public let chat: String
    /// The sender may not be a member when it is judged, so that it may rightly be refused.
    public let mayBeRefused: Bool

    public init(id: String, chat: String, mayBeRefused: Bool = false) {
      self.id = id
      self.chat = chat
      self.mayBeRefused = mayBeRefused
    }
  }

  public let user: String
  public let device: String
  /// All that it sent, whatever became of it.
  public var sent: [Sent] = []
  /// By id: the seqs that were told for it, by an ack or as an own message. More than one is a difference.
  public var acknowledged: [String: Set<Int>] = [:]
  /// Definitely refused: they changed nothing, or an earlier one of the same id did.
  public var refused: Set<String> = []
  /// By chat: the seqs of all events that were handed over, in the order in which they came.
  public var handed: [String: [Int]] = [:]
  /// What no server may say, whatever dies: resets within the window, frames against the protocol.
  public var faults: [String] = []
  /// What it still waited for at the end.
  public var unsettled: [String] = []
  public var sessions = 0

  public init(user: String, device: String) {
    self.user = user
    self.device = device
  }

  public var name: String { "\(user)/\(device)" }

  /// Whether the user takes part in a direct chat.
  func takesPart(inDirect chat: String) -> Bool {
    chat.split(separator: ":").dropFirst().contains { $0 == user }
  }
}

/// A record of the log, as any consumer of it reads it (docs/LOG.md).
public struct LogRecord: Sendable {
  public let chat: String
  public let seq: Int
  public let type: String
  public let from: String
  public let device: String
  public let id: String
  public let isRetry: Bool

  public init(
    chat: String, seq: Int, type: String = "message", from: String, device: String, id: String,
    isRetry: Bool = false
  ) {
    self.chat = chat
    self.seq = seq
    self.type = type
    self.from = from
    self.device = device
    self.id = id
    self.isRetry = isRetry
  }
}
