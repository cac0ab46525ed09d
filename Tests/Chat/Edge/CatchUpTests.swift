import Chat
import Testing

/// Schedules of catching up that once went wrong.
@Suite struct CatchUpTests {
  private func send(_ id: String, to chat: String = "room:a") -> String {
    "{\"type\":\"send\",\"id\":\"\(id)\",\"to\":\"\(chat)\",\"body\":\"\(id)\"}"
  }

  private func room(_ type: String, _ id: String) -> String {
    "{\"type\":\"\(type)\",\"id\":\"\(id)\",\"chat\":\"room:a\",\"public\":true}"
  }

  /// Alice's room, with Bob in it by two devices.
  private func roomOfTwo() -> (stage: Stage, alice: SessionID, phone: SessionID, desk: SessionID) {
    let stage = Stage()
    let (alice, phone, desk) = (stage.attach("alice"), stage.attach("bob"), stage.attach("bob"))
    stage.store(alice, room("create", "1"))
    stage.store(phone, room("join", "2"))
    stage.settle()
    return (stage, alice, phone, desk)
  }

  @Test func anAnswerOlderThanARemovalBringsNobodyBackIn() {
    let (stage, alice, phone, desk) = roomOfTwo()
    // A copy for the phone is lost, and its page is read while bob leaves by the desk.
    stage.full = [phone]
    stage.store(alice, send("lost"))
    stage.full = []
    stage.turn { $0.drained(phone) }
    let old = stage.answers()
    #expect(old.count == 1)
    stage.store(desk, room("leave", "3"))
    for answer in old { stage.turn { $0.received(answer) } }
    stage.store(alice, send("secret"))
    stage.settle()
    #expect(stage.count(desk, "\"role\":null") == 1)
    #expect(stage.count(phone, "\"role\":null") == 1)
    #expect(stage.count(phone, "lost") == 1)
    #expect(stage.count(desk, "secret") == 0 && stage.count(phone, "secret") == 0)
  }

  @Test func whatWasSaidWhileHeWasAwayIsNotReadWhereRetentionTookHisRemoval() {
    let (stage, alice, phone, desk) = roomOfTwo()
    stage.full = [phone]
    stage.store(alice, send("lost"))
    stage.store(desk, room("leave", "3"))
    stage.store(alice, send("secret"))
    stage.store(desk, room("join", "4"))
    stage.store(alice, send("open"))
    // Create, join, message and leave are older than the window.
    stage.backbone.forget(4, of: "room:a")
    stage.full = []
    stage.turn { $0.drained(phone) }
    stage.settle()
    for session in [phone, desk] {
      #expect(stage.count(session, "secret") == 0)
      #expect(stage.count(session, "open") == 1)
    }
  }

  @Test func anOwnMessageThatWasAnsweredUnavailableIsHandedAgainWhereItsCopyWasLost() {
    let stage = Stage()
    let alice = stage.attach("alice")
    stage.full = [alice]
    stage.store(alice, send("mine", to: "user:bob"), failed: true)
    #expect(stage.count(alice, "unavailable") == 1)
    stage.full = []
    stage.turn { $0.drained(alice) }
    stage.settle()
    #expect(stage.count(alice, "\"type\":\"message\"") == 1)
  }

  @Test func aListOfSeveralPagesHandsNothingAtOrBelowTheHeadsThatItNames() {
    let stage = Stage()
    let alice = stage.attach("alice")
    let bob = stage.attach("bob")
    for other in ["b", "c", "d"] { stage.store(alice, send("old", to: "user:\(other)")) }
    stage.turn { $0.opened(SessionID(shard: 0, generation: 1, slot: 9)) }
    let late = SessionID(shard: 0, generation: 1, slot: 9)
    stage.say(late, "{\"type\":\"hello\",\"user\":\"alice\",\"device\":\"new\"}")
    // The first page is read, then a chat of the second one goes on, and the shard hears of it last.
    for answer in stage.answers() { stage.turn { $0.received(answer) } }
    stage.say(alice, send("new", to: "user:d"))
    let batches = stage.apply()
    for answer in stage.answers() { stage.turn { $0.received(answer) } }
    let head = stage.backbone.head("dm:alice:d")
    #expect(stage.count(late, "\"chat\":\"dm:alice:d\",\"head\":\(head)") == 1)
    for batch in batches { stage.turn { $0.received(batch) } }
    stage.settle()
    #expect(stage.count(late, "\"type\":\"message\"") == 0)
    stage.store(bob, send("next", to: "user:alice"))
    #expect(stage.count(late, "next") == 1)
  }
}
