import Chat
import Foundation
import Support
import Testing

@testable import Server

/// The variables of a test, given as a dictionary.
private func read(
  _ words: String..., variables: [String: String] = [:], descriptors: Int = 20_000
) throws -> Configuration {
  let environment = variables.map { (name: $0.key, value: $0.value) }
  let invocation = try Invocation(arguments: words, environment: environment, descriptors: descriptors)
  guard case .serve(let configuration, _) = invocation else { throw NotServe() }
  return configuration
}

private struct NotServe: Error {}

private func complaint(_ words: String..., variables: [String: String] = [:]) -> String {
  do {
    let environment = variables.map { (name: $0.key, value: $0.value) }
    _ = try Invocation(arguments: words, environment: environment, descriptors: 20_000)
    return "none"
  } catch { return error.description }
}

private func withFile<R>(_ text: String, _ body: (String) throws -> R) throws -> R {
  let directory = try TemporaryDirectory()
  let path = directory.path + "/fastchat.conf"
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  return try withExtendedLifetime(directory) { try body(path) }
}

@Suite(.serialized) struct ConfigurationTests {
  @Test func withoutAnyWordItServesOnLoopbackWithTheDefaults() throws {
    let configuration = try read()
    #expect(configuration.listen.description == "127.0.0.1:8080")
    #expect(configuration.admin.description == "127.0.0.1:9100")
    #expect(configuration.limits.frameBytes == 65_536)
    #expect(configuration.limits.bodyBytes == 61_440)
    #expect(configuration.limits.ratePerSecond == 50)
    #expect(configuration.limits.windowMilliseconds == 604_800_000)
    #expect(configuration.serverID == "local")
    #expect(!configuration.insecure && !configuration.echo && !configuration.deflate)
  }

  @Test func everyFlagSetsItsField() throws {
    let configuration = try read(
      "serve", "--listen", "127.0.0.1:0", "--admin=[::1]:9", "--server-id", "s-1", "--data", "/srv/x",
      "--auth", "none", "--origins", "https://a.example, http://b.example:8080", "--insecure", "--shards",
      "3",
      "--backend", "epoll", "--deflate", "--echo", "--log-level", "error", "--limits-frame", "128KiB",
      "--limits-body", "100000", "--limits-rate", "7", "--limits-pending", "9", "--limits-output", "1MiB",
      "--limits-connections", "1000", "--limits-handshake-bytes", "2MiB", "--limits-append-bytes", "3MiB",
      "--limits-room-members", "10", "--limits-user-rooms", "11", "--limits-window", "36h",
      "--limits-window-events", "200", "--limits-dedupe", "90s", "--limits-heartbeat", "2s")
    #expect(configuration.listen == Address(host: "127.0.0.1", port: 0))
    #expect(configuration.admin == Address(host: "::1", port: 9))
    #expect(configuration.serverID == "s-1")
    #expect(configuration.dataDirectory == "/srv/x")
    #expect(configuration.origins == ["https://a.example", "http://b.example:8080"])
    #expect(configuration.insecure && configuration.deflate && configuration.echo)
    #expect(configuration.shards == 3)
    #expect(configuration.backend == .epoll)
    #expect(configuration.logLevel == .error)
    #expect(configuration.limits.frameBytes == 131_072)
    #expect(configuration.limits.bodyBytes == 100_000)
    #expect(configuration.limits.ratePerSecond == 7)
    #expect(configuration.limits.pendingRequests == 9)
    #expect(configuration.limits.outputBytes == 1 << 20)
    #expect(configuration.connections == 1_000)
    #expect(configuration.connectionsMax(descriptors: 20_000) == 1_000)
    #expect(configuration.handshakeBytes == 2 << 20)
    #expect(configuration.limits.appendBytes == 3 << 20)
    #expect(configuration.limits.roomMembers == 10)
    #expect(configuration.limits.userRooms == 11)
    #expect(configuration.limits.windowMilliseconds == 36 * 3_600_000)
    #expect(configuration.limits.windowEvents == 200)
    #expect(configuration.limits.dedupeMilliseconds == 90_000)
    #expect(configuration.limits.heartbeatSeconds == 2)
  }

