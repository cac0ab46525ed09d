import Chat

/// The keys of DESIGN section 7 that commands name. A script makes the other keys of its partition itself,
/// by the prefix of the one it is given: they share its hash tag, and so its slot.
enum RedisKeys {
  /// `fc:{p17}:view`
  static func view(_ partition: Int32) -> String { "fc:{p\(partition)}:view" }

  /// `fc:{p17}:s:<room>`
  static func servers(ofRoom room: [UInt8], partitions: Int32) -> String {
    let partition = room.withUnsafeBytes { Partition.of($0, count: partitions) }
    return "fc:{p\(partition)}:s:" + String(decoding: room, as: UTF8.self)
  }

  /// `fc:{u:<user>}:d`
  static func sessions(ofUser user: [UInt8]) -> String { "fc:{u:\(String(decoding: user, as: UTF8.self))}:d" }

  /// `fc:{srv}:<server>`
  static func lease(_ server: String) -> String { "fc:{srv}:\(server)" }

  /// `fc:{srv}:lock:<server>`: who stands in for it. No server's id has a colon.
  static func lock(_ server: String) -> String { "fc:{srv}:lock:\(server)" }

  /// `fc:{srv}:lock:all`
  static let allLocks = "fc:{srv}:lock:all"

  /// `fc:{srv}:cut:<server>`: it reaches no broker.
  static func cut(_ server: String) -> String { "fc:{srv}:cut:\(server)" }

  /// `fc:{srv}:cut:all`
  static let allCuts = "fc:{srv}:cut:all"

  /// `fc:{log}:id`: which log everything here is of.
  static let log = "fc:{log}:id"

  /// `fc:{srv}:all`
  static let allServers = "fc:{srv}:all"
}
