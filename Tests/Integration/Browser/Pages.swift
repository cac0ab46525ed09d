import Foundation
import Support

// What a user does on the page, and what is to be seen there.

extension WebDriver {
  /// A browser of its own in which a user is signed in.
  func page(
    of server: ServerProcess, as user: String, isPhone: Bool = false, isDark: Bool = false
  ) throws -> Browser {
    let page = try browser(
      width: isPhone ? 390 : 1200, height: isPhone ? 844 : 800, isPhone: isPhone, isDark: isDark)
    try page.signIn(to: server, as: user)
    return page
  }
}

extension Browser {
  func signIn(to server: ServerProcess, as user: String) throws {
    try signIn(at: server.port, as: user)
  }

  func signIn(at port: UInt16, as user: String) throws {
    try go(to: "http://127.0.0.1:\(port)/")
    try type(user + "\n", into: "#name")
    try waitUntilLive()
  }

  func waitUntilLive() throws {
    try wait(until: "document.querySelector('#status').dataset.phase === 'live'")
  }

  /// Opens a chat as a user does: the name into the field, and Enter.
  func openChat(_ name: String) throws {
    try type(name, into: "#search")
    try type("\n", into: "#search")
    try waitForChat(name.hasPrefix("#") ? String(name.dropFirst()) : name)
  }

  func waitForChat(_ title: String) throws {
    try wait(
      until: "!document.querySelector('#open').hidden && "
        + "document.querySelector('#chat-title').textContent === '\(title)'")
  }

  func write(_ text: String) throws { try type(text + "\n", into: "#text") }

  func waitForMessages(_ count: Int) throws {
    try wait(until: "document.querySelectorAll('.message').length >= \(count)")
  }

  /// The messages of the open chat from top to bottom, each as `author: text`.
  func messages() throws -> [String] {
    try strings(
      "[...document.querySelectorAll('.message')]"
        + ".map((m) => `${m.dataset.from}: ${m.querySelector('.text').textContent}`)")
  }

  /// Keeps what is to be seen for people to look at.
  func picture(_ name: String) throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..")
    try screenshot(to: root.standardizedFileURL.path + "/.build/artifacts/web-\(name).png")
  }
}
