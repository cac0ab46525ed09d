import Support
import Testing

@testable import Client

/// Rules of PROTOCOL, one by one.
@Suite struct MachineTests {
  private static let dm = "dm:alice:bob"

  private func returning(_ cursors: [String: Int64] = [:]) -> KeptState {
    var kept = KeptState(user: "alice", device: "d")
    kept.isReturning = true
    kept.log = "l1"
    kept.cursors = cursors
    return kept
  }

  @Test func aNewDeviceNamesNoCursorsAndOneThatComesBackNamesAll() throws {
    let new = try MachineDriver(KeptState(user: "alice", device: "d"))
    #expect(try #require(new.said().first)["cursors"] == nil)
    new.welcome([(Self.dm, 7)])
    new.say(#"{"type":"live"}"#)
    #expect(new.kept.isReturning && new.kept.cursors == [Self.dm: 7] && new.kept.log == "l1")
    new.cut()
    new.connect()
    let hello = try #require(new.said().first)
    #expect(
      hello["cursors"] == .object(["*": .integer(0), Self.dm: .integer(7)]) && hello["log"]?.string == "l1")
  }

  @Test func anAckMovesNoCursorAndTheReplayOfAnOwnMessageIsPassedBy() throws {
    let driver = try MachineDriver(returning([Self.dm: 5]))
    driver.welcome([(Self.dm, 5)])
    driver.say(#"{"type":"live"}"#)
    driver.send("a", to: Self.dm)
    driver.say(#"{"type":"ack","id":"a","chat":"dm:alice:bob","seq":8,"time":1}"#)
    #expect(driver.receipts == ["a"] && driver.kept.cursors == [Self.dm: 5])
    // Another's, with a lower seq, was still under way.
    driver.say(driver.message(Self.dm, 7, prev: 5))
    #expect(driver.handed == [7])
    driver.cut()
    driver.connect()
    #expect(try #require(driver.said().last)["cursors"]?[Self.dm] == .integer(7))
    driver.welcome([(Self.dm, 8)])
    driver.say(driver.message(Self.dm, 8, prev: 7, from: "alice", id: "a"))
    driver.say(driver.message(Self.dm, 9, prev: 8))
    #expect(driver.handed == [7, 9] && driver.receipts == ["a"] && driver.kept.cursors == [Self.dm: 9])
  }

  @Test func aGapWaitsForTheAckThatMayExplainItAndIsReadOtherwise() throws {
    let driver = try MachineDriver(returning([Self.dm: 5]))
    driver.welcome([(Self.dm, 5)])
    driver.say(#"{"type":"live"}"#)
    driver.send("a", to: Self.dm)
    _ = driver.said()
    driver.say(driver.message(Self.dm, 8, prev: 7))
    #expect(driver.handed.isEmpty && driver.said().isEmpty)
    driver.say(#"{"type":"ack","id":"a","chat":"dm:alice:bob","seq":7,"time":1}"#)
    #expect(driver.handed == [8])
    // Nothing explains this one.
    driver.say(driver.message(Self.dm, 12, prev: 11))
    let asked = try #require(driver.said().first)
    #expect(asked["type"]?.string == "history" && asked["after"]?.int == 8)
    driver.say(driver.message(Self.dm, 13, prev: 12))
    driver.say(
      "{\"type\":\"history\",\"id\":\"\(asked["id"]!.string!)\",\"chat\":\"\(Self.dm)\",\"messages\":["
        + "{\"seq\":11,\"prev\":8,\"from\":\"bob\",\"id\":\"y\",\"time\":1,\"body\":2},"
        + "{\"seq\":12,\"prev\":11,\"from\":\"bob\",\"id\":\"x\",\"time\":1,\"body\":1}],\"more\":false}")
    #expect(driver.handed == [8, 11, 12, 13])
  }

  @Test func beyondTheDedupeSpanARequestIsLookedForBeforeItIsMadeAnew() throws {
    for isThere in [true, false] {
      let driver = try MachineDriver(returning([Self.dm: 5]))
      driver.welcome([(Self.dm, 5)])
      driver.say(#"{"type":"live"}"#)
      driver.send("a", to: Self.dm)
      driver.send("b", to: Self.dm)
      driver.cut()
      driver.pass(400_000)
      driver.connect()
      driver.welcome([(Self.dm, 5)])
      _ = driver.said()
      driver.say(#"{"type":"live"}"#)
      let asked = driver.said()
      #expect(asked.map { $0["type"]?.string } == ["history"])
      let row = isThere ? "{\"seq\":4,\"prev\":3,\"from\":\"alice\",\"id\":\"a\",\"time\":1,\"body\":1}" : ""
      driver.say(
        "{\"type\":\"history\",\"id\":\"\(asked[0]["id"]!.string!)\",\"chat\":\"\(Self.dm)\",\"messages\":[\(row)],\"more\":false}"
      )
      #expect(driver.receipts == (isThere ? ["a"] : []))
      // One at a time, in their order; only what was sent before is a repeat.
      let sent = driver.said()
      #expect(sent.map { $0["id"]?.string } == [isThere ? "b" : "a"])
      #expect(sent.first?["retry"]?.bool == (isThere ? nil : true))
    }
  }

  @Test func afterAnIndefiniteAnswerOnlyCertainRefusalsSettleARepeat() throws {
    let driver = try MachineDriver(returning())
    driver.welcome()
    driver.say(#"{"type":"live"}"#)
    driver.send("a", to: Self.dm)
    func refuse(_ code: String) { driver.say(#"{"type":"error","id":"a","code":"\#(code)","message":"m"}"#) }
    _ = driver.said()
    for code in ["rate-limited", "unavailable", "busy", "internal"] {
      refuse(code)
      driver.pass(6_000)
      let again = driver.said()
      #expect(again.map { $0["id"]?.string } == ["a"], "\(code)")
      #expect(again.first?["retry"]?.bool == (code == "rate-limited" ? nil : true))
    }
    refuse("forbidden")
    #expect(driver.machine.pendingCount == 0 && driver.kept.pending.isEmpty)
    guard case .refused(let refusal) = driver.events.last else {
      Issue.record("not told")
      return
    }
    #expect(refusal.error.kind == .refused("forbidden") && refusal.request.contains("\"id\":\"a\""))
  }

  @Test func whatIsLargerThanTheServerTakesIsRefusedHere() throws {
    let driver = try MachineDriver(returning())
    driver.welcome()
    driver.say(#"{"type":"live"}"#)
    _ = driver.said()
    driver.send("a", to: Self.dm, body: "\"" + String(repeating: "x", count: 70_000) + "\"")
    #expect(driver.said().isEmpty && driver.machine.pendingCount == 0)
    guard case .refused(let refusal) = driver.events.last else {
      Issue.record("not told")
      return
    }
    #expect(refusal.error.kind == .tooLarge)
  }

  @Test func anotherLogMakesAllCursorsVoid() throws {
    let driver = try MachineDriver(returning([Self.dm: 500]))
    driver.welcome([(Self.dm, 9)], log: "l2")
    driver.say(#"{"type":"reset","chat":"dm:alice:bob","head":9}"#)
    driver.say(#"{"type":"live"}"#)
    driver.say(driver.message(Self.dm, 10, prev: 9))
    #expect(driver.events.contains(.otherLog) && driver.handed == [10])
    #expect(driver.kept.log == "l2" && driver.kept.cursors == [Self.dm: 10] && driver.kept.isReturning)
  }

  @Test func moreCursorsThanAHelloHoldsAreReadFromTheHistory() throws {
    var cursors: [String: Int64] = [:]
    for number in 0..<30_000 {
      cursors["room:\(String(repeating: "n", count: 30))\(number)"] = Int64(1_000 + number)
    }
    let idle = "room:idle"
    cursors[idle] = 3
    let driver = try MachineDriver(returning(cursors))
    let hello = try #require(driver.said().first)
    let named = try #require(hello["cursors"]?.keys)
    #expect(named.count > 10_000 && named.count < 30_000 && !named.contains("*") && !named.contains(idle))
    driver.welcome([(idle, 5)], more: true)
    let asked = try #require(driver.said().first { $0["type"]?.string == "history" })
    #expect(asked["chat"]?.string == idle && asked["after"]?.int == 3)
    // What comes meanwhile waits for its turn.
    driver.say(driver.message(idle, 6, prev: 5))
    #expect(driver.handed.isEmpty)
    driver.say(
      "{\"type\":\"history\",\"id\":\"\(asked["id"]!.string!)\",\"chat\":\"\(idle)\",\"messages\":["
        + "{\"seq\":5,\"prev\":3,\"from\":\"bob\",\"id\":\"y\",\"time\":1,\"body\":2}],\"more\":false}")
    #expect(driver.handed == [5, 6])
  }

  @Test func theListIsReadToItsEndAndWhatItLacksIsLeft() throws {
    let driver = try MachineDriver(returning(["room:gone": 4, "room:z": 4]))
    driver.welcome([("room:a", 2)], more: true)
    driver.say(#"{"type":"live"}"#)
    let asked = try #require(driver.said().first { $0["type"]?.string == "chats" })
    #expect(asked["after"]?.string == "room:a")
    driver.say(
      "{\"type\":\"chats\",\"id\":\"\(asked["id"]!.string!)\",\"chats\":[{\"chat\":\"room:z\",\"head\":4,\"read\":0,\"cursor\":4}],\"more\":false}"
    )
    #expect(driver.events.contains(.left(chat: "room:gone")))
    #expect(driver.kept.cursors == ["room:z": 4])
  }

  @Test func anOwnRemovalForgetsTheChatAndAnOwnJoinIsNoGap() throws {
    let driver = try MachineDriver(returning(["room:r": 4]))
    driver.welcome([("room:r", 4)])
    driver.say(#"{"type":"live"}"#)
    driver.say(#"{"type":"member","chat":"room:r","seq":5,"prev":4,"user":"alice","role":null,"by":"bob"}"#)
    #expect(driver.kept.cursors.isEmpty)
    _ = driver.said()
    driver.say(
      #"{"type":"member","chat":"room:r","seq":9,"prev":8,"user":"alice","role":"member","by":"bob"}"#)
    driver.say(driver.message("room:r", 10, prev: 9))
    #expect(driver.handed == [10] && driver.said().isEmpty && driver.kept.cursors == ["room:r": 10])
  }

  @Test func aServerThatFallsSilentIsLeft() throws {
    let driver = try MachineDriver(returning())
    driver.welcome()
    driver.say(#"{"type":"live"}"#)
    driver.pass(29_000)
    #expect(driver.machine.phase == .live)
    driver.pass(2_000)
    driver.pass(10_000)
    #expect(driver.machine.phase != .live)
  }

  @Test func aQuestionIsAskedAgainAfterABreakAndGivenUpInTime() throws {
    let driver = try MachineDriver(returning())
    driver.welcome()
    driver.machine.ask("q", #"{"type":"ping","id":"q"}"#, driver.moment)
    driver.machine.disconnected("cut", driver.moment)
    driver.pass(20_000)
    driver.connect()
    _ = driver.said()
    driver.welcome()
    #expect(driver.said().map { $0["id"]?.string } == ["q"])
    driver.pass(11_000)
    guard case .failure(let error) = driver.answers["q"] else {
      Issue.record("not given up")
      return
    }
    #expect(error.kind == .timedOut)
  }
}
