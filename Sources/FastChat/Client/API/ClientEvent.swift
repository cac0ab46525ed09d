/// What a client tells, in order (PROTOCOL).
///
/// Of one chat, the events of its log (`message`, `edited`, `deleted`, `member`) come with rising `seq`,
/// each once. What this client sent itself comes as `sent`, once, when the server has it: between the
/// others' events, and not in their order, since others' events with a lower `seq` may still be under way.
public enum ClientEvent: Sendable, Equatable {
  /// The connection is another. It is told as it is: `waiting` says why and for how long.
  case connection(ConnectionState)
  /// The server's list of the user's chats, or a part of it; `isComplete` with the last part.
  case chats([ChatRow], isComplete: Bool)
  /// A message of another user, or of another device of this one.
  case message(Message)
  case edited(Edit)
  case deleted(Deletion)
  case member(MemberChange)
  /// What this client sent is stored by the server.
  case sent(Receipt)
  /// What this client sent is refused for good. Nothing of it is kept any more.
  case refused(Refusal)
  /// The server can no longer replay what this device missed in that chat. It goes on behind `head`; what
  /// was before is there through `history`.
  case reset(chat: String, head: Int64, json: String)
  /// The user is no longer in that chat, by the server's list.
  case left(chat: String)
  /// The server's data is another than before: what was known of its chats no longer counts. A `reset` for
  /// each chat that has a past follows.
  case otherLog
  case read(chat: String, user: String, seq: Int64, json: String)
  case typing(chat: String, user: String, isOn: Bool, json: String)
  case presence(json: String)
  /// The state cannot be stored; the client goes on, and what waits is in memory only. Nil: it can again.
  case storage(ClientError?)

  /// The frame that it was, or that says the same; nil for what is no frame of the protocol.
  public var json: String? {
    switch self {
    case .message(let message): message.json
    case .edited(let edit): edit.json
    case .deleted(let deletion): deletion.json
    case .member(let change): change.json
    case .sent(let receipt): receipt.json
    case .refused(let refusal): refusal.json
    case .reset(_, _, let json), .read(_, _, _, let json), .typing(_, _, _, let json), .presence(let json):
      json
    case .connection(.catchingUp(let session)): session.json
    case .connection(.live): #"{"type":"live"}"#
    case .connection, .chats, .left, .otherLog, .storage: nil
    }
  }
}

/// How the connection stands.
public enum ConnectionState: Sendable, Equatable {
  case connecting
  /// `welcome` came; what was missed is being handed over.
  case catchingUp(SessionInfo)
  /// What was stored when the session attached has been handed over. What waits is sent now.
  case live
  /// There is no connection; the client connects again after so many milliseconds.
  case waiting(ClientError, milliseconds: Int64)
  /// It is over, and the sequence of events ends behind this. Nil: because `stop` asked for it.
  case ended(ClientError?)
}

/// What `welcome` says.
public struct SessionInfo: Sendable, Equatable {
  public let user: String
  public let device: String
  public let session: String
  public let server: String
  /// The id of the log.
  public let log: String
  public let json: String
}

/// A row of the list of chats.
public struct ChatRow: Sendable, Equatable {
  public let chat: String
  /// The seq of the chat's last event, 0 if it has none.
  public let head: Int64
  /// Up to where the user has read, 0 if never.
  public let read: Int64
  let cursor: Int64?

  public init(chat: String, head: Int64, read: Int64) {
    self.init(chat: chat, head: head, read: read, cursor: nil)
  }

  init(chat: String, head: Int64, read: Int64, cursor: Int64?) {
    self.chat = chat
    self.head = head
    self.read = read
    self.cursor = cursor
  }

  /// The same with a later head.
  public func with(head: Int64) -> ChatRow {
    ChatRow(chat: chat, head: max(head, self.head), read: read, cursor: cursor)
  }
}

public struct Message: Sendable, Equatable {
  public let chat: String
  public let seq: Int64
  public let from: String
  /// What its sender called it.
  public let id: String?
  /// When the server accepted it, in milliseconds since 1970.
  public let time: Int64
  /// Nil where it was deleted.
  public let body: Body?
  /// When it was edited last, in milliseconds since 1970.
  public let edited: Int64?
  public let isDeleted: Bool
  /// The frame, or the row of a history.
  public let json: String
}

public struct Edit: Sendable, Equatable {
  public let chat: String
  public let seq: Int64
  /// The seq of the message.
  public let of: Int64
  public let from: String
  public let time: Int64
  public let body: Body
  public let json: String
}

public struct Deletion: Sendable, Equatable {
  public let chat: String
  public let seq: Int64
  /// The seq of the message.
  public let of: Int64
  public let from: String
  public let time: Int64
  public let json: String
}

public struct MemberChange: Sendable, Equatable {
  public let chat: String
  public let seq: Int64
  public let user: String
  /// Nil: no longer a member.
  public let role: String?
  public let by: String
  public let json: String
}

/// The server's word that it has what was sent.
public struct Receipt: Sendable, Equatable {
  public let id: String
  public let chat: String
  /// Its place in the chat; 0 for what has none (`create`, `join` and their like).
  public let seq: Int64
  /// When the server accepted it, in milliseconds since 1970; 0 for what has no seq.
  public let time: Int64
  public let json: String
}

/// What was sent, and is refused for good.
public struct Refusal: Sendable, Equatable {
  public let id: String
  public let chat: String
  /// The frame that was refused, as it was first sent.
  public let request: String
  public let error: ClientError
  public let json: String
}

/// A page of a chat's past: messages only, oldest first.
public struct HistoryPage: Sendable, Equatable {
  public let messages: [Message]
  /// Whether there is more in the direction asked.
  public let hasMore: Bool
}

/// A page of a room's members.
public struct MembersPage: Sendable, Equatable {
  public struct Member: Sendable, Equatable {
    public let user: String
    public let role: String
  }

  public let members: [Member]
  public let hasMore: Bool
}
