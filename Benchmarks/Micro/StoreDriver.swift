import Chat
import Embedded
import JSON

/// A store and records for it: plain first sends, spread over so many direct chats.
final class StoreDriver {
  private static let wallTime: WallTime = 1_760_000_000_000
  /// What a direct chat's two users are called before their number.
  private static let users = ("alice", "bob")

  let store: Store
  private let folder: TemporaryFolder
  private let chats: [[UInt8]]
  private let senders: [[UInt8]]
  private let body: [UInt8]
  private var appends = ByteBuffer(capacity: 1 << 20)
  private var next = 0

  init(chats count: Int, bodyBytes: Int) throws {
    folder = try TemporaryFolder()
    store = try Store(directory: folder.path, limits: Limits())
    chats = (0..<count).map { Array("dm:\(Self.users.0)\($0):\(Self.users.1)\($0)".utf8) }
    senders = (0..<count).map { Array("\(Self.users.0)\($0)".utf8) }
    body = Array("\"\(String(repeating: "b", count: bodyBytes - 2))\"".utf8)
    // Each chat has begun before anything is measured: a chat's first message costs its rows.
    while next < count {
      fill(min(count - next, Store.batchRecords))
      commit()
    }
  }

  /// Encodes the next records as an edge does.
  func fill(_ records: Int) {
    appends.removeAll()
    for _ in 0..<records {
      let chat = next % chats.count
      var id: UInt64 = UInt64(next)
      withUnsafeBytes(of: &id) { id in
        chats[chat].withUnsafeBytes { chat in
          senders[next % chats.count].withUnsafeBytes { sender in
            body.withUnsafeBytes { body in
              AppendCodec.encode(
                Append(
                  partition: 0, kind: .message, isRepeat: false,
                  origin: Origin(epoch: 1, session: SessionID(shard: 0, generation: 1, slot: 1), request: 1),
                  time: Self.wallTime, chat: chat, from: sender,
                  device: UnsafeRawBufferPointer(start: nil, count: 0),
                  id: id, body: body), into: &appends)
            }
          }
        }
      }
      next += 1
    }
  }

  func commit() {
    let result = store.commit(appends: appends.bytes, reads: [], now: Self.wallTime)
    precondition(result.failed.isEmpty, "the store refuses records")
  }
}
