import Chat
import Embedded
import Support
import Testing

@Suite struct ReaderTests {
  /// Pages of a chat between others, in both directions, from every kind of place, held against a list.
  @Test(arguments: [1, 2, 3] as [UInt64]) func pagesAgreeWithAModel(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let bench = try StoreBench()
    var all: [String: [Seq]] = [:]
    for batch in 0..<30 {
      let records = (0..<Int.random(in: 1...60, using: &random)).map {
        bench.record("dm:a:b\(Int.random(in: 0..<4, using: &random))", "a", "c\(batch).\($0)")
      }
      for hint in hints(bench.commit(records).batch) { all[hint.chat, default: []].append(hint.seq) }
    }
    let range = SeqSpace.base(generation: 1) - 5...bench.store.applied + 5
    for _ in 0..<300 {
      let chat = "dm:a:b\(Int.random(in: 0..<4, using: &random))"
      let seqs = all[chat, default: []]
      let place =
        Bool.random(using: &random) ? seqs.randomElement(using: &random)! : .random(in: range, using: &random)
      let limit = Int.random(in: 1...150, using: &random)
      let above = seqs.filter { $0 > place }
      let forward = bench.ask(.eventsAfter(place), chat: chat, limit: limit)
      #expect(forward.rows.map(\.seq) == Array(above.prefix(limit)))
      #expect(forward.hasMore == (above.count > limit))
      let below = Array(seqs.filter { $0 < place }.reversed())
      let backward = bench.ask(.eventsBefore(place), chat: chat, limit: limit)
      #expect(backward.rows.map(\.seq) == Array(below.prefix(limit)))
      #expect(backward.hasMore == (below.count > limit))
      #expect(forward.head == seqs.last)
    }
    let newest = bench.ask(.eventsBefore(0), chat: "dm:a:b0", limit: 3)
    #expect(newest.rows.map(\.seq) == Array(all["dm:a:b0"]!.reversed().prefix(3)))
  }

  @Test func bytesBoundAPageButNotItsFirstRow() throws {
    let bench = try StoreBench()
    let body = "\"" + String(repeating: "x", count: 5000) + "\""
    bench.commit((0..<10).map { bench.record("dm:a:b", "a", "c\($0)", body: body) })
    var answer = bench.ask(.eventsAfter(0), chat: "dm:a:b", bytes: 16_000)
    #expect(answer.rows.count == 3 && answer.hasMore)
    answer = bench.ask(.eventsBefore(0), chat: "dm:a:b", bytes: 10)
    #expect(answer.rows.count == 1 && answer.hasMore)
  }

  @Test func aUsersChatsComeInByteOrderInPages() throws {
    let bench = try StoreBench()
    var names = (0..<30).map { "dm:alice:u\($0)" } + ["dm:Zed:alice"]
    for (index, name) in names.enumerated() { bench.commit(bench.record(name, "alice", "c\(index)")) }
    bench.commit(bench.create("room:r1", "alice", "r1"), bench.create("room:A", "alice", "r2"))
    names += ["room:r1", "room:A"]
    names.sort { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
    var listed: [String] = []
    var pages = 0
    while true {
      let answer = bench.ask(.chats(after: Array((listed.last ?? "").utf8)), user: "alice", limit: 7)
      listed += answer.rows.map { answer.text($0.chat) }
      pages += 1
      for row in answer.rows {
        let isRoom = answer.text(row.chat).hasPrefix("room:")
        #expect(row.role == (isRoom ? .owner : .member))
        #expect(row.joined == (isRoom ? row.seq : 0))
      }
      if !answer.hasMore { break }
    }
    #expect(listed == names)
    #expect(pages == 5)
  }

  @Test func membersComeInPages() throws {
    let bench = try StoreBench()
    bench.commit(bench.create("room:lobby", "u5", "c"))
    bench.commit((0..<5).map { bench.record("room:lobby", "u\($0)", "j", body: "", kind: .join) })
    let first = bench.ask(.members(after: []), chat: "room:lobby", limit: 4)
    #expect(first.rows.map { first.text($0.user) } == ["u0", "u1", "u2", "u3"] && first.hasMore)
    let rest = bench.ask(.members(after: Array("u3".utf8)), chat: "room:lobby", limit: 4)
    #expect(rest.rows.map { rest.text($0.user) } == ["u4", "u5"] && !rest.hasMore)
    let direct = bench.ask(.members(after: Array("a".utf8)), chat: "dm:a:b")
    #expect(direct.rows.map { direct.text($0.user) } == ["b"])
  }

  @Test func aDirectChatHasItsMembersBeforeItBegins() throws {
    let bench = try StoreBench()
    #expect(bench.ask(.member, chat: "dm:a:b", user: "b").member == MemberRow(role: .member, joined: 0))
    #expect(bench.ask(.member, chat: "dm:a:b", user: "c").member == nil)
    let answer = bench.ask(.eventsAfter(0), chat: "dm:a:b", user: "a")
    #expect(answer.rows.isEmpty && answer.head == 0 && !answer.hasMore && answer.room == nil)
  }

  @Test func theRecentListTellsWhichChatGotWhatAndWhomItConcerned() throws {
    let bench = try StoreBench()
    let start = bench.store.applied
    bench.commit(
      bench.create("room:lobby", "alice", "c"), bench.record("dm:a:b", "b", "m"),
      bench.record("room:lobby", "bob", "j", body: "", kind: .join))
    var answer = bench.ask(.recent(after: start), limit: 10)
    #expect(answer.rows.map { answer.text($0.chat) } == ["room:lobby", "dm:a:b", "room:lobby"])
    #expect(answer.rows.map { answer.text($0.user) } == ["alice", "b", "bob"])
    #expect(answer.rows.map(\.kind) == [.create, .message, .join])
    #expect(answer.rows.map(\.seq) == [start + 1, start + 2, start + 3])
    #expect(!answer.hasMore)
    answer = bench.ask(.recent(after: start + 1), limit: 1)
    #expect(answer.rows.map(\.seq) == [start + 2] && answer.hasMore)
  }
}
