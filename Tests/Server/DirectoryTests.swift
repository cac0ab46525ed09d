import Chat
import Testing

@testable import Server

@Suite struct DirectoryTests {
  private let directory = Directory(id: 7)

  private func key(_ user: StaticString, _ device: StaticString) -> DeviceKey {
    DeviceKey(user: bytes(user), device: bytes(device))
  }

  private func session(_ slot: Int) -> SessionID { SessionID(shard: 0, generation: 1, slot: slot) }

  @Test func theNewerSessionOfADeviceReplacesTheOlder() {
    #expect(directory.attach(session(1), as: key("alice", "phone")) == nil)
    #expect(directory.attach(session(2), as: key("alice", "phone")) == session(1))
    #expect(directory.count == 1)
  }

  @Test func devicesOfOneUserAndNamesThatRunTogetherAreApart() {
    #expect(directory.attach(session(1), as: key("alice", "phone")) == nil)
    #expect(directory.attach(session(2), as: key("alice", "tablet")) == nil)
    #expect(directory.attach(session(3), as: key("alicep", "hone")) == nil)
    #expect(directory.count == 3)
  }

  @Test func theEndOfAReplacedSessionLeavesTheNewerOneIn() {
    _ = directory.attach(session(1), as: key("alice", "phone"))
    _ = directory.attach(session(2), as: key("alice", "phone"))
    directory.detach(session(1), of: key("alice", "phone"))
    #expect(directory.count == 1)
    directory.detach(session(2), of: key("alice", "phone"))
    #expect(directory.count == 0)
  }
}

func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
  UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}
