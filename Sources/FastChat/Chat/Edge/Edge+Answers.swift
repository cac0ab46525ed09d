import JSON

/// The frames that the edge itself composes.
extension Edge {
  typealias SessionPointer = UnsafeMutablePointer<Session>

  /// What was appended to `output` since `start` goes to the session as one frame.
  func emit(_ session: SessionPointer, from start: Int) {
    actions.append(.send(session.pointee.id, start: Int32(start), count: Int32(output.count - start)))
  }

  func refuse(
    _ session: SessionPointer, _ code: ErrorCode, id: UnsafeRawBufferPointer?, _ message: StaticString,
    retry: Int64 = 0
  ) {
    counters.refusals[Int(code.rawValue)] += 1
    let start = output.count
    output.append("{\"type\":\"error\"")
    if let id {
      output.append(",\"id\":\"")
      output.append(jsonEscaping: id)
      output.append("\"")
    }
    output.append(",\"code\":\"")
    output.append(code.name)
    output.append("\",\"message\":\"")
    output.append(message)
    output.append("\"")
    if retry > 0 {
      output.append(",\"retry\":")
      output.append(decimal: retry)
    }
    output.append("}")
    emit(session, from: start)
  }

  func sendAck(
    _ session: SessionPointer, id: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer, seq: Seq,
    time: WallTime
  ) {
    let start = output.count
    output.append("{\"type\":\"ack\",\"id\":\"")
    output.append(jsonEscaping: id)
    output.append("\",\"chat\":\"")
    output.append(chat)
    output.append("\",\"seq\":")
    output.append(decimal: seq)
    output.append(",\"time\":")
    output.append(decimal: time)
    output.append("}")
    emit(session, from: start)
  }

  /// `{"type":<type>,"id":<id>}`: `ok` and `pong`.
  func sendPlain(_ session: SessionPointer, _ type: StaticString, id: UnsafeRawBufferPointer?) {
    let start = output.count
    beginAnswer(type, id: id)
    output.append("}")
    emit(session, from: start)
  }

  func beginAnswer(_ type: StaticString, id: UnsafeRawBufferPointer?) {
    output.append("{\"type\":\"")
    output.append(type)
    output.append("\"")
    if let id {
      output.append(",\"id\":\"")
      output.append(jsonEscaping: id)
      output.append("\"")
    }
  }

  func sendReset(_ session: SessionPointer, chat: UnsafeRawBufferPointer, head: Seq) {
    let start = output.count
    output.append("{\"type\":\"reset\",\"chat\":\"")
    output.append(chat)
    output.append("\",\"head\":")
    output.append(decimal: head)
    output.append("}")
    emit(session, from: start)
  }

  func sendLive(_ session: SessionPointer) {
    let start = output.count
    output.append("{\"type\":\"live\"}")
    emit(session, from: start)
  }

  /// The first 100 of `rows`, which are in byte order.
  func sendWelcome(_ session: SessionPointer, rows: [ChatRow]) {
    let start = output.count
    output.append("{\"type\":\"welcome\",\"user\":\"")
    output.append(userNames.bytes(session.pointee.user))
    output.append("\",\"device\":\"")
    output.append(deviceName(session))
    output.append("\",\"session\":\"")
    output.append(hex: configuration.epoch)
    output.append(hex: session.pointee.id.raw)
    output.append("\",\"server\":\"")
    output.append(configuration.server)
    output.append("\",\"log\":\"")
    output.append(configuration.log)
    output.append("\",\"time\":")
    output.append(decimal: wall)
    output.append(",\"heartbeat\":")
    output.append(decimal: Int64(limits.heartbeatSeconds))
    output.append(",\"limits\":{\"frame\":")
    output.append(decimal: Int64(limits.frameBytes))
    output.append(",\"rate\":")
    output.append(decimal: Int64(limits.ratePerSecond))
    output.append(",\"dedupe\":")
    output.append(decimal: limits.dedupeMilliseconds)
    output.append("},\"chats\":[")
    for (i, row) in rows.prefix(Limits.pageRows).enumerated() {
      if i > 0 { output.append(",") }
      append(row, cursor: nil)
    }
    output.append("],\"more\":")
    output.append(rows.count > Limits.pageRows ? "true" : "false")
    output.append("}")
    emit(session, from: start)
  }

  /// One row of `welcome` or `chats`.
  func append(_ row: ChatRow, cursor: Seq?) {
    output.append("{\"chat\":\"")
    row.chat.withUnsafeBytes { output.append($0) }
    output.append("\",\"head\":")
    output.append(decimal: row.head)
    output.append(",\"read\":")
    output.append(decimal: row.read)
    if let cursor {
      output.append(",\"cursor\":")
      output.append(decimal: cursor)
    }
    output.append("}")
  }
}
