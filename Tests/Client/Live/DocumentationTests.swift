import Client
import Foundation
import Support
import Testing

/// The examples of the documentation: what stands there stands here, is compiled, and is run.
private enum Examples {
  static func greet(address: String) async throws -> Receipt {
    let client = try ChatClient(ClientConfiguration(address: address, user: "alice", device: "phone"))
    // Somebody must take the events: without it nothing is read from the server after a while.
    let listener = Task {
      for await event in client.events {
        if case .message(let message) = event { print(message.from, message.body?.text ?? "") }
      }
    }
    let receipt = try await client.send(Body(text: "hello"), to: "user:bob")
    await client.stop()
    await listener.value
    return receipt
  }

  static func resilient(address: String, directory: String) throws -> ChatClient {
    var configuration = ClientConfiguration(address: address, user: "alice", device: "phone")
    configuration.storage = try FileStorage(path: directory + "/fastchat-state", isDurable: true)
    return try ChatClient(configuration)
  }

  static func describe(_ state: ConnectionState) -> String {
    switch state {
    case .connecting: "connecting"
    case .catchingUp(let session): "connected to \(session.server), reading what was missed"
    case .live: "connected"
    case .waiting(let error, let milliseconds): "\(error); again in \(milliseconds / 1_000) s"
    case .ended(let error): error.map { "over: \($0)" } ?? "over"
    }
  }

  static func signedIn(address: String, fetch: @escaping @Sendable () async throws -> String) throws
    -> ChatClient
  {
    var configuration = ClientConfiguration(address: address, user: "alice", device: "phone")
    configuration.token = { refusal in
      if let refusal { print("a new token is needed:", refusal.reason) }
      return try await fetch()
    }
    return try ChatClient(configuration)
  }

  static func wholePast(of chat: String, _ client: ChatClient) async throws -> [Message] {
    var messages: [Message] = []
    while true {
      let page = try await client.history(of: chat, .after(messages.last?.seq ?? 0), limit: 100)
      messages += page.messages
      if !page.hasMore { return messages }
    }
  }
}

@Suite struct DocumentationTests {
  @Test func theExamplesDoWhatTheySay() async throws {
    let server = try ServerProcess()
    defer { server.kill() }
    let directory = try TemporaryDirectory()
    let address = "ws://127.0.0.1:\(server.port)/ws"
    let receipt = try await Examples.greet(address: address)
    let client = try Examples.resilient(address: address, directory: directory.path)
    let listener = Task {
      var words: [String] = []
      for await event in client.events {
        if case .connection(let state) = event { words.append(Examples.describe(state)) }
      }
      return words
    }
    #expect(try await Examples.wholePast(of: "dm:alice:bob", client).map(\.seq) == [receipt.seq])
    await client.stop()
    #expect(
      await listener.value == [
        "connecting", "connected to local, reading what was missed", "connected", "over",
      ])
    #expect(FileManager.default.fileExists(atPath: directory.path + "/fastchat-state"))
    let other = try Examples.signedIn(address: address) { throw CancellationError() }
    for await event in other.events {
      guard case .connection(.waiting(let error, _)) = event else { continue }
      #expect(error.kind == .unauthorized)
      break
    }
    await other.stop()
  }

  /// However it is indented and broken into lines.
  private func squeezed(_ text: some StringProtocol) -> String { String(text.filter { !$0.isWhitespace }) }

  @Test func theExamplesOfThePageAreTheCompiledOnes() throws {
    let here = URL(fileURLWithPath: #filePath)
    let page = try String(
      contentsOf: here.deletingLastPathComponent().appendingPathComponent(
        "../../../Sources/FastChat/Client/Client.docc/GettingStarted.md"
      ).standardizedFileURL, encoding: .utf8)
    let compiled = squeezed(
      try String(contentsOf: here, encoding: .utf8).replacing("static func", with: "func"))
    let examples = page.matches(of: /```swift\n((?:.|\n)*?)```/).map { String($0.1) }
    #expect(examples.count == 5)
    for example in examples { #expect(compiled.contains(squeezed(example)), "\(example)") }
  }
}
