import JSON

/// A session between its `hello` and the moment when all its partitions have settled. Cold: one a session,
/// gone when it is live everywhere.
final class Attach {
  /// The cursors of the `hello`, in byte order of the chats' ids.
  private(set) var cursors: [(chat: [UInt8], seq: Seq)] = []
  /// `"*":0`: chats without a cursor are replayed from their beginning.
  private(set) var replaysUnknown = false
  /// The `hello` named another log: its cursors mean nothing here.
  var isOfAnotherLog = false
  /// When its `hello` came, and when it is too late.
  var began: Tick = 0
  var deadline: Tick = 0
  var lists: [List] = []
  var listsLeft = 0
  /// Direct chats of which a hint went by while the lists were read, with the highest seq.
  var passed: [[UInt8]: Seq] = [:]
  /// Where the session's chats without a listener stand, a partition each: it skips hints up to there.
  var ahead: [Seq] = []

  /// A user's chats in one partition, as they were at `applied`.
  struct List {
    /// The question of its first page, and where the shard stood then.
    var tag: UInt64 = 0
    var issuedAt: Seq = 0
    var applied: Seq = 0
    var logEnd: Seq?
    var isDone = false
    /// The highest membership event of this user that went by; a list that is older is read again.
    var membershipPassed: Seq = 0
    var rows: [ChatRow] = []
  }

  /// Reads the `cursors` object; false where it is not one of whole numbers by chat id.
  func readCursors(_ json: UnsafeRawBufferPointer) -> Bool {
    do throws(JSONError) {
      var reader = JSONReader(json, maxDepth: Limits.jsonDepth)
      var scratch = ByteBuffer()
      try reader.beginObject()
      while let key = try reader.nextKey() {
        let seq = try reader.integer()
        guard seq >= 0 else { return false }
        if key.equals("*") {
          guard seq == 0 else { return false }
          replaysUnknown = true
          continue
        }
        scratch.removeAll()
        guard key.append(to: &scratch) else { return false }
        guard ChatName(scratch.bytes) != nil else { continue }
        cursors.append((Array(scratch.bytes), seq))
      }
      try reader.end()
    } catch {
      return false
    }
    cursors.sort { $0.chat.lexicographicallyPrecedes($1.chat) }
    return true
  }

  func cursor(of chat: [UInt8]) -> Seq? {
    var low = 0
    var high = cursors.count
    while low < high {
      let middle = (low + high) / 2
      if cursors[middle].chat.lexicographicallyPrecedes(chat) { low = middle + 1 } else { high = middle }
    }
    return low < cursors.count && cursors[low].chat == chat ? cursors[low].seq : nil
  }
}
