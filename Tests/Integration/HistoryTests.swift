import Support
import Testing

/// `history`: pages of messages in both directions.
@Suite struct HistoryTests {
  @Test func pagesGoBothWaysAndSayWhetherThereIsMore() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let seqs = try (0..<25).map { number in
        try (number % 3 == 0 ? bob : alice).say(
          to: number % 3 == 0 ? "user:alice" : "user:bob", id: "m\(number)", body: "\(number)"
        ).seq!
      }
      let chat = "dm:alice:bob"
      try bob.waitUntilStored(seqs[24], in: chat)
      var page = try bob.history(chat)
      #expect(page.messages.map(\.seq) == seqs && !page.more)
      page = try bob.history(chat, #""limit":10"#)
      #expect(page.messages.map(\.seq) == Array(seqs[15...]) && page.more)
      page = try bob.history(chat, #""before":\#(seqs[15]),"limit":10"#)
      #expect(page.messages.map(\.seq) == Array(seqs[5..<15]) && page.more)
      page = try bob.history(chat, #""before":\#(seqs[5]),"limit":10"#)
      #expect(page.messages.map(\.seq) == Array(seqs[..<5]) && !page.more)
      page = try bob.history(chat, #""before":\#(seqs[5]),"limit":5"#)
      #expect(page.messages.map(\.seq) == Array(seqs[..<5]) && !page.more)
      page = try bob.history(chat, #""after":0,"limit":10"#)
      #expect(page.messages.map(\.seq) == Array(seqs[..<10]) && page.more)
      page = try bob.history(chat, #""after":\#(seqs[9]),"limit":10"#)
      #expect(page.messages.map(\.seq) == Array(seqs[10..<20]) && page.more)
      page = try bob.history(chat, #""after":\#(seqs[14]),"limit":10"#)
      #expect(page.messages.map(\.seq) == Array(seqs[15...]) && !page.more)
      page = try bob.history(chat, #""after":\#(seqs[24])"#)
      #expect(page.messages.isEmpty && !page.more)
      page = try bob.history(chat, #""before":\#(seqs[0])"#)
      #expect(page.messages.isEmpty && !page.more)
      // Between two seqs, and beyond the last one.
      page = try bob.history(chat, #""after":\#(seqs[24] + 1000)"#)
      #expect(page.messages.isEmpty && !page.more)
      page = try bob.history(chat, #""before":\#(seqs[24] + 1000),"limit":1"#)
      #expect(page.messages.map(\.seq) == [seqs[24]] && page.more)
    }
  }

  @Test func rowsAreTheMessagesThatWereDelivered() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      try alice.say(to: "user:bob", id: "a\"b", body: #"{"x":[1.50,"é"]}"#)
      let message = try bob.message("a\"b")
      let row = try #require(try bob.history("dm:alice:bob").messages.first)
      for key in ["seq", "from", "id", "time", "body"] { #expect(row[key] == message[key], "\(key)") }
    }
  }

  @Test func memberEventsAreNotInHistoryAndHideNothingOfIt() throws {
    try withServer(["--limits-rate", "10000"]) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      try alice.create("room:lobby")
      var ids: [String] = []
      for number in 0..<12 {
        for _ in 0..<7 {
          try bob.join("room:lobby")
          try bob.leave("room:lobby")
        }
        ids.append(try alice.say(to: "room:lobby", id: "m\(number)").id!)
      }
      for _ in 0..<7 {
        try bob.join("room:lobby")
        try bob.leave("room:lobby")
      }
      #expect(try alice.wholeHistory("room:lobby", limit: 5).map(\.ids) == ids)
      // A page may be cut earlier, but what is on it are the newest, or the first.
      let newest = try alice.history("room:lobby", #""limit":5"#)
      #expect(newest.more && !newest.messages.isEmpty && newest.messages.count <= 5)
      #expect(newest.messages.map(\.ids) == Array(ids.suffix(newest.messages.count)))
      let first = try alice.history("room:lobby", #""after":0,"limit":12"#)
      #expect(!first.messages.isEmpty)
      #expect(first.messages.map(\.ids) == Array(ids.prefix(first.messages.count)))
    }
  }

  @Test func pageIsCutBeforeAFrameOfHalfAMebibyte() throws {
    try withServer(["--limits-rate", "10000"]) { server in
      let alice = try server.attach("alice", "phone")
      let body = "\"" + String(repeating: "x", count: 50_000) + "\""
      let ids = try (0..<40).map { try alice.say(to: "user:bob", id: "m\($0)", body: body).id! }
      #expect(try alice.wholeHistory("dm:alice:bob").map(\.ids) == ids)
      let newest = try alice.history("dm:alice:bob", #""limit":100"#)
      #expect(newest.more && newest.messages.last?.ids == "m39" && newest.messages.count > 1)
      #expect(newest.messages.map(\.ids) == Array(ids.suffix(newest.messages.count)))
      #expect(alice.received.allSatisfy { $0.text.utf8.count <= 512 << 10 })
    }
  }

  @Test func longHistoryIsPagedWithoutLossFromBothEnds() throws {
    try withServer(["--limits-rate", "100000"]) { server in
      let alice = try server.attach("alice", "phone")
      // Two chats interleaved, each above several of the index's 64 events.
      let ids = try (0..<400).map { try alice.post(to: $0 % 2 == 0 ? "user:bob" : "user:carl", id: "m\($0)") }
      for id in ids { try alice.answer(to: id, type: "ack") }
      let mine = (0..<400).filter { $0 % 2 == 0 }.map { "m\($0)" }
      #expect(try alice.wholeHistory("dm:alice:bob", limit: 33).map(\.ids) == mine)
      var back: [JSONValue] = []
      while true {
        let before = back.first.map { #""before":\#($0.seq!),"# } ?? ""
        let page = try alice.history("dm:alice:bob", #"\#(before)"limit":33"#)
        back = page.messages + back
        if !page.more { break }
      }
      #expect(back.map(\.ids) == mine)
    }
  }

  @Test func chatOfTwoThatNeverSpokeIsEmpty() throws {
    try withServer { server in
      let page = try server.attach("alice", "phone").history("dm:alice:zed")
      #expect(page.messages.isEmpty && !page.more)
    }
  }

  @Test func wrongPagesAreBadRequestsAndChatsOfOthersForbidden() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.say(to: "user:bob")
      for fields in [
        #""limit":0"#, #""limit":101"#, #""limit":-1"#, #""limit":"5""#, #""limit":2.5"#, #""before":"1""#,
        #""after":-1"#, #""after":1.5"#, #""before":9007199254740993000"#,
      ] {
        #expect(
          try alice.refusal(#""type":"history","chat":"dm:alice:bob",\#(fields)"#) == "bad-request",
          "\(fields)")
      }
      for chat in ["", "bob", "dm:bob:alice", "room:a b"] {
        #expect(try alice.refusal(#""type":"history","chat":"\#(chat)""#) == "bad-request", "\(chat)")
      }
      #expect(try alice.refusal(#""type":"history""#) == "bad-request")
      #expect(try alice.refusal(#""type":"history","chat":"dm:bob:carl""#) == "forbidden")
    }
  }
}
