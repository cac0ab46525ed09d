/// What a shard knows of one partition of the log.
struct PartitionState {
  /// All up to here has been handed to every live listener on this shard (`W[p]`).
  var position: Seq
  /// The ids that this shard took in its last answer to a doubt.
  var view: ViewID
  var directories: [DirectoryID]
  /// The tag of the recent list that is being read to end a doubt; nil where there is none.
  var doubt: UInt64?
  /// Batches that came meanwhile.
  var held: [Batch] = []
  /// Listeners, and sessions, that are ahead of the position, to be looked at when it moves.
  var ahead: [ListenerKey] = []
  var aheadSessions: [SessionID] = []

  /// Batches that are held during a doubt; past it they are dropped and the doubt begins again.
  static let heldBatches = 256

  init(position: Seq, view: ViewID, directories: [DirectoryID]) {
    self.position = position
    self.view = view
    self.directories = directories
  }
}

/// What a question to the view was asked for.
enum ViewRead {
  /// A session's chats in a partition, for its attach.
  case list(SessionID, partition: Int32)
  /// Events of a chat for a listener that is behind.
  case catchUp(SessionID, chat: Int32)
  case history(SessionID, request: UInt32, limit: Int, isForward: Bool)
  case members(SessionID, request: UInt32)
  case chats(SessionID, request: UInt32, ChatListing)
  /// Whether the session's user may do what the frame asks for, which waits meanwhile.
  case confirm(SessionID, frame: [UInt8])
  case recent(partition: Int32)
}

/// A read to be tried again a little later.
enum ViewRetry {
  case list(SessionID, partition: Int32)
  case catchUp(SessionID)
  case recent(partition: Int32)
}

/// The rows of a `chats` request, gathered from all partitions.
final class ChatListing {
  var partitionsLeft: Int
  let limit: Int
  var rows: [ChatRow] = []
  var hasMore = false

  init(partitions: Int, limit: Int) {
    partitionsLeft = partitions
    self.limit = limit
  }
}

/// One chat of a user as the view lists it.
struct ChatRow {
  var chat: [UInt8]
  var partition: Int32
  var head: Seq
  var read: Seq
  var joined: Seq
  var isRoom: Bool { chat.first == UInt8(ascii: "r") }
}
