import Glibc
import Support
import Testing

/// Two users at two instances who write to each other in a direct chat and in rooms, whatever happens
/// meanwhile, and the judge of what they were told.
final class Correspondence {
  /// Milliseconds between two rounds: below what a session may ask a second.
  private static let roundMilliseconds: UInt32 = 200
  private static let direct = "dm:alice:bob"

  let alice: ChatTestClient
  let bob: ChatTestClient
  /// Bob's other device, which sends nothing and so is handed everything.
  private let tablet: ChatTestClient
  private let chats: [String]
  private var writers: [Writer]
  private var rounds = 0

  private struct Writer {
    let client: ChatTestClient
    /// What was sent and not acknowledged yet: id -> chat and body.
    var pending: [(id: String, chat: String, body: String)] = []
    var acknowledged: [Said] = []
    /// Of these, the ones that the others were seen to have.
    var delivered = 0
  }

  private struct Said: Equatable {
    var chat: String
    var seq: Int
    var id: String
    var body: String
  }

  /// - Parameter rooms: so many that there are some in every partition.
  init(_ first: ServerProcess, _ second: ServerProcess, rooms: Int = 6) throws {
    alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
    bob = try ChatTestClient.attached(port: second.port, user: "bob", device: "phone")
    tablet = try ChatTestClient.attached(port: first.port, user: "bob", device: "tablet")
    let names = (0..<rooms).map { "room:r\($0)" }
    chats = [Self.direct] + names
    writers = [Writer(client: alice), Writer(client: bob)]
    for room in names {
      try alice.ask(
        "\"type\":\"create\",\"chat\":\"\(room)\",\"name\":\"r\",\"public\":true", expecting: "ok")
      try bob.ask("\"type\":\"join\",\"chat\":\"\(room)\"", expecting: "ok")
    }
  }

  /// Both write to every chat, and wait for nothing.
  func write() throws {
    rounds += 1
    for i in writers.indices {
      for chat in chats {
        let body = "\"\(rounds) of \(i) to \(chat)\""
        writers[i].pending.append((try post(to: chat, body: body, by: writers[i].client), chat, body))
      }
    }
    usleep(Self.roundMilliseconds * 1_000)
  }

  private func post(to chat: String, body: String, by client: ChatTestClient) throws -> String {
    do {
      return try client.post(to: chat, body: body)
    } catch {
      throw TestFailure("the session of who writes \(body) was ended: \(try client.socket.close())")
    }
  }

  /// They go on until something is so.
  func write(until isSo: () throws -> Bool) throws {
    let deadline = Deadline.usual
    repeat {
      guard !deadline.hasPassed else { throw TestFailure("nothing changed while they wrote") }
      try write()
    } while try !isSo()
  }

  /// All that was sent is acknowledged, by repeating what was refused for now, and was delivered once to each
  /// device, in the order of the log, which the history has as well.
  func settle() throws {
    for i in writers.indices {
      for one in writers[i].pending {
        let ack = try acknowledgement(of: one, to: writers[i].client)
        writers[i].acknowledged.append(Said(chat: one.chat, seq: ack.seq!, id: one.id, body: one.body))
      }
      writers[i].pending = []
    }
    for i in writers.indices {
      for said in writers[i].acknowledged.dropFirst(writers[i].delivered) {
        for reader in [writers[1 - i].client, tablet] {
          try reader.take("\(said)") { $0.type == "message" && $0.chat == said.chat && $0.seq == said.seq }
        }
      }
      writers[i].delivered = writers[i].acknowledged.count
    }
    let all = writers.flatMap(\.acknowledged)
    for (reader, expected) in [
      (alice, writers[1].acknowledged), (bob, writers[0].acknowledged), (tablet, all),
    ] {
      // Whatever else was on its way to it.
      try reader.settle()
      for chat in chats { Self.expect(handed(reader, chat), as: Self.inOrder(expected, chat)) }
    }
    for chat in chats { try expectHistory(chat, Self.inOrder(all, chat)) }
  }

  /// Bob has read the direct chat: Alice hears of it, and Bob's list says so.
  func read() throws {
    let seq =
      try writers[0].acknowledged.last { $0.chat == Self.direct }?.seq ?? alice.say(to: "user:bob").seq!
    let deadline = Deadline.usual
    // Positions are told as far as they can be: a view that was lost a moment ago does not reach there yet.
    repeat {
      guard !deadline.hasPassed else { throw TestFailure("the position \(seq) is not taken") }
      _ = try bob.ask("\"type\":\"read\",\"chat\":\"\(Self.direct)\",\"seq\":\(seq)")
      usleep(50_000)
    } while try readPosition() != seq
    try alice.take("the position \(seq)") { $0.type == "read" && $0.seq == seq }
  }

  /// Up to where Bob has read the direct chat, as his list has it; nil while a view is being rebuilt.
  private func readPosition() throws -> Int? {
    let list = try bob.ask("\"type\":\"chats\"")
    return list["chats"]?.array?.first { $0["chat"]?.string == Self.direct }?["read"]?.int
  }

  private func acknowledgement(
    of one: (id: String, chat: String, body: String), to client: ChatTestClient
  ) throws -> ChatFrame {
    let deadline = Deadline.after(.seconds(40))
    while true {
      let answer = try client.answer(to: one.id)
      if answer.type == "ack" { return answer }
      let mayPass = ["unavailable", "internal", "busy", "rate-limited"].contains(answer.code)
      guard mayPass, !deadline.hasPassed else { throw TestFailure("\(one) is answered by \(answer)") }
      usleep(200_000)
      try client.post(to: one.chat, id: one.id, body: one.body, retry: true)
    }
  }

  private func handed(_ reader: ChatTestClient, _ chat: String) -> [Said] {
    reader.events(of: chat).filter { $0.type == "message" }.map {
      Said(chat: chat, seq: $0.seq ?? 0, id: $0.id ?? "", body: $0.body ?? "")
    }
  }

  /// A view that was lost a moment ago may lack what was acknowledged (PROTOCOL), and is whole soon.
  private func expectHistory(_ chat: String, _ wanted: [Said]) throws {
    let deadline = Deadline.usual
    var found = try history(chat)
    while found != wanted, !deadline.hasPassed {
      usleep(100_000)
      found = try history(chat)
    }
    Self.expect(found ?? [], as: wanted)
  }

  /// Nil where the view is being rebuilt.
  private func history(_ chat: String) throws -> [Said]? {
    var all: [Said] = []
    while true {
      let page = try bob.ask(
        "\"type\":\"history\",\"chat\":\"\(chat)\",\"after\":\(all.last?.seq ?? 0),\"limit\":100")
      guard let messages = page["messages"]?.array else { return nil }
      all += messages.map {
        Said(
          chat: chat, seq: $0["seq"]?.int ?? 0, id: $0["id"]?.string ?? "",
          body: JSONValue.quoted($0["body"]?.string ?? ""))
      }
      if page["more"]?.bool != true { return all }
    }
  }

  private static func expect(_ found: [Said], as wanted: [Said]) {
    let missing = wanted.filter { !found.contains($0) }.map { "\($0.chat) \($0.seq)" }
    let others = found.filter { !wanted.contains($0) }.map { "\($0.chat) \($0.seq)" }
    let isSame = found == wanted
    #expect(isSame, "\(found.count) of \(wanted.count), missing \(missing), others \(others)")
  }

  private static func inOrder(_ said: [Said], _ chat: String) -> [Said] {
    said.filter { $0.chat == chat }.sorted { $0.seq < $1.seq }
  }
}