  @Test func flagsWinOverVariablesAndVariablesOverTheFile() throws {
    let text = "limits-rate = 1\nlimits-pending = 1\nshards = 1\necho = true\n"
    try withFile(text) { path in
      let configuration = try read(
        "--limits-rate", "3", "--config", path, "--echo=false",
        variables: ["FASTCHAT_LIMITS_RATE": "2", "FASTCHAT_LIMITS_PENDING": "2"])
      #expect(configuration.limits.ratePerSecond == 3)
      #expect(configuration.limits.pendingRequests == 2)
      #expect(configuration.shards == 1)
      #expect(!configuration.echo)
    }
  }

  @Test func theFileIsNamedByAVariableToo() throws {
    try withFile("shards = 5\n") { path in
      let configuration = try read(variables: ["FASTCHAT_CONFIG": path])
      #expect(configuration.shards == 5)
    }
  }

  @Test func theLastOfTwoEqualFlagsCounts() throws {
    #expect(try read("--shards", "1", "--shards=2").shards == 2)
  }

  @Test func anEmptyVariableCountsAsNotSet() throws {
    #expect(try read(variables: ["FASTCHAT_SHARDS": ""]).shards == 0)
  }

  @Test func aVariableThatIsNoOptionIsNotedAndNotRefused() throws {
    let invocation = try Invocation(
      arguments: [], environment: [("FASTCHAT_LIMIT_RATE", "1"), ("PATH", "/bin")], descriptors: 1_000)
    guard case .serve(_, let notes) = invocation else { throw NotServe() }
    #expect(notes == ["the variable FASTCHAT_LIMIT_RATE is no option, did you mean FASTCHAT_LIMITS_RATE?"])
  }

  @Test func commentsBlankLinesAndContinuedListsAreRead() throws {
    let text = """
      # a comment
      ; another

      limits-window = 2d ; the weekend
      origins = https://a.example,
        https://b.example
      """
    try withFile(text) { path in
      let configuration = try read("--config", path)
      #expect(configuration.limits.windowMilliseconds == 2 * 86_400_000)
      #expect(configuration.origins == ["https://a.example", "https://b.example"])
    }
  }

