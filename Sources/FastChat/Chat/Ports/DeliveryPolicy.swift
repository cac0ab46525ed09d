/// What the log's port makes of the producer's word on a record (DESIGN section 3, "Answers").
public enum DeliveryPolicy {
  /// What the broker, or the producer on its behalf, said of a record.
  public enum Report: Equatable, Sendable {
    /// It was taken; nil where its offset is not known, as after a retry that the broker had already taken.
    case taken(offset: Int64?)
    /// It was never sent, or the broker refused it.
    case refused
    /// It was sent, and nothing certain came back.
    case unknown
  }

  public enum Decision: Equatable, Sendable {
    case acknowledge(Seq)
    /// Append it once more, marked as a repeat: the owner's word tells the seq.
    case appendAgain
    case fail(mayHavePersisted: Bool)
    /// The owner answers the request.
    case leaveToOwner
  }

  /// - Parameters:
  ///   - isFirstSend: a message that is not a repeat: only those are answered by a report.
  ///   - age: milliseconds since the record was handed over. A late report is not believed: by then the
  ///     edge has answered `unavailable`.
  public static func decide(
    _ report: Report, isFirstSend: Bool, age: Int64, generation: Int64
  ) -> Decision {
    switch report {
    case .refused: return .fail(mayHavePersisted: false)
    case .unknown: return .fail(mayHavePersisted: true)
    case .taken(let offset):
      guard isFirstSend else { return .leaveToOwner }
      guard age < Limits.appendMilliseconds else { return .fail(mayHavePersisted: true) }
      guard let offset, offset >= 0 else { return .appendAgain }
      return .acknowledge(SeqSpace.base(generation: generation) + offset)
    }
  }
}

extension AppendCodec {
  /// Marks an encoded record as a repeat.
  public static func markAsRepeat(_ record: inout [UInt8]) { record[9] = 1 }
}
