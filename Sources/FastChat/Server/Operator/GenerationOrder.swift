/// What `fastchat new-generation` was told beside the options of a server.
public struct GenerationOrder: Sendable, Equatable {
  /// Say what would be done, and change nothing.
  public var isDryRun = false
  /// Go on where views are lost or not whole: what only they had is gone.
  public var mayLoseHistory = false
  /// Begin at once, although repeats of the last messages may be taken for new ones.
  public var mayDouble = false

  public init() {}

  static let flags = [
    Flags.Own(name: "dry-run"), Flags.Own(name: "lose-history"), Flags.Own(name: "at-once"),
  ]

  init(_ flags: Flags) {
    isDryRun = flags.has("dry-run")
    mayLoseHistory = flags.has("lose-history")
    mayDouble = flags.has("at-once")
  }
}
