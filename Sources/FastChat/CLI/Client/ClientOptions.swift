import Client

/// What `fastchat client` was asked to do.
struct ClientOptions: Equatable {
  var address = ""
  var user = ""
  var device: String?
  var tokenFile: String?
  var rooms: [String] = []
  var state: String?
  var isJSON = false
  /// Go on behind the end of the input.
  var follows = false

  /// What is wrong with the words, in one line.
  struct Mistake: Error, Equatable {
    let message: String
  }

  static let help = """
    Usage: fastchat client ws://HOST:PORT/ws --user NAME [flags]

    Chat in a terminal; with its output piped, lines of text without escapes.

      --user NAME         Who you are
      --device NAME       This installation [the one in the state, else a random one]
      --token-file FILE   Read the token from there, also each time it expired
      --room NAME         Join this room and enter it; may come several times
      --state FILE        Keep there what is not sent yet, and up to where everything was shown
      --json              For scripts: frames of the protocol in and out, one a line
      --follow            Do not end with the input; otherwise once it is sent and answered
      --help

    In a chat: /join ROOM  /dm USER  /leave  /history [N]  /who  /rooms  /create NAME  /quit  /help
    Exit code 0: ended as asked; 1: the server ended it, or something is left unsent; 2: wrong flags.

    """

  /// Reads the words behind the command; nil: help is wanted.
  static func read(_ words: [String]) throws(Mistake) -> ClientOptions? {
    var options = ClientOptions()
    var words = words[...]
    while let word = words.popFirst() {
      guard word.hasPrefix("-") else {
        guard options.address.isEmpty else {
          throw Mistake(message: "unexpected argument '\(word)'; see --help")
        }
        options.address = word
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      func value() throws(Mistake) -> String {
        if parts.count == 2 { return String(parts[1]) }
        guard let next = words.popFirst(), !next.hasPrefix("--") else {
          throw Mistake(message: "\(name) needs a value; see fastchat client --help")
        }
        return next
      }
      switch name {
      case "--help", "-h": return nil
      case "--json": options.isJSON = true
      case "--follow": options.follows = true
      case "--user": options.user = try validated(value(), "--user")
      case "--device": options.device = try validated(value(), "--device")
      case "--token-file": options.tokenFile = try value()
      case "--state": options.state = try value()
      case "--room": options.rooms.append(try value())
      default: throw Mistake(message: "unknown flag \(name); see fastchat client --help")
      }
    }
    guard !options.address.isEmpty else {
      throw Mistake(message: "no address; write it as fastchat client ws://127.0.0.1:8080/ws --user NAME")
    }
    guard !options.user.isEmpty else { throw Mistake(message: "--user NAME is missing") }
    return options
  }

  private static func validated(_ text: String, _ flag: String) throws(Mistake) -> String {
    guard Names.isName(text) else { throw Mistake(message: "\(flag): use 1-64 of A-Z a-z 0-9 . _ - @") }
    return text
  }

  /// The chat that a word of the user means: `lobby`, `#lobby`, `@bob`, or an id as in PROTOCOL.
  func chat(_ word: String) -> String {
    if word.hasPrefix("room:") || word.hasPrefix("dm:") { return word }
    if word.hasPrefix("user:") { return Names.direct(user, String(word.dropFirst(5))) }
    if word.hasPrefix("@") { return Names.direct(user, String(word.dropFirst())) }
    return "room:" + (word.hasPrefix("#") ? String(word.dropFirst()) : word)
  }
}
