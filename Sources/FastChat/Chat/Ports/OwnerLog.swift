/// What an owner and the log say to each other (DESIGN sections 5 and 6).

/// A record of the log as an owner reads it; its texts are valid for the call.
public struct LogRecord {
  public var seq: Seq
  /// When the log took it (`LogAppendTime`), never falling from one record to the next.
  public var appended: WallTime
  public var append: Append

  public init(seq: Seq, appended: WallTime, append: Append) {
    self.seq = seq
    self.appended = appended
    self.append = append
  }
}

/// Where a reader of the log begins.
public enum LogPlace: Sendable, Equatable {
  /// With the first record that the log took at that time or later, and so at its end where none is.
  case time(WallTime)
  /// With the first record above this seq.
  case after(Seq)
  /// With the oldest record that is still there.
  case beginning
}

/// A row of the compacted state topic: what the log alone cannot tell about a view. `seq` is that of the
/// record that made it so; of two rows with the same key the one with the higher seq counts.
public struct StateRow: Sendable, Equatable {
  public enum Value: Sendable, Equatable {
    /// Key `<chat>\n<user>`. Role `.none`: not a member any more since `seq`.
    case member(user: [UInt8], role: Role)
    /// Key `<chat>`, of a room: its properties as JSON, from the `create` that the row's seq is of.
    case chat(room: [UInt8])
    /// Key `<chat>\n#`, of a direct chat or a room: its last event is the row's seq. A key of its own, since
    /// an owner knows the head of a room that it did not see created, but not its properties.
    case head
    /// Key `<chat>\n#<seq>`.
    case outcome(Outcome, role: Role)
    /// A tombstone of an outcome that left the window.
    case forgottenOutcome
  }

  public var chat: [UInt8]
  public var seq: Seq
  public var value: Value

  public init(chat: [UInt8], seq: Seq, value: Value) {
    self.chat = chat
    self.seq = seq
    self.value = value
  }
}

/// What stops a partition, loudly: the log lost what it had acknowledged, and only an operator can say what
/// is to be done.
public enum StopReason: Sendable, Equatable {
  /// A delivery report at or below the position that the edge knew when it handed the record over.
  case reportBelowPosition(seq: Seq, position: Seq)
  /// The log ends below what was applied, committed or is to be rebuilt.
  case logEndsBelow(end: Seq, known: Seq)
  /// The record at `applied` is not the one that the view remembers.
  case otherRecord(at: Seq)
}

/// What two records at the same place of a log are told apart by: FNV-1a over (from, device, id, time).
public enum RecordHash {
  /// Of a record that is not ours: it cannot be told apart from another such one.
  public static let foreign: UInt64 = 1

  public static func of(_ record: borrowing Append) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func take(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    for byte in record.from { take(byte) }
    take(0)
    for byte in record.device { take(byte) }
    take(0)
    for byte in record.id { take(byte) }
    take(0)
    var time = record.time
    for _ in 0..<8 {
      take(UInt8(truncatingIfNeeded: time))
      time >>= 8
    }
    // 0 stands for "no record".
    return hash == 0 ? 1 : hash
  }
}
