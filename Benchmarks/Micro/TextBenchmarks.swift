import CMicroFloors
import JSON
import WebSocket

/// JSON in, and the handshake.
enum TextBenchmarks {
  static func all() -> [Candidate] {
    [
      Candidate("read a send of 120 B", send), Candidate("read a hello of 1,000 cursors", hello),
      Candidate("handshake, a browser's", handshake),
    ]
  }

  private static func send(_ name: String) -> Benchmark {
    let body = String(repeating: "x", count: 44)
    let text = permanent(
      Array(
        "{\"type\":\"send\",\"id\":\"c1000000017\",\"to\":\"user:bob.miller\",\"body\":{\"text\":\"\(body)\"}}"
          .utf8))
    return Benchmark(
      name: name, floorName: "one look at each byte",
      ours: { times in for _ in 0..<times { precondition(readSend(UnsafeRawBufferPointer(text)) > 0) } },
      floor: { keep(floor_json(address(text), text.count, $0)) })
  }

  private static func readSend(_ text: UnsafeRawBufferPointer) -> Int {
    var found = 0
    do throws(JSONError) {
      var reader = JSONReader(text)
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("type") {
          found += try reader.string().equals("send") ? 1 : 0
        } else if key.equals("id") || key.equals("to") {
          found += try reader.string().raw.count
        } else if key.equals("body") {
          found += try reader.value().count
        } else {
          _ = try reader.value()
        }
      }
      try reader.end()
    } catch {
      return 0
    }
    return found
  }

  private static func hello(_ name: String) -> Benchmark {
    let cursors = (0..<1_000).map { "\"dm:alice:user\($0)\":\(1_099_511_627_776 + $0 * 977)" }
    let text = permanent(
      Array(
        "{\"type\":\"hello\",\"user\":\"alice\",\"device\":\"phone\",\"cursors\":{\(cursors.joined(separator: ","))}}"
          .utf8))
    return Benchmark(
      name: name, floorName: "one look at each byte",
      ours: { times in for _ in 0..<times { precondition(readHello(UnsafeRawBufferPointer(text)) > 0) } },
      floor: { keep(floor_json(address(text), text.count, $0)) })
  }

  private static func readHello(_ text: UnsafeRawBufferPointer) -> Int64 {
    var sum: Int64 = 0
    do throws(JSONError) {
      var reader = JSONReader(text)
      try reader.beginObject()
      while let key = try reader.nextKey() {
        guard key.equals("cursors") else {
          _ = try reader.value()
          continue
        }
        try reader.beginObject()
        while let chat = try reader.nextKey() {
          sum &+= try reader.integer() &+ Int64(chat.raw.count)
        }
      }
      try reader.end()
    } catch {
      return 0
    }
    return sum
  }

  private static func handshake(_ name: String) -> Benchmark {
    let lines = [
      "GET /ws HTTP/1.1", "Host: 127.0.0.1:8080", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Browser/1.0",
      "Accept: */*", "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br",
      "Origin: http://127.0.0.1:8080", "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Connection: keep-alive, Upgrade", "Upgrade: websocket",
    ]
    let request = permanent(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
    let room = permanent(Array(repeating: 0, count: Handshake.mostBytes))
    return Benchmark(
      name: name, floorName: "find the key, SHA-1, base64, memcpy",
      ours: { times in
        for _ in 0..<times { precondition(answer(UnsafeRawBufferPointer(request), room) > 0) }
      },
      floor: { precondition(floor_handshake(address(request), request.count, address(room), $0) > 0) })
  }

  private static func answer(_ bytes: UnsafeRawBufferPointer, _ room: UnsafeMutableRawBufferPointer) -> Int {
    guard case .complete(let request, _) = HTTPRequest.parse(bytes),
      case .accepted(let handshake) = Handshake.judge(request, subprotocol: "fastchat.v1", deflate: false)
    else { return 0 }
    return handshake.write(into: room) ?? 0
  }
}
