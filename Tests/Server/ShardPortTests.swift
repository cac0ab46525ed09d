import Chat
import EventLoop
import Testing

@testable import Server

@Suite struct ShardPortTests {
  private func news(hintBytes: Int) -> LogNews {
    let hints = [UInt8](repeating: 0, count: hintBytes)
    let batch = hints.withUnsafeBytes {
      Batch(partition: 0, view: 1, directories: [1], since: 1, upto: 2, hints: $0)
    }
    return LogNews(appended: [], failed: [], verdicts: [], batch: batch, provesBackbone: true)
  }

  private func session(_ slot: Int) -> SessionID { SessionID(shard: 0, generation: 1, slot: slot) }

  @Test func whatAFullMailboxDidNotTakeBecomesADoubtOnce() throws {
    let port = try ShardPort(mailMax: 2)
    for _ in 0..<2 { port.post(news(hintBytes: 10)) }
    #expect(port.takeOverflow() == nil)
    port.post(news(hintBytes: 10))
    #expect(port.takeOverflow()?.isDoubt == true)
    #expect(port.takeOverflow() == nil)
  }

  @Test func aSessionThatWasReplacedIsRememberedWhereTheMailboxIsFull() throws {
    let port = try ShardPort(mailMax: 1)
    port.post(replaced: session(1))
    port.post(replaced: session(2))
    port.post(replaced: session(3))
    let overflow = try #require(port.takeOverflow())
    #expect(overflow.replaced == [session(2), session(3)])
    #expect(!overflow.isDoubt)
  }

  @Test func batchesBeyondTheBytesOfAMailboxAreADoubtUntilItIsEmptied() throws {
    let port = try ShardPort()
    port.post(news(hintBytes: ShardPort.mailBytesMax))
    #expect(port.takeOverflow() == nil)
    port.post(news(hintBytes: 1))
    #expect(port.takeOverflow()?.isDoubt == true)
    port.taken(bytes: ShardPort.mailBytesMax)
    port.post(news(hintBytes: 1))
    #expect(port.takeOverflow() == nil)
    var mail: [Mail] = []
    port.mailbox.drain(into: &mail)
    #expect(mail.count == 2)
  }

  @Test func typingThatDoesNotFitIsNoDoubt() throws {
    let port = try ShardPort(mailMax: 1)
    port.post(replaced: session(1))
    port.post([Ephemeral(chat: [1], origin: session(1), json: [2])])
    #expect(port.takeOverflow() == nil)
  }

  @Test func stagesOfTheEndAreSeen() throws {
    let port = try ShardPort()
    #expect(port.stage == .serving)
    port.advance(to: .quiescing)
    #expect(port.stage == .quiescing)
    port.advance(to: .leaving)
    #expect(port.stage == .leaving)
  }
}
