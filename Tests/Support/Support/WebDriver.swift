import Foundation
import Glibc
import Synchronization

/// Chromium, driven by Debian's chromedriver over the WebDriver protocol (W3C Recommendation).
///
/// The driver, its browsers and their profiles live as long as the object, and no longer than the process
/// of the test: they stand in a process group of their own under a shell, which ends them all when the pipe at
/// its standard input closes, however that comes to pass.
public final class WebDriver {
  public private(set) var port: UInt16 = 0
  private let directory: TemporaryDirectory
  /// The sessions of open browsers.
  private var sessions: [String] = []
  private var shell: pid_t = 0
  private var input: Int32 = -1
  private var output: Int32 = -1

  /// `kill 0` is the shell's process group: the driver and all that it started.
  private static let script = """
    command -v chromium >/dev/null && command -v chromedriver >/dev/null || {
      echo 'chromium or chromedriver is missing: run scripts/packages test'; exit 1; }
    chromedriver --port=0 &
    read -r line
    kill -KILL 0
    """

  public init() throws {
    directory = try TemporaryDirectory()
    // The driver chooses a port by IPv6, which another program may have by IPv4.
    for _ in 0..<5 where port == 0 {
      try spawn()
      do { try findPort() } catch {
        stop()
        guard error.description.contains("Address already in use") else { throw error }
      }
    }
    guard port != 0 else { throw TestFailure("chromedriver found no port in five tries") }
  }

  deinit { stop() }

  /// Ends the driver and every browser.
  public func stop() {
    // Asked, a browser ends its own processes and the driver waits for it; killed, they are left to init.
    for session in sessions { _ = try? call("DELETE", session) }
    sessions = []
    if input >= 0 { close(input) }
    if output >= 0 { close(output) }
    (input, output) = (-1, -1)
    var status: Int32 = 0
    while shell > 0, waitpid(shell, &status, 0) < 0, errno == EINTR {}
    shell = 0
  }

  /// Opens a browser with a profile of its own and one window.
  /// - Parameters:
  ///   - width, height: of the page, in CSS pixels.
  ///   - isPhone: whether the browser says it has a touch screen of that size and no mouse.
  ///   - isStorageForbidden: whether its user lets no page keep anything.
  public func browser(
    width: Int = 1200, height: Int = 800, isPhone: Bool = false, isDark: Bool = false,
    isStorageForbidden: Bool = false
  ) throws -> Browser {
    var arguments = [
      // The sandbox does not start as root, which tests in a container are; the page is our own.
      "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
      "--no-first-run", "--lang=en-GB", "--window-size=\(width),\(height)",
    ]
    if isDark { arguments.append("--blink-settings=preferredColorScheme=0") }
    let list = arguments.map { JSONValue.quoted($0) }.joined(separator: ",")
    let metrics = #"{"width":\#(width),"height":\#(height),"pixelRatio":2,"touch":true}"#
    let phone = isPhone ? #","mobileEmulation":{"deviceMetrics":\#(metrics)}"# : ""
    // 2 is "block", for cookies and with them for all storage.
    let forbidden =
      isStorageForbidden ? #","prefs":{"profile.default_content_setting_values.cookies":2}"# : ""
    let answer = try call(
      "POST", "/session",
      #"""
      {"capabilities":{"alwaysMatch":{"browserName":"chrome","goog:loggingPrefs":{"browser":"ALL"},
      "goog:chromeOptions":{"args":[\#(list)]\#(phone)\#(forbidden)}}}}
      """#)
    guard let id = answer["sessionId"]?.string else { throw TestFailure("no session: \(answer)") }
    sessions.append("/session/\(id)")
    return Browser(driver: self, path: "/session/\(id)")
  }

  /// One command; the `value` of its answer.
  func call(_ method: String, _ path: String, _ body: String? = nil) throws -> JSONValue {
    let client = try HTTPTestClient(port: port)
    var headers = ["Connection": "close"]
    if let body {
      headers["Content-Length"] = "\(body.utf8.count)"
      headers["Content-Type"] = "application/json; charset=utf-8"
    }
    try client.send(raw: HTTPTestClient.text(of: method, path, headers: headers, port: port) + (body ?? ""))
    let answer = try client.answer(to: method, .after(.seconds(60)))
    guard let value = try JSONValue(parsing: answer.text)["value"] else {
      throw TestFailure("no value: \(answer.text.prefix(500))")
    }
    guard answer.status == 200 else {
      throw TestFailure("\(method) \(path): \(value["message"]?.string ?? answer.text)")
    }
    return value
  }

  private func findPort() throws(TestFailure) {
    let deadline = Deadline.after(.seconds(60))
    var said = ""
    while true {
      if let match = said.firstMatch(of: /started successfully on port (\d+)/) {
        port = UInt16(match.1)!
        return
      }
      var entry = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
        count =
          poll(&entry, 1, deadline.milliseconds) > 0 ? max(0, read(output, buffer.baseAddress, 4096)) : 0
      }
      said += String(decoding: bytes, as: UTF8.self)
      // The shell outlives it, so that the pipe does not end.
      guard !bytes.isEmpty, !said.contains("Exiting...") else {
        throw TestFailure("chromedriver did not start: \(said)")
      }
    }
  }

  private func spawn() throws {
    try ServerProcess.spawning.withLock { _ in try spawnAlone() }
  }

  private func spawnAlone() throws {
    let ends = (input: try Self.makePipe(), output: try Self.makePipe())
    (input, output) = (ends.input.writing, ends.output.reading)
    defer {
      close(ends.input.reading)
      close(ends.output.writing)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends.input.reading, 0)
    posix_spawn_file_actions_adddup2(&actions, ends.output.writing, 1)
    posix_spawn_file_actions_adddup2(&actions, ends.output.writing, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    var variables = ProcessInfo.processInfo.environment
    // Profiles, caches and settings go with the directory.
    for name in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] { variables[name] = directory.path }
    let command = ["sh", "-c", Self.script]
    let arguments = command.map { strdup($0) } + [nil]
    let values = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in arguments + values { free(text) } }
    let error = posix_spawn(&shell, "/bin/sh", &actions, &attributes, arguments, values)
    guard error == 0 else { throw TestFailure("sh: \(String(cString: strerror(error)))") }
  }

  /// A pipe of which only what is duplicated gets into a child.
  private static func makePipe() throws -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw TestFailure("pipe: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }
}

/// Runs `body` with a driver that is gone afterwards, also where it throws.
public func withWebDriver<Result>(_ body: (WebDriver) throws -> Result) throws -> Result {
  let driver = try WebDriver()
  defer { driver.stop() }
  return try body(driver)
}