  @Test(arguments: [
    ("nonsense = 1\n", "1: unknown name 'nonsense'"),
    ("\n\nlimits-rat = 1\n", "3: unknown name 'limits-rat', did you mean limits-rate?"),
    ("shards = 1\nlimits-rate = many\n", "2: limits-rate: 'many' is not 1 to 1000000"),
    ("shards = 1\nshards = 2\n", "2: shards was given in line 1 already"),
    ("shards = 1\n  limits-rate = 2\n", "2: shards was given in line 1 already"),
    ("shards\n", "1: expected name = value"),
    ("[limits]\nrate = 5\n", "2: sections are not used; write rate = ... above any [section]"),
    ("config = other\n", "1: a configuration file names no other"),
    (
      "api-key-file = k\n",
      "1: api-key-file is not built yet; leave it out and keep --admin on a loopback address"
    ),
    ("shards = 1\ndata = " + String(repeating: "x", count: 300), "2: the line is longer than 198 bytes"),
    ("data = a\0b\n", "1: the line has a zero byte; is this a text file?"),
    ("echo = maybe\n", "1: echo: 'maybe' is not true or false"),
  ])
  func aBadLineOfTheFileIsNamedByFileAndLine(_ text: String, _ expected: String) throws {
    try withFile(text) { path in #expect(complaint("--config", path) == "\(path):\(expected)") }
  }

  @Test func aFileThatCannotBeReadIsSaid() throws {
    #expect(complaint("--config", "/nowhere/x") == "--config /nowhere/x: No such file or directory")
    #expect(complaint("--config", "/") == "--config /: Is a directory")
    try withFile(String(repeating: "# a comment\n", count: 10_000)) { path in
      #expect(complaint("--config", path) == "--config \(path): longer than 65536 bytes")
    }
  }

  @Test(arguments: [
    (["--limit-rate", "1"], "unknown flag --limit-rate, did you mean --limits-rate?"),
    (["--limits-rat=1"], "unknown flag --limits-rat, did you mean --limits-rate?"),
    (["--list"], "unknown flag --list; see --help"),
    (["--zzzzzzzz=3"], "unknown flag --zzzzzzzz; see --help"),
    (["-x"], "unknown flag -x; see --help"),
    (["--liste", "127.0.0.1:1"], "unknown flag --liste, did you mean --listen?"),
    (["--listen"], "--listen needs a value: --listen ADDRESS:PORT"),
    (["--insecure=often"], "--insecure: 'often' is not true or false"),
    (["--echo", "false"], "unexpected argument 'false'; flags begin with --, see --help"),
    (["serve", "now"], "unexpected argument 'now'; flags begin with --, see --help"),
    (["srve"], "unknown command 'srve', did you mean serve?"),
    (["start"], "unknown command 'start'; see --help"),
    (["options", "--echo"], "options takes no flags; see --help"),
    (["--limits-rate", "0"], "--limits-rate: '0' is not 1 to 1000000"),
    (["--limits-rate", "1000001"], "--limits-rate: '1000001' is not 1 to 1000000"),
    (["--limits-rate", "-1"], "--limits-rate: '-1' is not 1 to 1000000"),
    (["--limits-rate", "99999999999999999999"], "--limits-rate: '99999999999999999999' is not 1 to 1000000"),
    (["--limits-rate="], "--limits-rate: '' is not 1 to 1000000"),
    (["--limits-frame", "64KB"], "--limits-frame: '64KB' is not 1KiB to 1MiB"),
    (["--limits-frame", "2MiB"], "--limits-frame: '2MiB' is not 1KiB to 1MiB"),
    (["--limits-window", "7"], "--limits-window: '7' is not 10m to 3650d"),
    (["--limits-dedupe", "6m"], "--limits-dedupe: '6m' is not 1s to 5m"),
    (["--limits-heartbeat", "1500ms"], "--limits-heartbeat: '1500ms' is not 1s to 1h"),
    (["--backend", "kqueue"], "--backend: 'kqueue' is not auto, io_uring or epoll"),
    (["--server-id", "a_b"], "--server-id: 'a_b' is not 1 to 64 of A-Z a-z 0-9 -"),
    (["--auth", "jwt"], "--auth jwt is not built yet; use --auth none, which is meant for development"),
    (["--auth", "no"], "--auth: 'no' is not none"),
    (
      ["--tls-cert", "c"], "--tls-cert is not built yet; leave it out and put a proxy that ends TLS in front"
    ),
    (["--tls-key"], "--tls-key is not built yet; leave it out and put a proxy that ends TLS in front"),
    (["--tls-key", "k"], "--tls-key is not built yet; leave it out and put a proxy that ends TLS in front"),
    (["--jwt-key", "k"], "--jwt-key is not built yet; leave it out and use --auth none"),
    (
      ["--api-key-file", "k"],
      "--api-key-file is not built yet; leave it out and keep --admin on a loopback address"
    ),
  ])
  func aBadWordIsOneLineThatSaysWhatToDo(_ words: [String], _ expected: String) {
    do {
      _ = try Invocation(arguments: words, environment: [], descriptors: 20_000)
      Issue.record("accepted: \(words)")
    } catch {
      #expect(error.description == expected)
      #expect(!error.description.contains("\n"))
    }
  }

  @Test func aBadVariableIsNamedAsAVariable() {
    let line = complaint(variables: ["FASTCHAT_LIMITS_RATE": "no"])
    #expect(line == "FASTCHAT_LIMITS_RATE: 'no' is not 1 to 1000000")
    let unbuilt = complaint(variables: ["FASTCHAT_TLS_KEY": "k"])
    #expect(
      unbuilt == "FASTCHAT_TLS_KEY is not built yet; leave it out and put a proxy that ends TLS in front")
  }

