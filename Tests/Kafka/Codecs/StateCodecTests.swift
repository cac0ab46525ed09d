import Chat
import JSON
import Kafka
import Support
import Testing

/// Rows of the state topic come out as they went in.
@Suite struct StateCodecTests {
  private func record(_ row: StateRow) -> (key: [UInt8], value: [UInt8]?) {
    var key = ByteBuffer()
    var value = ByteBuffer()
    StateCodec.encodeKey(row, into: &key)
    let hasValue = StateCodec.encodeValue(row, into: &value)
    return (Array(key.bytes), hasValue ? Array(value.bytes) : nil)
  }

  private func decoded(_ record: (key: [UInt8], value: [UInt8]?)) -> StateRow? {
    record.key.withUnsafeBytes { key in
      guard let value = record.value else { return StateCodec.decode(key: key, value: nil) }
      return value.withUnsafeBytes { StateCodec.decode(key: key, value: $0) }
    }
  }

  static let seq = SeqSpace.base(generation: 3) + 12_345
  static let rows: [StateRow] = {
    var rows: [StateRow] = []
    for role in [Role.none, .member, .admin, .owner] {
      rows.append(
        StateRow(chat: Array("room:a".utf8), seq: seq, value: .member(user: Array("bob".utf8), role: role)))
      for raw in UInt8(0)...5 {
        rows.append(
          StateRow(chat: Array("room:a".utf8), seq: seq, value: .outcome(Outcome(rawValue: raw)!, role: role))
        )
      }
    }
    rows.append(StateRow(chat: Array("dm:a:b".utf8), seq: 0, value: .head))
    rows.append(
      StateRow(
        chat: Array("room:a".utf8), seq: seq, value: .chat(room: Array(#"{"name":"A","public":true}"#.utf8))))
    rows.append(StateRow(chat: Array("room:a".utf8), seq: seq, value: .forgottenOutcome))
    return rows
  }()

  @Test func rowsComeOutAsTheyWentIn() {
    for row in Self.rows { #expect(decoded(record(row)) == row) }
  }

  @Test func keysAreThoseOfTheDesign() {
    #expect(record(Self.rows[0]).key == Array("room:a\nbob".utf8))
    #expect(record(Self.rows[1]).key == Array("room:a\n#\(Self.seq)".utf8))
    #expect(record(StateRow(chat: Array("room:a".utf8), seq: 9, value: .forgottenOutcome)).value == nil)
  }

  @Test func whatIsNoRowIsToldApart() {
    let value = Array(#"{"seq":1}"#.utf8)
    for key in ["", "room:", "x\ny", "room:a\n", "room:a\n#x", "room:a\n#-1", "room:a\nb c"] {
      #expect(decoded((Array(key.utf8), value)) == nil, "\(key)")
    }
    for value in ["", "{}", "1", #"{"seq":1}"#, #"{"seq":-1}"#, #"{"seq":1,"role":"king"}"#, #"{"seq":1}x"#] {
      #expect(decoded((Array("room:a".utf8), Array(value.utf8))) == nil, "\(value)")
    }
    #expect(decoded((Array("room:a".utf8), nil)) == nil, "only outcomes are forgotten")
  }

  @Test func damagedRowsNeverTrap() {
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<20_000 {
      var damaged = record(Self.rows.randomElement(using: &generator)!)
      if Bool.random(using: &generator), !damaged.key.isEmpty {
        damaged.key[Int.random(in: 0..<damaged.key.count, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
      }
      if var value = damaged.value {
        value[Int.random(in: 0..<value.count, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
        if Bool.random(using: &generator) {
          value.removeLast(Int.random(in: 0..<value.count, using: &generator))
        }
        damaged.value = value
      }
      _ = decoded(damaged)
    }
  }
}
