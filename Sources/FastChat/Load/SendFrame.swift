import WebSocket

/// The `send` frame of one chat, of which only the number and the time change from message to message.
struct SendFrame {
  private static let idBase: UInt64 = 1_000_000_000
  private static let idDigits = 10
  private let text: [UInt8]
  private let idOffset: Int
  private let bodyOffset: Int

  /// - Parameter bodyBytes: of JSON, at least `LoadOptions.leastBodyBytes`.
  init(to chat: String, bodyBytes: Int) {
    let head = "{\"type\":\"send\",\"id\":\""
    let front = Array("\(head)\(SendFrame.idBase)\",\"to\":\"\(chat)\",\"body\":".utf8)
    idOffset = head.utf8.count
    bodyOffset = front.count
    text = front + Body.template(bodyBytes) + [UInt8(ascii: "}")]
  }

  /// Queues the message of this number, whose latency counts from `time`.
  func send(_ number: UInt64, at time: UInt64, from client: Int, _ wire: Wire) throws(LoadError) {
    try wire.send(client, size: text.count) { payload in
      payload.copyBytes(from: text)
      Body.write(
        number % SendFrame.idBase + SendFrame.idBase, digits: SendFrame.idDigits, to: payload, at: idOffset)
      Body.stamp(UnsafeMutableRawBufferPointer(rebasing: payload[bodyOffset...]), number, time)
    }
  }

  /// The number in the id of an answer.
  static func number(_ id: UnsafeRawBufferPointer?) -> UInt64? {
    guard let id, id.count == idDigits else { return nil }
    return Body.read(id, digits: idDigits).map { $0 - idBase }
  }
}
