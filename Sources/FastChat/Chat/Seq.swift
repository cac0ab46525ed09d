/// A place in a log: generation x 2^40 + offset. Rising within a chat, with gaps, below 2^53.
///
/// Every place that is named in this module (`applied`, `since`, `upto`, a position) is the seq of a
/// *last* record; "nothing yet" is the generation's base minus one. Zero means "no event" where a head
/// or a `prev` is meant.
public typealias Seq = Int64

public enum SeqSpace {
  /// Records that one generation of a log has room for.
  public static let generationSize: Seq = 1 << 40
  /// Seqs stay exact in a double, which is what JSON numbers are to most clients.
  public static let end: Seq = 1 << 53

  /// The seq of offset 0 in a generation, which counts from 1.
  public static func base(generation: Int64) -> Seq { generation * generationSize }
  /// The position of a log of which nothing has been applied.
  public static func nothingYet(generation: Int64) -> Seq { base(generation: generation) - 1 }
}

/// Milliseconds since 1970, by the wall clock.
public typealias WallTime = Int64

/// Milliseconds by a clock that never goes back, from an arbitrary start. Timers and bounds use it.
public typealias Tick = Int64
