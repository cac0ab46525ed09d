import Glibc
import Kafka
import Support
import Testing

/// What an operator can get wrong is told in one line that says what to do.
@Suite struct KafkaConfigurationTests {
  @Test(arguments: [
    ("acks", "0"), ("group.id", "x"), ("enable.idempotence", "false"),
    ("isolation.level", "read_uncommitted"),
  ])
  func whatPromisesHangOnCannotBeChanged(_ name: String, _ value: String) {
    let failure = #expect(throws: KafkaError.self) {
      try KafkaConfiguration(brokers: "b:1", settings: [name: value])
    }
    #expect(failure?.code == .setting && failure?.message.contains(name) == true)
  }

  @Test func aSettingThatIsNoneIsToldByName() {
    let failure = #expect(throws: KafkaError.self) {
      try KafkaConfiguration(brokers: "b:1", settings: ["sasl.pasword": "hunter2"])
    }
    #expect(failure?.code == .setting && failure?.message.contains("sasl.pasword") == true)
    #expect(failure?.message.contains("hunter2") == false)
  }

  @Test func aValueThatCannotBeIsNotRepeated() {
    let failure = #expect(throws: KafkaError.self) {
      try KafkaConfiguration(brokers: "b:1", settings: ["security.protocol": "hunter2"])
    }
    #expect(failure?.code == .setting && failure?.message.contains("hunter2") == false)
  }

  /// Nobody listens on port 1.
  @Test func brokersThatAreNotThereAreToldInTime() throws {
    let configuration = try KafkaConfiguration(brokers: "127.0.0.1:1")
    let topics = try Topics(configuration, names: TopicNames())
    let failure = #expect(throws: KafkaError.self) { try topics.brokers() }
    #expect(failure?.code == .unreachable)
    #expect(failure?.message.contains("127.0.0.1:1") == true)
    #expect(failure?.message.contains("Connection refused") == true, "\(String(describing: failure))")
    #expect(failure?.message.contains("check the addresses") == true)
    #expect(failure?.message.contains("\n") == false)
  }

  /// It takes connections and never says a word.
  @Test func whatIsNoBrokerIsTold() throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutableBytes(of: &address) { raw in
      let any = raw.baseAddress!.assumingMemoryBound(to: sockaddr.self)
      _ = bind(listener, any, length)
      _ = listen(listener, 64)
      _ = getsockname(listener, any, &length)
    }
    // No answer comes from it: the connections wait in its backlog.
    let port = UInt16(bigEndian: address.sin_port)
    let configuration = try KafkaConfiguration(
      brokers: "127.0.0.1:\(port)", settings: ["sasl.password": "hunter2"])
    let topics = try Topics(configuration, names: TopicNames())
    let failure = #expect(throws: KafkaError.self) { try topics.brokers() }
    #expect(failure?.code == .unreachable && failure?.message.contains("\(port)") == true)
    #expect(failure?.message.contains("hunter2") == false)
  }
}
