import Support
import Testing

/// Public rooms: `create`, `join`, `leave`, `members`, and the `member` event.
@Suite struct RoomTests {
  @Test(arguments: Backend.allCases)
  func joiningTellsEveryMemberAndTheOneThatAsked(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      try alice.create("room:lobby")
      let tablet = try server.attach("alice", "tablet")
      let bob = try server.attach("bob", "phone")
      let laptop = try server.attach("bob", "laptop")
      try bob.join("room:lobby")
      let seen = try [alice, tablet, bob, laptop].map { client in
        try client.take("the joining") { $0.type == "member" && $0["user"]?.string == "bob" }
      }
      for event in seen {
        #expect(event.chat == "room:lobby")
        #expect(event["role"]?.string == "member" && event["by"]?.string == "bob")
        #expect(event.seq == seen[0].seq)
        #expect(event["prev"]?.int != nil)
      }
      let members = try bob.ask(#""type":"members","chat":"room:lobby""#, expecting: "members")
      let rows = try #require(members["members"]?.array)
      #expect(rows.map { $0["user"]?.string } == ["alice", "bob"])
      #expect(rows.map { $0["role"]?.string } == ["owner", "member"])
      #expect(members["more"]?.bool == false)
    }
  }

  @Test func messagesGoToAllMembersAndToNobodyElse() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let eve = try server.attach("eve", "phone")
      try alice.create("room:lobby")
      try bob.join("room:lobby")
      let one = try alice.say(to: "room:lobby", id: "one")
      let two = try bob.say(to: "room:lobby", id: "two")
      #expect(try bob.message("one").seq == one.seq)
      #expect(try alice.message("two").seq == two.seq)
      #expect(two.chat == "room:lobby")
      try eve.settle()
      #expect(eve.events().isEmpty)
    }
  }

  @Test func whoJoinsInTheMiddleIsHandedWhatComesAfterAndPagesThePast() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.create("room:lobby")
      for number in 0..<5 { try alice.say(to: "room:lobby", id: "old\(number)") }
      let bob = try server.attach("bob", "phone", cursors: #"{"*":0}"#)
      try bob.join("room:lobby")
      let joined = try bob.take("member", chat: "room:lobby")
      try alice.say(to: "room:lobby", id: "new")
      #expect(try bob.message("new").prev == joined.seq)
      #expect(bob.messageIDs(of: "room:lobby") == ["new"])
      let past = try bob.wholeHistory("room:lobby").map(\.ids)
      #expect(past == (0..<5).map { "old\($0)" } + ["new"])
      // A device that knows nothing is replayed from the joining on.
      let tablet = try server.attach("bob", "tablet", cursors: #"{"*":0}"#)
      #expect(tablet.messageIDs(of: "room:lobby") == ["new"])
      #expect(tablet.events(of: "room:lobby").first?.seq == joined.seq)
      // So is one whose cursor stands before it.
      let old = try server.attach("bob", "old", cursors: #"{"*":0,"room:lobby":0}"#)
      #expect(old.messageIDs(of: "room:lobby") == ["new"])
    }
  }

  @Test(arguments: Backend.allCases)
  func leavingIsTheLastThatTheUserGets(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let laptop = try server.attach("bob", "laptop")
      try alice.create("room:lobby")
      try bob.join("room:lobby")
      try alice.say(to: "room:lobby", id: "before")
      try laptop.message("before")
      try bob.leave("room:lobby")
      for client in [alice, bob, laptop] {
        let event = try client.take("the leaving") { $0.type == "member" && $0["role"] == .null }
        #expect(event["user"]?.string == "bob" && event["by"]?.string == "bob")
      }
      try alice.say(to: "room:lobby", id: "after")
      // An own chat shows that what came before it has been handed over.
      try alice.say(to: "user:bob", id: "fence")
      for client in [bob, laptop] {
        try client.message("fence")
        #expect(client.events(of: "room:lobby").last?["role"] == .null)
        #expect(client.messageIDs(of: "room:lobby") == ["before"])
      }
      #expect(
        try server.attach("bob", "tablet").welcome?["chats"]?.array?.map { $0["chat"]?.string } == [
          "dm:alice:bob"
        ])
    }
  }

  @Test func sendsOfAUserWhoLeftAreRefused() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let laptop = try server.attach("bob", "laptop")
      try alice.create("room:lobby")
      try bob.join("room:lobby")
      try laptop.say(to: "room:lobby")
      try bob.leave("room:lobby")
      for client in [bob, laptop] {
        // At the latest three seconds after the `ok`.
        let deadline = Deadline.usual
        var answer = try client.answer(to: client.post(to: "room:lobby"))
        while answer.type == "ack", !deadline.hasPassed {
          answer = try client.answer(to: client.post(to: "room:lobby"))
        }
        #expect(answer.code == "forbidden")
      }
    }
  }

  @Test func deviceThatWasAwayIsHandedNothingFromBetweenLeavingAndJoiningAgain() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      try alice.create("room:lobby")
      try bob.join("room:lobby")
      let seen = try alice.say(to: "room:lobby", id: "seen").seq!
      try bob.leave("room:lobby")
      try alice.say(to: "room:lobby", id: "secret")
      try bob.join("room:lobby")
      try alice.say(to: "room:lobby", id: "again")
      try bob.message("again")
      #expect(bob.messageIDs(of: "room:lobby") == ["seen", "again"])
      let laptop = try server.attach("bob", "laptop", cursors: #"{"*":0,"room:lobby":\#(seen)}"#)
      #expect(laptop.messageIDs(of: "room:lobby") == ["again"])
    }
  }

  @Test func deviceIsHandedNothingOfARoomThatItsUserLeft() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      try alice.create("room:lobby")
      try bob.join("room:lobby")
      let seen = try alice.say(to: "room:lobby").seq!
      try bob.leave("room:lobby")
      try alice.say(to: "room:lobby", id: "secret")
      let laptop = try server.attach("bob", "laptop", cursors: #"{"*":0,"room:lobby":\#(seen)}"#)
      #expect(laptop.messageIDs(of: "room:lobby").isEmpty)
      #expect(laptop.welcome?["chats"]?.array == [])
    }
  }

  @Test func publicRoomIsForbiddenToANonMemberAndAnAbsentOneNotFound() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.create("room:lobby")
      let seq = try alice.say(to: "room:lobby").seq!
      let eve = try server.attach("eve", "phone")
      for (room, code) in [("room:lobby", "forbidden"), ("room:none", "not-found")] {
        for fields in [
          #""type":"send","to":"\#(room)","body":1"#, #""type":"history","chat":"\#(room)""#,
          #""type":"members","chat":"\#(room)""#, #""type":"read","chat":"\#(room)","seq":\#(seq)"#,
        ] {
          #expect(try eve.refusal(fields) == code, "\(fields)")
        }
      }
      for type in ["join", "leave"] {
        #expect(try eve.refusal(#""type":"\#(type)","chat":"room:none""#) == "not-found")
      }
    }
  }

  @Test func privateRoomLooksAbsentToANonMember() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let made = try alice.ask(#""type":"create","chat":"room:den","name":"Den","public":false"#)
      // A release that has no private rooms says so.
      guard made.type == "ok" else {
        #expect(made.type == "error")
        return
      }
      try alice.say(to: "room:den")
      let eve = try server.attach("eve", "phone")
      for fields in [
        #""type":"send","to":"room:den","body":1"#, #""type":"history","chat":"room:den""#,
        #""type":"members","chat":"room:den""#, #""type":"join","chat":"room:den""#,
      ] {
        #expect(try eve.refusal(fields) == "not-found", "\(fields)")
      }
    }
  }

  @Test func membersArePagedInByteOrder() throws {
    try withServer { server in
      let owner = try server.attach("m", "phone")
      try owner.create("room:lobby")
      let names = ["Z", "a", "@", "0", "_", "zz", "b.b", "b-b"]
      for name in names { try server.attach(name).join("room:lobby") }
      let all = (names + ["m"]).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      var paged: [String] = []
      while true {
        let after = paged.last.map { #","after":"\#($0)""# } ?? ""
        let page = try owner.ask(
          #""type":"members","chat":"room:lobby","limit":4\#(after)"#, expecting: "members")
        #expect(page.chat == "room:lobby")
        let rows = try #require(page["members"]?.array)
        #expect(rows.count == min(4, all.count - paged.count))
        paged += rows.compactMap { $0["user"]?.string }
        if page["more"]?.bool == false { break }
      }
      #expect(paged == all)
    }
  }

  @Test func lastOwnerMayLeaveAndTheRoomStays() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.create("room:lobby")
      try alice.say(to: "room:lobby", id: "kept")
      try alice.leave("room:lobby")
      let bob = try server.attach("bob", "phone")
      try bob.join("room:lobby")
      #expect(try bob.wholeHistory("room:lobby").map(\.ids) == ["kept"])
      let members = try bob.ask(#""type":"members","chat":"room:lobby""#, expecting: "members")
      #expect(members["members"]?.array?.map { $0["user"]?.string } == ["bob"])
    }
  }

  @Test func roomsComeThroughARestart() throws {
    try withServer { server in
      try server.attach("alice", "phone").create("room:lobby")
      try server.attach("bob", "phone").join("room:lobby")
      try server.restart()
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      try alice.say(to: "room:lobby", id: "after")
      try bob.message("after")
    }
  }

  @Test func wrongRoomRequestsAreBadRequests() throws {
    let cases = [
      #""type":"create","chat":"dm:alice:bob","name":"x","public":true"#,
      #""type":"create","chat":"room:","name":"x","public":true"#,
      #""type":"create","chat":"room:a b","name":"x","public":true"#,
      #""type":"create","chat":"lobby","name":"x","public":true"#,
      #""type":"create","chat":"room:r","name":"\#(String(repeating: "n", count: 129))","public":true"#,
      #""type":"create","chat":"room:r","name":7,"public":true"#,
      #""type":"create","chat":"room:r","name":"x","public":"yes""#,
      #""type":"create","name":"x","public":true"#, #""type":"join""#, #""type":"join","chat":7"#,
      #""type":"leave","chat":"nonsense""#, #""type":"members""#,
      #""type":"members","chat":"room:r","limit":0"#, #""type":"members","chat":"room:r","limit":101"#,
    ]
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      for fields in cases { #expect(try alice.refusal(fields) == "bad-request", "\(fields)") }
      try alice.create("room:r", name: String(repeating: "n", count: 128))
    }
  }

  @Test func roomsOfAUserAndMembersOfARoomAreBounded() throws {
    try withServer(["--limits-room-members", "3", "--limits-user-rooms", "2"]) { server in
      let alice = try server.attach("alice", "phone")
      for room in ["room:a", "room:b"] { try alice.create(room) }
      let owner = try server.attach("owner", "phone")
      try owner.create("room:c")
      #expect(try alice.refusal(#""type":"join","chat":"room:c""#) == "forbidden")
      for user in ["bob", "carl"] { try server.attach(user).join("room:a") }
      let dave = try server.attach("dave", "phone")
      #expect(try dave.refusal(#""type":"join","chat":"room:a""#) == "forbidden")
      try alice.leave("room:b")
      try alice.join("room:c")
    }
  }
}
