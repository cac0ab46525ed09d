import Redis

/// One row of the table of options: everything that is told about an option, wherever it is told.
struct Option: Sendable {
  typealias Field<Value> = WritableKeyPath<Configuration, Value> & Sendable

  enum Section: String, CaseIterable, Sendable {
    case network = "Network"
    case identity = "Identity and access"
    case storage = "Storage"
    case engine = "Engine"
    case limits = "Limits"
    case cluster = "Cluster"
    case general = "General"
  }

  /// What the value is, its bounds, and the field of `Configuration` that it sets.
  enum Value: Sendable {
    case toggle(any Field<Bool>)
    case count(any Field<Int>, ClosedRange<Int>)
    case bytes(any Field<Int>, ClosedRange<Int>)
    case milliseconds(any Field<Int64>, ClosedRange<Int>)
    case seconds(any Field<Int>, ClosedRange<Int>)
    case address(any Field<Address>)
    case path(any Field<String>)
    case serverID(any Field<String>)
    case origins(any Field<[String]>)
    /// `host:port`, one or several with commas.
    case endpoints(any Field<String>)
    case redis(any Field<String>)
    /// What topics may begin with.
    case topicPrefix(any Field<String>)
    /// `name=value`, once more for each further one.
    case kafkaSetting(any Field<[ClusterConfiguration.KafkaSetting]>)
    case choice([Choice])
    /// The file to read options from: consumed by `Invocation`, no field.
    case configurationFile
    /// Of a later release; with what to do meanwhile, as the end of "... is not built yet; ".
    case unbuilt(meanwhile: String)
  }

  struct Choice: Sendable {
    let name: String
    /// Nil where the choice is of a later release.
    let set: (@Sendable (inout Configuration) -> Void)?
    let meanwhile: String
    let isSet: @Sendable (Configuration) -> Bool
  }

  let name: String
  let section: Section
  let value: Value
  /// What stands for the value in `--help`; empty for a toggle.
  let placeholder: String
  /// One sentence without its full stop.
  let help: String
  /// What a default of a special meaning stands for ("one a core").
  var defaultNote = ""

  /// The name in the environment: `FASTCHAT_LIMITS_RATE`.
  var variable: String {
    "FASTCHAT_" + String(name.map { $0 == "-" ? "_" : Character($0.uppercased()) })
  }

  var isBuilt: Bool {
    if case .unbuilt = value { false } else { true }
  }

  var isToggle: Bool {
    if case .toggle = value { true } else { false }
  }

  /// A list may be continued on further lines of the configuration file.
  var isList: Bool {
    if case .origins = value { true } else { false }
  }

  /// Each time it is given counts, for itself.
  var isRepeatable: Bool {
    if case .kafkaSetting = value { true } else { false }
  }
}

extension Option {
  /// The default as it would be typed; empty where there is none.
  var defaultText: String {
    let defaults = Configuration()
    return switch value {
    case .toggle(let field): defaults[keyPath: field] ? "true" : "false"
    case .count(let field, _): String(defaults[keyPath: field])
    case .bytes(let field, _): Quantity.bytes.format(defaults[keyPath: field])
    case .milliseconds(let field, _): Quantity.milliseconds.format(Int(defaults[keyPath: field]))
    case .seconds(let field, _): Quantity.milliseconds.format(defaults[keyPath: field] * 1_000)
    case .address(let field): defaults[keyPath: field].description
    case .path(let field), .serverID(let field), .endpoints(let field), .redis(let field),
      .topicPrefix(let field):
      defaults[keyPath: field]
    case .origins(let field): defaults[keyPath: field].joined(separator: ",")
    case .choice(let choices): choices.first { $0.isSet(defaults) }?.name ?? ""
    case .configurationFile, .kafkaSetting, .unbuilt: ""
    }
  }

  /// The values allowed, for people.
  var rangeText: String {
    switch value {
    case .toggle: "true or false"
    case .count(_, let range): "\(range.lowerBound) to \(range.upperBound)"
    case .bytes(_, let range):
      "\(Quantity.bytes.format(range.lowerBound)) to \(Quantity.bytes.format(range.upperBound))"
    case .milliseconds(_, let range):
      "\(Quantity.milliseconds.format(range.lowerBound)) to \(Quantity.milliseconds.format(range.upperBound))"
    case .seconds(_, let range):
      "\(Quantity.milliseconds.format(range.lowerBound * 1_000)) to "
        + Quantity.milliseconds.format(range.upperBound * 1_000)
    case .address: "a numeric address and a port: 127.0.0.1:8080, [::1]:8080, or port 0 for any free one"
    case .path: "a path"
    case .serverID: "1 to 64 of A-Z a-z 0-9 -"
    case .origins: "a list with commas, each scheme://host or scheme://host:port"
    case .endpoints: "a list with commas, each host:port"
    case .redis: "host:port, redis://user:password@host:port,... or sentinel://host:port,.../name"
    case .topicPrefix: "1 to \(Self.topicPrefixBytesMax) of A-Z a-z 0-9 . _ -"
    case .kafkaSetting: "name=value, and the flag again for each further one"
    case .choice(let choices): Self.list(choices.filter { $0.set != nil }.map(\.name))
    case .configurationFile: "a path"
    case .unbuilt: "not built yet"
    }
  }

