import Testing

@testable import Chaos

/// A sound run of three devices in a direct chat and a room, to be broken in one place each.
private struct Story {
  static let direct = "dm:alice:bob"
  static let room = "room:r"

  static func message(_ seq: Int, _ prev: Int, _ from: String, _ id: String) -> ChatEvent {
    ChatEvent(seq: seq, prev: prev, kind: .message(from: from, id: id), text: id)
  }
  static func member(_ seq: Int, _ prev: Int, _ user: String, _ role: String?) -> ChatEvent {
    ChatEvent(seq: seq, prev: prev, kind: .member(user: user, role: role), text: "\(user) \(role ?? "-")")
  }

  static func evidence() -> Evidence {
    var evidence = Evidence()
    let said = [message(1, 0, "alice", "a-1"), message(3, 1, "bob", "b-1"), message(4, 3, "alice", "a-2")]
    let inside = [
      message(11, 0, "alice", "a-3"), member(12, 11, "bob", "member"), message(13, 12, "alice", "a-4"),
      member(14, 13, "bob", nil), message(15, 14, "alice", "a-5"), member(16, 15, "bob", "member"),
      message(17, 16, "alice", "a-6"),
    ]
    evidence.events[direct] = Dictionary(uniqueKeysWithValues: said.map { ($0.seq, $0) })
    evidence.events[room] = Dictionary(uniqueKeysWithValues: inside.map { ($0.seq, $0) })
    evidence.creators[room] = "alice"
    var phone = Account(user: "alice", device: "a")
    phone.sent = ["a-1", "a-2"].map { Account.Sent(id: $0, chat: direct) }
    phone.sent += ["a-3", "a-4", "a-5", "a-6"].map { Account.Sent(id: $0, chat: room) }
    phone.acknowledged = ["a-1": [1], "a-2": [4], "a-3": [11], "a-4": [13], "a-5": [15], "a-6": [17]]
    phone.handed = [direct: [3], room: [12, 14, 16]]
    var laptop = Account(user: "alice", device: "l")
    laptop.handed = [direct: [1, 3, 4], room: [11, 12, 13, 14, 15, 16, 17]]
    var bob = Account(user: "bob", device: "b")
    bob.sent = [Account.Sent(id: "b-1", chat: direct)]
    bob.acknowledged = ["b-1": [3]]
    bob.handed = [direct: [1, 4], room: [12, 13, 14, 16, 17]]
    evidence.accounts = [phone, laptop, bob]
    evidence.histories = [
      direct: said, room: inside.filter { if case .message = $0.kind { true } else { false } },
    ]
    evidence.log =
      [LogRecord(chat: direct, seq: 1, from: "alice", device: "a", id: "a-1")]
      + [LogRecord(chat: direct, seq: 2, from: "alice", device: "a", id: "a-1", isRetry: true)]
      + [LogRecord(chat: direct, seq: 3, from: "bob", device: "b", id: "b-1")]
      + [LogRecord(chat: direct, seq: 4, from: "alice", device: "a", id: "a-2")]
      + [(11, "a-3"), (13, "a-4"), (15, "a-5"), (17, "a-6")].map {
        LogRecord(chat: room, seq: $0.0, from: "alice", device: "a", id: $0.1)
      }
    return evidence
  }
}

/// The judge finds each kind of break: without that its silence would say nothing.
@Suite struct JudgeTests {
  private func differences(_ change: (inout Evidence) -> Void) -> [String] {
    var evidence = Story.evidence()
    change(&evidence)
    return Judge(evidence).differences
  }

  @Test func aSoundRunHasNoDifference() { #expect(differences { _ in } == []) }

  @Test func aMessageThatOneDeviceWasNeverHandedIsFound() {
    let found = differences { $0.accounts[1].handed[Story.direct] = [1, 4] }
    #expect(found == ["alice/l: LOST: never handed 3 of dm:alice:bob: b-1"])
  }

  @Test func theLastMessageThatOneDeviceWasNeverHandedIsFound() {
    let found = differences { $0.accounts[2].handed[Story.direct] = [1] }
    #expect(found == ["bob/b: LOST: never handed 4 of dm:alice:bob: a-2"])
  }

  @Test func whatWasSaidSinceTheLastJoiningIsOwed() {
    #expect(
      differences { $0.accounts[2].handed[Story.room] = [12, 13, 14, 16] }.contains { $0.contains("17") })
    // A device that was away while its user left and came back owes itself nothing of the time before.
    #expect(differences { $0.accounts[2].handed[Story.room] = [16, 17] } == [])
  }

  @Test func anAcknowledgedMessageThatNobodySawIsFound() {
    let found = differences { $0.accounts[0].acknowledged["a-2"] = [9] }
    #expect(found.contains("alice/a: LOST: a-2 was acknowledged as 9 of dm:alice:bob"))
  }

  @Test func anAckWithAnotherMessagesSeqIsFound() {
    let found = differences { $0.accounts[0].acknowledged["a-2"] = [1] }
    #expect(found.contains { $0.contains("a-2 was acknowledged as 1, which is a-1") })
  }

  @Test func twoSeqsForOneMessageAreFound() {
    let found = differences { $0.accounts[0].acknowledged["a-2"] = [3, 4] }
    #expect(found.contains { $0.contains("was told the seqs [3, 4]") })
  }

