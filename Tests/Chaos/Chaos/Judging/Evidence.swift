/// All that a run left to be judged.
public struct Evidence: Sendable {
  /// By chat and seq: every event that any device was handed.
  public var events: [String: [Int: ChatEvent]] = [:]
  public var accounts: [Account] = []
  /// By room: who made it, and is in it without an event that says so.
  public var creators: [String: String] = [:]
  /// The log in its order; nil where there is none that others can read (the embedded store).
  public var log: [LogRecord]?
  /// By chat: its messages as `history` pages them after the end.
  public var histories: [String: [ChatEvent]] = [:]
  /// Differences that were seen while the run went on.
  public var seen: [String] = []

  public init() {}

  /// The events of a chat in the order of their seqs.
  func list(_ chat: String) -> [ChatEvent] {
    (events[chat] ?? [:]).values.sorted { $0.seq < $1.seq }
  }
}