  @Test func controlCharactersOfAValueDoNotReachTheTerminal() {
    #expect(complaint("--shards", "1\u{1b}[2J\n") == "--shards: '1?[2J?' is not 0 to 256")
  }

  @Test(arguments: [
    "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", ":8080", "::1:8080", "[::1]", "[127.0.0.1]:80",
    "example.org:80",
    "256.0.0.1:80", "127.0.0.1:http", "[::zz]:80", "*:80", "", "127.0.0.1:+80",
  ])
  func whatIsNoAddressIsRefused(_ text: String) {
    #expect(Address(text) == nil)
  }

  @Test func addressesAreReadAndWrittenAlike() throws {
    for text in ["127.0.0.1:8080", "[::1]:0", "0.0.0.0:1", "[::]:65535"] {
      #expect(Address(text)?.description == text)
    }
    #expect(Address("localhost:80")?.host == "127.0.0.1")
    #expect(Address("[::1]:0")?.description(port: 99) == "[::1]:99")
  }

  @Test func loopbackIsTheWholeOfNet127AndOneAddressOfIPv6() {
    for text in ["127.0.0.1:1", "127.9.8.7:1", "[::1]:1"] { #expect(Address(text)?.isLoopback == true) }
    for text in ["0.0.0.0:1", "128.0.0.1:1", "[::]:1", "[::2]:1", "[::ffff:127.0.0.1]:1"] {
      #expect(Address(text)?.isLoopback == false)
    }
  }

  @Test func beyondLoopbackTheServerAsksForInsecure() throws {
    #expect(complaint("--listen", "0.0.0.0:8080").contains("accept it with --insecure"))
    #expect(complaint("--listen", "[::]:8080", "--auth", "none").contains("accept it with --insecure"))
    #expect(complaint("--admin", "10.0.0.1:9100").contains("accept it with --insecure"))
    #expect(try read("--listen", "0.0.0.0:8080", "--admin", "0.0.0.0:9100", "--insecure").insecure)
  }

  @Test func limitsThatContradictEachOtherAreRefused() {
    #expect(
      complaint("--limits-body", "70KiB")
        == "--limits-body 70KiB does not fit into --limits-frame 64KiB; lower the one or raise the other")
    #expect(
      complaint("--limits-append-bytes", "1MiB", "--shards", "17")
        == "--limits-body 60KiB does not fit into a shard's share of --limits-append-bytes 1MiB, which is 1 of 17; "
        + "lower it or --shards, or raise that")
    #expect(complaint("--limits-append-bytes", "1MiB", "--shards", "16") == "none")
    #expect(
      complaint("--limits-connections", "20000")
        == "--limits-connections 20000 needs 20064 open files and the process may have 20000; "
        + "raise it (ulimit -n, LimitNOFILE=) or lower the limit")
    #expect(
      complaint("--admin", "127.0.0.1:8080")
        == "--listen and --admin are both 127.0.0.1:8080; give one another port")
    #expect(complaint("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0") == "none")
  }

  @Test func aPasswordThatStandsWhereNoneBelongsIsNotRepeated() {
    #expect(
      complaint("redis://me:SECRET@h:1")
        == "unknown command 'redis://***@h:1'; see --help")
    #expect(complaint("--kafka", "a:1,u:SECRET@h:9092").contains("'a:1,***@h:9092' is not"))
    #expect(complaint("--kafka", "u:SEC@RET@h:9092").contains("'***@h:9092' is not"))
  }

  @Test func withoutALimitTheConnectionsFollowTheDescriptors() {
    #expect(Configuration().connectionsMax(descriptors: 20_000) == 18_000)
  }
}