  @Test func aMessageHandedTwiceIsFound() {
    let found = differences { $0.accounts[1].handed[Story.direct] = [1, 3, 4, 3] }
    #expect(found == ["alice/l: handed 3 of dm:alice:bob twice"])
  }

  @Test func anotherOrderIsFound() {
    let found = differences { $0.accounts[1].handed[Story.direct] = [3, 1, 4] }
    #expect(found == ["alice/l: handed 1 of dm:alice:bob behind 3"])
  }

  @Test func aRequestThatBecameTwoMessagesIsFound() {
    let found = differences {
      $0.events[Story.direct]![5] = Story.message(5, 4, "alice", "a-2")
    }
    #expect(found.contains("dm:alice:bob: a-2 of alice is doubled: 4 and 5"))
  }

  @Test func anEventThatNobodyWasHandedBreaksTheChain() {
    let found = differences { $0.events[Story.direct]![3] = nil }
    #expect(found.contains { $0.contains("the event before 4 is 3, and 1 was the last one seen") })
  }

  @Test func eventsOfAForeignChatAreFound() {
    let found = differences { $0.accounts[2].handed["dm:alice:carl"] = [5] }
    #expect(found.contains("bob/b: FOREIGN: handed events of dm:alice:carl"))
  }

  @Test func whatARoomSaidBeforeTheJoiningOrBehindTheLeavingIsForeign() {
    for seq in [11, 15] {
      let found = differences { evidence in
        evidence.accounts[2].handed[Story.room] = ([12, 13, 14, 16, 17] + [seq]).sorted()
      }
      #expect(found == ["bob/b: FOREIGN: handed \(seq) of room:r as no member"])
    }
  }

  @Test func aResetAndARequestWithoutAnAnswerAreFound() {
    #expect(differences { $0.accounts[0].faults = ["reset of dm:alice:bob"] }.count == 1)
    #expect(differences { $0.accounts[0].unsettled = ["a-7"] }.count == 1)
  }

  @Test func aRefusalIsFoundUnlessItMayBeRefused() {
    var refused = Story.evidence()
    refused.accounts[0].sent.append(Account.Sent(id: "a-9", chat: Story.room))
    refused.accounts[0].refused = ["a-9"]
    #expect(Judge(refused).differences == ["alice/a: a-9 to room:r was refused"])
    refused.accounts[0].sent[6] = Account.Sent(id: "a-9", chat: Story.room, mayBeRefused: true)
    #expect(Judge(refused).differences == [])
  }

  @Test func aHistoryThatLacksOrAddsAMessageIsFound() {
    let lacking = differences { $0.histories[Story.direct]!.removeFirst() }
    #expect(lacking.count == 1 && lacking[0].contains("not in history: 1"))
    let adding = differences { $0.histories[Story.direct]!.append(Story.message(9, 4, "bob", "x")) }
    #expect(adding.count == 1 && adding[0].contains("only in history: 9"))
  }

  @Test func aLogInAnotherOrderOrWithoutAMessageIsFound() {
    let lacking = differences { evidence in evidence.log!.removeAll { $0.id == "b-1" } }
    #expect(lacking == ["dm:alice:bob: 3 is b-1 of bob, and in the log nothing"])
    let swapped = differences { evidence in
      evidence.log![2] = LogRecord(chat: Story.direct, seq: 3, from: "alice", device: "a", id: "a-2")
      evidence.log![3] = LogRecord(chat: Story.direct, seq: 4, from: "bob", device: "b", id: "b-1")
    }
    #expect(swapped.count == 2)
  }

  @Test func anAckWithTheSeqOfASecondCopyIsCountedAndOneOfAnotherMessageIsFound() {
    var evidence = Story.evidence()
    evidence.log!.append(LogRecord(chat: Story.direct, seq: 9, from: "alice", device: "a", id: "a-2"))
    evidence.accounts[0].acknowledged["a-2"] = [9]
    #expect(Judge(evidence).differences == [])
    #expect(Judge(evidence).acksOfCopies == 1)
    evidence.accounts[0].acknowledged["a-2"] = [8]
    #expect(Judge(evidence).differences.contains { $0.contains("LOST: a-2 was acknowledged as 8") })
    // The message itself must have reached the others all the same.
    evidence.accounts[0].acknowledged["a-2"] = [9]
    evidence.accounts[2].handed[Story.direct] = [1]
    #expect(Judge(evidence).differences == ["bob/b: LOST: never handed 4 of dm:alice:bob: a-2"])
  }

  @Test func whatStandsInTheLogAndReachedNobodyIsFoundAlsoWithoutAnAck() {
    let record = LogRecord(chat: Story.direct, seq: 9, from: "bob", device: "b", id: "b-2")
    let found = differences { $0.log!.append(record) }
    #expect(found == ["dm:alice:bob: LOST: in the log and handed to nobody: 9 b-2 of bob"])
    // A marked repeat is judged by the owner, who may refuse it.
    let repeated = LogRecord(
      chat: Story.direct, seq: 9, from: "bob", device: "b", id: "b-2", isRetry: true)
    #expect(differences { $0.log!.append(repeated) } == [])
  }

  @Test func aFloodOfDifferencesIsCountedAndToldInPart() {
    var evidence = Story.evidence()
    evidence.accounts[0].unsettled = (0..<500).map { "x\($0)" }
    let judge = Judge(evidence)
    #expect(judge.count == 500)
    #expect(judge.differences.count == Judge.differencesMax)
  }
}
