/// What `fastchat rebuild` was told beside the options of a server.
public struct RebuildOrder: Sendable, Equatable {
  /// Compare, and change nothing.
  public var isDryRun = false
  /// Partitions of the log; all of them where none is named.
  public var partitions: [Int32] = []
  /// Events that the view has and the log has no more may go.
  public var mayLoseOlder = false

  public init() {}

  static let flags = [
    Flags.Own(name: "dry-run"), Flags.Own(name: "partition", placeholder: "N"), Flags.Own(name: "lose-older"),
  ]

  init(_ flags: Flags) throws(ConfigurationError) {
    isDryRun = flags.has("dry-run")
    mayLoseOlder = flags.has("lose-older")
    for (name, text) in flags.own where name == "partition" {
      guard let partition = Int32(text), partition >= 0 else {
        throw ConfigurationError(
          "--partition \(Printable.short(text)): expected the number of a partition, from 0")
      }
      if !partitions.contains(partition) { partitions.append(partition) }
    }
  }
}
