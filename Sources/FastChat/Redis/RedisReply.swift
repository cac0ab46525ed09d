/// What a Redis server answers (RESP2), as a value.
public enum RedisReply: Sendable, Equatable {
  case null
  case integer(Int64)
  case bytes([UInt8])
  case array([RedisReply])
  /// A status such as `OK`.
  case status(String)
  case error(String)
}
