import CFaultyDisk
import Chat
import Embedded
import Glibc
import JSON

/// A store in a directory of its own, and records for it.
final class StoreBench {
  let path: String
  private var open: Store?
  private(set) var reader: StoreReader
  var now: WallTime = 1_760_000_000_000
  private let maker = RecordMaker()

  var store: Store { open! }

  init(limits: Limits = Limits(), rememberedRecords: Int = 1 << 20, diskFails: Bool = false) throws {
    var template = Array("/tmp/fastchat-store-XXXXXX".utf8CString)
    path = String(cString: mkdtemp(&template))
    // Files are watched from their opening on.
    if diskFails { faultydisk_arm(path, 0) }
    let store = try Store(directory: path, limits: limits, rememberedRecords: rememberedRecords)
    open = store
    reader = StoreReader(store.file)
  }

  deinit {
    open = nil
    removeDirectory(path)
  }

  /// Closes the store as a kill would (nothing is told to it), and opens it again.
  func restart(limits: Limits = Limits()) throws {
    open = nil
    let store = try Store(directory: path, limits: limits)
    open = store
    reader = StoreReader(store.file)
  }

  func close() { open = nil }

  func record(
    _ chat: String, _ from: String, _ id: String, body: String = "1", kind: RecordKind = .message,
    isRepeat: Bool = false, device: String = "phone"
  ) -> TestRecord {
    maker.now = now
    return maker.record(chat, from, id, body: body, kind: kind, isRepeat: isRepeat, device: device)
  }

  func create(_ chat: String, _ from: String, _ id: String, isPublic: Bool = true) -> TestRecord {
    record(chat, from, id, body: "{\"name\":\"A \\\"room\\\"\",\"public\":\(isPublic)}", kind: .create)
  }

  @discardableResult
  func commit(_ records: TestRecord..., reads: [ReadMark] = []) -> CommitResult {
    commit(records, reads: reads)
  }

  @discardableResult
  func commit(_ records: [TestRecord], reads: [ReadMark] = []) -> CommitResult {
    maker.now = now
    return maker.commit(records, reads: reads, to: store)
  }

  func ask(
    _ what: ViewQuery.What, chat: String = "", user: String = "", limit: Int = 100, bytes: Int = 1 << 20
  ) -> ViewAnswer {
    reader.answer(
      ViewQuery(
        tag: 5, partition: 0, what: what, chat: Array(chat.utf8), user: Array(user.utf8), limit: limit,
        bytes: bytes))
  }

  func readMark(_ chat: String, _ user: String, _ seq: Seq) -> ReadMark {
    ReadMark(chat: Array(chat.utf8), user: Array(user.utf8), seq: seq, origin: SessionID(raw: 9))
  }
}

/// Records, and runs of them.
final class RecordMaker {
  var now: WallTime = 1_760_000_000_000
  private var requests: UInt32 = 0

  /// A plain first send, or another record by changing the rest.
  func record(
    _ chat: String, _ from: String, _ id: String, body: String = "1", kind: RecordKind = .message,
    isRepeat: Bool = false, device: String = "phone"
  ) -> TestRecord {
    requests += 1
    return TestRecord(
      kind: kind, isRepeat: isRepeat, chat: chat, from: from, device: device, id: id, body: body,
      origin: Origin(epoch: 7, session: SessionID(shard: 0, generation: 1, slot: 1), request: requests),
      time: now)
  }

  func commit(_ records: [TestRecord], reads: [ReadMark] = [], to store: Store) -> CommitResult {
    var run = ByteBuffer()
    for record in records { record.encode(into: &run) }
    return store.commit(appends: run.bytes, reads: reads, now: now)
  }
}

struct TestRecord {
  var kind: RecordKind
  var isRepeat: Bool
  var chat, from, device, id, body: String
  var origin: Origin
  var time: WallTime

  func encode(into run: inout ByteBuffer) {
    let texts = [chat, from, device, id, body].map { Array($0.utf8) }
    func bytes(_ index: Int) -> UnsafeRawBufferPointer { texts[index].withUnsafeBytes { $0 } }
    withExtendedLifetime(texts) {
      AppendCodec.encode(
        Append(
          partition: 0, kind: kind, isRepeat: isRepeat, origin: origin, time: time, chat: bytes(0),
          from: bytes(1),
          device: bytes(2), id: bytes(3), body: bytes(4)), into: &run)
    }
  }

  /// The same request, said again.
  func again(request: UInt32 = 1_000_000) -> TestRecord {
    var copy = self
    copy.isRepeat = true
    copy.origin.request = request
    return copy
  }
}

struct TestHint: Equatable {
  var seq: Seq
  var prev: Seq
  var kind: RecordKind
  var role: Role
  var request: UInt32
  var chat, user, json: String
}

func hints(_ batch: Batch?) -> [TestHint] {
  guard let batch else { return [] }
  var offset = 0
  var all: [TestHint] = []
  while let hint = HintCodec.decode(batch.hints.bytes, at: &offset) {
    all.append(
      TestHint(
        seq: hint.seq, prev: hint.prev, kind: hint.kind, role: hint.role, request: hint.origin.request,
        chat: text(hint.chat), user: text(hint.user), json: text(hint.json)))
  }
  return all
}

func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

extension ViewAnswer {
  func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
}

/// Removes a directory and the files in it.
func removeDirectory(_ path: String) {
  guard let entries = opendir(path) else { return }
  while let entry = readdir(entries) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != ".", name != ".." { unlink(path + "/" + name) }
  }
  closedir(entries)
  rmdir(path)
}
