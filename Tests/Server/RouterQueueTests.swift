import Chat
import EventLoop
import JSON
import Testing

@testable import Server

@Suite struct RouterQueueTests {
  private let nothing = UnsafeRawBufferPointer(start: nil, count: 0)

  private func query(_ tag: UInt64) -> ViewQuery { ViewQuery(tag: tag, partition: 0, what: .member) }

  @Test func recordsTakeRoomUntilTheProducerHasThem() throws {
    let queue = try RouterQueue(limitBytes: 10, shards: 1)
    _ = [UInt8](repeating: 7, count: 6).withUnsafeBytes {
      queue.put(appends: $0, words: [], questions: [], marks: [], ephemerals: [], from: 0)
    }
    #expect(queue.room == 4)
    var mail = RouterMail()
    queue.take(&mail)
    #expect(mail.appends.count == 6 && queue.room == 4)
    queue.release(6)
    #expect(queue.room == 10)
  }

  @Test func eachShardHasItsShareOfTheQuestions() throws {
    let queue = try RouterQueue(limitBytes: 10, shards: 2)
    let many = (0..<UInt64(ViewQueue.perShardMax) + 3).map(query)
    func put(_ queries: [ViewQuery], from shard: Int) -> Int {
      queue.put(appends: nothing, words: [], questions: queries, marks: [], ephemerals: [], from: shard)
    }
    #expect(put(many, from: 0) == ViewQueue.perShardMax)
    #expect(put([query(1)], from: 1) == 1)
    #expect(put([query(1)], from: 0) == 0)
    var mail = RouterMail()
    queue.take(&mail)
    // What was taken and not answered counts on.
    #expect(put([query(1)], from: 0) == 0)
    queue.answered([2, 0])
    #expect(put([query(1), query(2), query(3)], from: 0) == 2)
  }

  @Test func wordsOfAShardKeepTheirOrderAndAttachesABound() throws {
    let queue = try RouterQueue(limitBytes: 10, shards: 1)
    let session = SessionID(shard: 0, generation: 1, slot: 1)
    let entry = SessionEntry(session: session, user: [1], device: [])
    let words =
      [RouterWord](repeating: .attach(entry), count: RouterQueue.attachesMax - 1) + [.detach(session)]
    #expect(queue.mayAttach)
    _ = queue.put(appends: nothing, words: words, questions: [], marks: [], ephemerals: [], from: 0)
    #expect(!queue.mayAttach)
    var mail = RouterMail()
    queue.take(&mail)
    #expect(queue.mayAttach && mail.words.count == RouterQueue.attachesMax)
    guard case .detach = mail.words.last?.word else { return #expect(Bool(false), "another order") }
  }
}
