import Chat
import JSON
import Testing

@testable import Server

@Suite struct QueueTests {
  @Test func roomIsTakenUntilWhatWasTakenOutIsReleased() {
    let queue = StoreQueue(limitBytes: 10)
    queue.put(bytes("abcdef"), marks: [])
    #expect(queue.room == 4)
    var run = ByteBuffer()
    var marks: [ReadMark] = []
    #expect(queue.take(&run, &marks, until: 0))
    #expect(sameBytes(run.bytes, "abcdef"))
    #expect(queue.room == 4)
    queue.release(6)
    #expect(queue.room == 10)
  }

  @Test func roomIsNeverNegative() {
    let queue = StoreQueue(limitBytes: 3)
    queue.put(bytes("abcdef"), marks: [])
    #expect(queue.room == 0)
  }

  @Test func aClosedQueueGivesOutWhatItHeldAndThenEnds() {
    let queue = StoreQueue(limitBytes: 10)
    queue.put(bytes("a"), marks: [])
    queue.put(bytes("b"), marks: [])
    queue.close()
    var run = ByteBuffer()
    var marks: [ReadMark] = []
    #expect(queue.take(&run, &marks, until: .max / 2))
    #expect(sameBytes(run.bytes, "ab"))
    run.removeAll()
    #expect(!queue.take(&run, &marks, until: .max / 2))
  }

  @Test func anOpenQueueWithoutWorkGivesUpAtTheDeadline() {
    let queue = StoreQueue(limitBytes: 10)
    var run = ByteBuffer()
    var marks: [ReadMark] = []
    #expect(queue.take(&run, &marks, until: Clock.tick() + 5))
    let isEmpty = run.isEmpty
    #expect(isEmpty)
  }

  @Test func readMarksBeyondTheBoundAreDropped() {
    let queue = StoreQueue(limitBytes: 10)
    let mark = ReadMark(chat: [1], user: [2], seq: 3, origin: SessionID(raw: 4))
    queue.put(bytes(""), marks: [ReadMark](repeating: mark, count: StoreQueue.readMarksMax - 1))
    queue.put(bytes(""), marks: [mark, mark])
    var run = ByteBuffer()
    var marks: [ReadMark] = []
    #expect(queue.take(&run, &marks, until: 0))
    #expect(marks.count == StoreQueue.readMarksMax)
  }

  @Test func questionsBeyondAShardsShareAreNotTakenAndOthersAre() {
    let queue = ViewQueue(shards: 2)
    let query = ViewQuery(tag: 1, partition: 0, what: .member)
    let many = [ViewQuery](repeating: query, count: ViewQueue.perShardMax + 3)
    #expect(queue.put(many, from: 0) == ViewQueue.perShardMax)
    #expect(queue.put([query], from: 0) == 0)
    #expect(queue.put([query], from: 1) == 1)
    var questions: [ViewQueue.Question] = []
    #expect(queue.take(&questions, until: 0))
    #expect(questions.count == ViewQueue.perShardMax + 1)
    #expect(questions.last?.shard == 1)
    #expect(queue.put([query], from: 0) == 1)
  }

  @Test func aClosedQueueTakesNoQuestions() {
    let queue = ViewQueue(shards: 1)
    queue.close()
    #expect(queue.put([ViewQuery(tag: 1, partition: 0, what: .member)], from: 0) == 0)
    var questions: [ViewQueue.Question] = []
    #expect(!queue.take(&questions, until: .max / 2))
  }
}