  private static func list(_ names: [String]) -> String {
    guard names.count > 1 else { return names.joined() }
    return names.dropLast().joined(separator: ", ") + " or " + names[names.count - 1]
  }
}

extension Option {
  /// Why a text was refused: what follows the option's name in the error line.
  enum Refusal: Error, Equatable {
    /// Not one of `rangeText`.
    case notAllowed
    /// For a reason of its own, that does not repeat the text.
    case because(String)
    /// Of a later release, and what to do meanwhile.
    case unbuilt(choice: String, meanwhile: String)
  }

  /// Sets the option's field from a text.
  func apply(_ text: String, to configuration: inout Configuration) throws(Refusal) {
    switch value {
    case .toggle(let field): configuration[keyPath: field] = try Self.toggle(text)
    case .count(let field, let range):
      configuration[keyPath: field] = try Self.bounded(Count.parse(text), range)
    case .bytes(let field, let range):
      configuration[keyPath: field] = try Self.bounded(Quantity.bytes.parse(text), range)
    case .milliseconds(let field, let range):
      configuration[keyPath: field] = Int64(try Self.bounded(Quantity.milliseconds.parse(text), range))
    case .seconds(let field, let range):
      let milliseconds = Quantity.milliseconds.parse(text)
      let seconds = milliseconds.flatMap { $0 % 1_000 == 0 ? $0 / 1_000 : nil }
      configuration[keyPath: field] = try Self.bounded(seconds, range)
    case .address(let field):
      guard let address = Address(text) else { throw .notAllowed }
      configuration[keyPath: field] = address
    case .path(let field):
      guard !text.isEmpty else { throw .notAllowed }
      configuration[keyPath: field] = text
    case .serverID(let field):
      guard Self.isServerID(text) else { throw .notAllowed }
      configuration[keyPath: field] = text
    case .origins(let field): configuration[keyPath: field] = try Self.origins(text)
    case .endpoints(let field):
      guard Endpoint.isList(text) else { throw .notAllowed }
      configuration[keyPath: field] = text
    case .redis(let field):
      // It may hold a password.
      guard (try? RedisAddress(text)) != nil else { throw .because("this is not \(rangeText)") }
      configuration[keyPath: field] = text
    case .topicPrefix(let field):
      guard Self.isTopicPrefix(text) else { throw .notAllowed }
      configuration[keyPath: field] = text
    case .kafkaSetting(let field):
      guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
        throw .because("expected name=value")
      }
      configuration[keyPath: field].append(
        ClusterConfiguration.KafkaSetting(
          name: String(text[..<equals]), value: String(text[text.index(after: equals)...])))
    case .choice(let choices):
      guard let choice = choices.first(where: { $0.name == text }) else { throw .notAllowed }
      guard let set = choice.set else {
        throw .unbuilt(choice: " " + choice.name, meanwhile: choice.meanwhile)
      }
      set(&configuration)
    case .configurationFile: preconditionFailure("the invocation reads the configuration file's name itself")
    case .unbuilt(let meanwhile): throw .unbuilt(choice: "", meanwhile: meanwhile)
    }
  }

  private static func bounded(_ value: Int?, _ range: ClosedRange<Int>) throws(Refusal) -> Int {
    guard let value, range.contains(value) else { throw .notAllowed }
    return value
  }

  private static func toggle(_ text: String) throws(Refusal) -> Bool {
    switch text {
    case "true", "yes", "on", "1": true
    case "false", "no", "off", "0": false
    default: throw .notAllowed
    }
  }

  static func isServerID(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2D: true
        default: false
        }
      }
  }

  /// A topic's name has 249 bytes (Kafka), and that of an inbox ends with a server's id and an epoch.
  private static let topicPrefixBytesMax = 100

  private static func isTopicPrefix(_ text: String) -> Bool {
    (1...topicPrefixBytesMax).contains(text.utf8.count) && text != "." && text != ".."
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2D, 0x2E, 0x5F: true
        default: false
        }
      }
  }

  /// Reads a list of origins as browsers write them (RFC 6454 section 6.2): no path, lower-case, nothing
  /// to normalise later.
  private static func origins(_ text: String) throws(Refusal) -> [String] {
    var origins: [String] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: true) {
      let trimmed = part.drop { $0 == " " }
      let origin = String(String(trimmed.reversed().drop { $0 == " " }.reversed())).lowercased()
      guard !origin.isEmpty else { continue }
      let host: Substring
      if origin.hasPrefix("https://") {
        host = origin.dropFirst(8)
      } else if origin.hasPrefix("http://") {
        host = origin.dropFirst(7)
      } else {
        throw .notAllowed
      }
      let isPlain = host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
      guard !host.isEmpty, isPlain, !host.contains("/"), !host.contains("*") else { throw .notAllowed }
      origins.append(origin)
    }
    guard !origins.isEmpty else { throw .notAllowed }
    return origins
  }
}
