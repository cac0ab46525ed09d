import Chat
import Redis
import Testing

@Suite struct CommandTests {
  private func slot(_ key: String) -> UInt16 { Array(key.utf8).withUnsafeBytes(HashSlot.of) }

  /// The specification's own example, and what `CLUSTER KEYSLOT` says.
  @Test func slotsAreThoseOfRedisCluster() {
    #expect(slot("123456789") == 0x31C3)
    #expect(slot("foo") == 12_182)
    #expect(slot("{foo}bar") == slot("foo"))
    #expect(slot("a{}b") != slot(""))
    #expect(slot("a{{b}}c") == slot("{b"))
  }

  @Test func aPartitionsCommandsShareOneSlot() {
    let query = RedisCommand.query(ViewQuery(.member, chat: "room:r", partition: 17))
    let room = RedisCommand.removeRoom(
      Array("room:lobby".utf8), server: ServerEpoch(server: "s1", epoch: 1), partitions: 1)
    #expect(query.slot == slot("fc:{p17}:view"))
    #expect(room.slot == slot("p0"))
    #expect(RedisCommand.readDirectory.key == nil)
  }

  @Test func allLeasesShareOneSlot() {
    let holder = LeaseHolder(epoch: 1, host: "h", boot: "b", process: 1)
    let take = RedisCommand.takeLease(server: "s1", holder, replacing: nil)
    #expect(take.slot == RedisCommand.readLeases.slot)
    #expect(take.keyCount == 2)
  }

  @Test func anErrorIsNoAnswer() {
    let request = ApplyRequest(view: 1, from: 1, [])
    for text in ["NOSCRIPT No matching script", "OOM command not allowed", "READONLY", "LOADING"] {
      let error = RedisReply.error(text)
      guard case .unknown = ApplyAnswer(request: request, reply: error).result else {
        Issue.record("\(text) is an answer to apply")
        return
      }
      guard case .unknown = RebuildAnswer(tag: 1, reply: error).result else {
        Issue.record("\(text) is an answer to a rebuild")
        return
      }
      #expect(ViewStateAnswer(tag: 1, reply: error).hasFailed)
      #expect(ViewAnswer(query: ViewQuery(.member), reply: error).hasFailed)
      #expect(LeasesRead(tag: 1, reply: error).hasFailed)
      #expect(LeaseAnswer(reply: error) == .unknown)
      #expect([SessionRegistered](reply: error) == nil)
      #expect(DirectoryID(reply: error) == nil)
    }
  }

  @Test func anAnswerOfAnotherShapeIsNone() {
    let request = ApplyRequest(view: 1, from: 1, [TestRecord(seq: 2, chat: "dm:a:b", from: "a")])
    for reply: RedisReply in [
      .null, .array([]), .array([.integer(1)]), .array([.integer(0), .null]), .bytes([]),
      .array([.integer(1), .integer(9), .integer(0), .integer(0)]),
    ] {
      guard case .unknown = ApplyAnswer(request: request, reply: reply).result else {
        Issue.record("\(reply) is an answer")
        return
      }
    }
  }

  @Test func aServerThatIsNoPrimaryIsNoDirectory() {
    let id = "00000000000000ff" + String(repeating: "0", count: 24)
    func info(_ role: String) -> RedisReply {
      .bytes(Array("# Replication\r\nrole:\(role)\r\nmaster_replid:\(id)\r\n".utf8))
    }
    #expect(DirectoryID(reply: info("master")) == 255)
    #expect(DirectoryID(reply: info("slave")) == nil)
    #expect(DirectoriesRead(tag: 1, replies: [info("master"), info("slave")]).hasFailed)
  }

  @Test func aLookUpWithoutEveryPrimaryHasFailed() {
    var lookUp = LookUp()
    lookUp.users = [Array("a".utf8)]
    let row = RedisReply.array([.bytes(Array("s1:5".utf8)), .bytes(Array("s1:7:phone:99".utf8))])
    let primary = RedisReply.bytes(Array("role:master\r\nmaster_replid:00000000000000ff\r\n".utf8))
    let good = LookedUp(tag: 1, lookUp, replies: [row], primaries: [primary])
    #expect(!good.hasFailed)
    #expect(good.users == [[ServerEpoch(server: "s1", epoch: 7)]])
    #expect(LookedUp(tag: 1, lookUp, replies: [row], primaries: [primary, .error("LOADING")]).hasFailed)
    #expect(LookedUp(tag: 1, lookUp, replies: [.error("LOADING")], primaries: [primary]).hasFailed)
  }
}
