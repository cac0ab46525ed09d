public import Chat

/// What became of a record that was handed to the log.
public struct DeliveryReport: Sendable, Equatable {
  public var origin: Origin
  public var partition: Int32
  /// When the server accepted it.
  public var time: WallTime
  /// A message that is no repeat: only such are answered by their report.
  public var isFirstSend: Bool
  /// When the record was handed over, as the loops' ticks.
  public var handedOver: Tick
  /// As it was given with the record.
  public var stamp: UInt64
  /// Never `appendAgain`: the producer does that itself.
  public var decision: DeliveryPolicy.Decision
}
