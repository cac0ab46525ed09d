import Support
import Testing

/// The lists of a user's chats: in `welcome` and by `chats`.
@Suite struct ChatListTests {
  @Test func welcomeListsOneHundredChatsInByteOrderAndChatsTheRest() throws {
    try withServer(["--limits-rate", "100000"]) { server in
      let alice = try server.attach("alice", "phone")
      var heads: [String: Int] = [:]
      let others = ["Zoe", "_z", "-a", "0", "@x", ".y"] + (0..<98).map { "user\($0 * 7)" }
      for other in others { heads[direct("alice", other)] = try alice.say(to: "user:\(other)").seq! }
      for room in ["room:b", "room:B"] { try alice.create(room) }

      let fresh = try server.attach("alice", "tablet")
      let listed = try #require(fresh.welcome?["chats"]?.array)
      let names = listed.map { $0["chat"]!.string! }
      let all = (Array(heads.keys) + ["room:b", "room:B"]).sorted {
        $0.utf8.lexicographicallyPrecedes($1.utf8)
      }
      #expect(all.count == 106)
      #expect(names == Array(all.prefix(100)))
      #expect(fresh.welcome?["more"]?.bool == true)
      for row in listed {
        if let head = heads[row["chat"]!.string!] { #expect(row["head"]?.int == head) }
      }

      var paged: [JSONValue] = []
      while true {
        let after = paged.last.map { ",\"after\":\"\($0["chat"]!.string!)\"" } ?? ""
        let page = try fresh.ask(#""type":"chats","limit":30\#(after)"#, expecting: "chats")
        paged += try #require(page["chats"]?.array)
        if page["more"]?.bool == false { break }
        #expect(page["chats"]?.array?.count == 30)
      }
      #expect(paged.map { $0["chat"]?.string } == all)
      #expect(paged.allSatisfy { $0["read"]?.int == 0 && $0["cursor"]?.int != nil })
      // A new device's cursor is the head that it attached at.
      for row in paged { #expect(row["cursor"]?.int == row["head"]?.int) }
    }
  }

  @Test func rowsCarryHowFarThisSessionHasBeenHandedTheChat() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let first = try alice.say(to: "user:bob", id: "a")
      try bob.message("a")
      var row = try bob.row("dm:alice:bob", in: bob.ask(#""type":"chats""#, expecting: "chats"))
      #expect(row["cursor"]?.int == first.seq && row["head"]?.int == first.seq)
      let second = try alice.say(to: "user:bob", id: "b")
      try bob.message("b")
      row = try bob.row("dm:alice:bob", in: bob.ask(#""type":"chats""#, expecting: "chats"))
      #expect(row["cursor"]?.int == second.seq && row["head"]?.int == second.seq)
    }
  }

  @Test func listIsEmptyAfterItsLastChat() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.say(to: "user:bob")
      let page = try alice.ask(#""type":"chats","after":"room:zzz""#, expecting: "chats")
      #expect(page["chats"]?.array == [] && page["more"]?.bool == false)
    }
  }

  @Test(arguments: [
    #""limit":0"#, #""limit":101"#, #""limit":-1"#, #""limit":"5""#, #""limit":1.5"#, #""after":7"#,
  ])
  func wrongPagesAreBadRequests(fields: String) throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      #expect(try alice.refusal(#""type":"chats",\#(fields)"#) == "bad-request")
    }
  }
}
