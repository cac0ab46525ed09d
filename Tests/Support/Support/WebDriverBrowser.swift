import Foundation

/// One browser of a `WebDriver`, with the window that it looks at. Elements are named by CSS selectors.
public final class Browser {
  private let driver: WebDriver
  private let path: String

  init(driver: WebDriver, path: String) {
    self.driver = driver
    self.path = path
  }

  public func go(to address: String) throws {
    try post("/url", #"{"url":\#(JSONValue.quoted(address))}"#)
  }

  public func reload() throws { try post("/refresh") }

  // MARK: Windows

  /// The name of the window that the browser looks at.
  public func window() throws -> String {
    guard let name = try driver.call("GET", path + "/window").string else { throw TestFailure("no window") }
    return name
  }

  /// Opens another window of the same profile, and looks at it from then on.
  public func openWindow() throws {
    let answer = try post("/window/new", #"{"type":"window"}"#)
    guard let name = answer["handle"]?.string else { throw TestFailure("no window: \(answer)") }
    try look(at: name)
  }

  public func look(at window: String) throws { try post("/window", #"{"handle":"\#(window)"}"#) }

  /// Closes the window that the browser looks at; another one must be looked at next.
  public func closeWindow() throws { _ = try driver.call("DELETE", path + "/window") }

  // MARK: What a user does

  public func click(_ selector: String) throws {
    try post("/element/\(try element(selector))/click")
  }

  /// Types into an element; `\n` is the Enter key.
  public func type(_ text: String, into selector: String) throws {
    try post("/element/\(try element(selector))/value", #"{"text":\#(JSONValue.quoted(text))}"#)
  }

  // MARK: What is to be seen

  /// Runs the body of a JavaScript function; `arguments` holds the strings.
  @discardableResult
  public func run(_ script: String, _ arguments: String...) throws -> JSONValue {
    let list = arguments.map { JSONValue.quoted($0) }.joined(separator: ",")
    return try post("/execute/sync", #"{"script":\#(JSONValue.quoted(script)),"args":[\#(list)]}"#)
  }

  /// Waits until an expression is true.
  public func wait(until expression: String, _ deadline: Deadline = .after(.seconds(60))) throws {
    while try run("return Boolean(\(expression))").bool != true {
      guard !deadline.hasPassed else {
        throw TestFailure(
          "never true: \(expression)\non the page: \(try run("return document.body.innerText"))")
      }
      usleep(20_000)
    }
  }

  /// The strings of an array that an expression gives.
  public func strings(_ expression: String) throws -> [String] {
    guard let list = try run("return \(expression)").array else {
      throw TestFailure("no array: \(expression)")
    }
    return list.map { $0.string ?? "\($0)" }
  }

  /// What the page and the browser complained about since the last time this was asked.
  public func complaints() throws -> [String] {
    let log = try post("/se/log", #"{"type":"browser"}"#).array ?? []
    return log.compactMap { $0["message"]?.string }
  }

  /// Writes what the window shows as a PNG file.
  public func screenshot(to file: String) throws {
    guard let text = try driver.call("GET", path + "/screenshot").string,
      let bytes = Data(base64Encoded: text)
    else { throw TestFailure("no picture") }
    let place = URL(fileURLWithPath: file)
    try FileManager.default.createDirectory(
      at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
    try bytes.write(to: place)
  }

  /// One command of the Chrome DevTools protocol; `parameters` is a JSON object.
  public func tool(_ command: String, _ parameters: String) throws {
    try post("/goog/cdp/execute", #"{"cmd":"\#(command)","params":\#(parameters)}"#)
  }

  private func element(_ selector: String) throws -> String {
    let answer = try post(
      "/element", #"{"using":"css selector","value":\#(JSONValue.quoted(selector))}"#)
    guard case .object(let fields) = answer, let id = fields.values.first?.string else {
      throw TestFailure("no element \(selector)")
    }
    return id
  }

  @discardableResult
  private func post(_ command: String, _ body: String = "{}") throws -> JSONValue {
    try driver.call("POST", path + command, body)
  }
}
