/// Why a connection to Redis, or an attempt to have one, came to its end. Never tells a secret.
public enum RedisFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// An answer took longer than `RedisLink.answerMilliseconds`, or the connection longer than it may.
  case noAnswer
  /// The server is a replica, or became one.
  case notPrimary
  /// It loads its data, or its primary is not there: `-LOADING`, `-MASTERDOWN`.
  case notReady
  /// It does not let us in, in its own words (`-WRONGPASS`, `-NOAUTH`, `-NOPERM` ...); where it was given a
  /// password, in the first of them.
  case refused(String)
  /// Its version is one whose scripts cannot say what they do: Redis 7.0 is the first that we can use.
  case tooOld(String)
  /// What came is not RESP2, or answers what nobody asked.
  case protocolError(String)
  /// The network says so: refused, reset, closed, a name that nobody knows.
  case unreachable(String)
  /// Sentinels that know no primary of that name, or a cluster without slots.
  case unknownPrimary(String)

  /// Whether trying again cannot help as long as nobody changes something.
  public var isLasting: Bool {
    switch self {
    case .refused, .tooOld: true
    default: false
    }
  }

  public var description: String {
    switch self {
    case .noAnswer: "no answer within \(RedisLink.answerMilliseconds) ms"
    case .notPrimary: "it is a replica, not a primary"
    case .notReady: "it is not ready: it loads its data, or waits for its primary"
    case .refused(let words): "it refuses: \(words)"
    case .tooOld(let version): "it is Redis \(version), and 7.0 or later is needed"
    case .protocolError(let words): "it does not speak Redis's protocol: \(words)"
    case .unreachable(let words): words
    case .unknownPrimary(let words): words
    }
  }
}

/// What an error says that a server answers, as far as somebody acts on it.
public enum RedisComplaint: Sendable, Equatable {
  /// The script is not loaded: `RedisLink` loads it and asks again.
  case noScript
  /// The server is a replica now: the error is the answer, and the connection ends.
  case readOnly
  /// It is not ready: the error is the answer, and the connection ends.
  case notReady
  /// It does not let us in any more: the error is the answer, and the connection ends.
  case notAllowed
  /// Its memory is full, it cannot persist, or has too few replicas: the error is the answer.
  case full
  /// The slot is another primary's: no answer, and the map of slots is read again.
  case moved(slot: UInt16, RedisHost)
  /// The slot is on its way to another primary, and this key is there already.
  case ask(slot: UInt16, RedisHost)
  /// The cluster cannot say, now: no answer, and the map of slots is read again.
  case clusterUnsettled
  /// Anything else, a script's own errors among it: the error is the answer.
  case other

  public init(_ text: String) {
    let words = text.split(separator: " ", maxSplits: 3)
    switch words.first {
    case "NOSCRIPT": self = .noScript
    case "READONLY": self = .readOnly
    case "LOADING", "MASTERDOWN": self = .notReady
    case "NOAUTH": self = .notAllowed
    case "OOM", "MISCONF", "NOREPLICAS": self = .full
    case "CLUSTERDOWN", "TRYAGAIN", "CROSSSLOT": self = .clusterUnsettled
    case "MOVED", "ASK":
      guard words.count > 2, let slot = UInt16(words[1]), slot < HashSlot.count,
        let host = RedisHost(redirection: words[2])
      else {
        self = .clusterUnsettled
        return
      }
      self = words[0] == "MOVED" ? .moved(slot: slot, host) : .ask(slot: slot, host)
    default: self = .other
    }
  }
}
