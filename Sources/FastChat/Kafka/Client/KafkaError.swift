/// Why something that was asked of Kafka was not done.
public struct KafkaError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Code: Sendable, Equatable {
    /// A setting that librdkafka does not know or take, or that is not the operator's to set.
    case setting
    /// No broker could be reached in time, or none that speaks Kafka.
    case unreachable
    /// A broker refused who we are, or what we may.
    case refused
    /// There is no such topic.
    case noTopic
    /// A topic is other than it has to be.
    case wrongTopic
    /// Another one took our place in the group or in the transactions: nothing more can be done with this
    /// part, and nothing was.
    case fenced
    /// Nothing was done; it may be tried again.
    case unavailable
  }

  public let code: Code
  /// One line for people; where they can do something, it says what. Holds no secrets.
  public let message: String
  /// librdkafka's name of what happened; empty where it was not asked.
  public let cause: String

  public init(_ code: Code, _ message: String, cause: String = "") {
    self.code = code
    self.message = message
    self.cause = cause
  }

  public var description: String { cause.isEmpty ? message : "\(message) (\(cause))" }
}

/// What a broker connection had to say, for the log of the program.
public struct KafkaNotice: Sendable, Equatable {
  /// As syslog's: 3 error, 4 warning, 6 information.
  public var level: Int
  public var text: String
}
