import Redis
import Testing

@Suite struct ReplyTests {
  @Test func anEmptyTextIsNotNothing() {
    #expect(RedisReply.bytes([]) != RedisReply.null)
  }
}
