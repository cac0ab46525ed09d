/// The name of one connection of one loop: which slot of its slab, and which use of that slot.
///
/// A slot is used again, a pair of slot and generation is not (until 2^32 uses of that slot), so whoever
/// holds an id of a connection that is gone is told so by one compare.
///
/// ```
/// raw   | generation (32) | 0 (8)         | slot (24) |
/// tag   | generation (32) | operation (8) | slot (24) |    what the kernel carries for us
/// ```
public struct ConnectionID: Hashable, Sendable, BitwiseCopyable {
  public let raw: UInt64

  /// Slots of a loop are below this.
  public static let slotLimit = 1 << 24

  /// Takes back what `raw` gave.
  @inlinable
  public init(raw: UInt64) { self.raw = raw }

  @inlinable
  public init(slot: UInt32, generation: UInt32) {
    raw = UInt64(generation) << 32 | UInt64(slot)
  }

  /// Place in the slab, below 2^24: an index for tables that the caller keeps beside it.
  @inlinable
  public var slot: UInt32 { UInt32(truncatingIfNeeded: raw) & 0xFF_FFFF }

  /// Which use of the slot this is, never 0.
  @inlinable
  public var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) }
}
