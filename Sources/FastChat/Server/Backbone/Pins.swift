import Chat
import Synchronization

/// What batches hold back of a server's memory because they are sent right from where they lie: those that wait
/// in mailboxes, are handed over, or are not through a slow socket. A batch that found no room here is copied
/// from instead, so that slow sockets cost speed at the bound, and nothing else.
final class Pins: Pinning {
  let bytesMax: Int
  private let pinned = Atomic<Int>(0)

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  /// Bytes that are held back now.
  var bytes: Int { pinned.load(ordering: .relaxed) }

  func pin(bytes: Int, holding object: (any AnyObject & Sendable)?) -> (any AnyObject & Sendable)? {
    guard pinned.wrappingAdd(bytes, ordering: .relaxed).newValue <= bytesMax else {
      give(bytes)
      return nil
    }
    return Pin(self, bytes, object)
  }

  fileprivate func give(_ bytes: Int) { pinned.wrappingSubtract(bytes, ordering: .relaxed) }
}

/// Counts as long as it lives.
private final class Pin: Sendable {
  private let pins: Pins
  private let bytes: Int
  private let object: (any AnyObject & Sendable)?

  init(_ pins: Pins, _ bytes: Int, _ object: (any AnyObject & Sendable)?) {
    self.pins = pins
    self.bytes = bytes
    self.object = object
  }

  deinit { pins.give(bytes) }
}

extension Batch {
  /// The same batch, over the same bytes, as one that may be lent; itself at the bound, or where no event in it
  /// is large enough to be lent.
  func pinned(in pins: Pins) -> Batch {
    guard hints.bytes.count >= FanOut.lentBytesMin,
      let pin = pins.pin(bytes: hints.bytes.count, holding: self)
    else { return self }
    return Batch(
      partition: partition, view: view, directories: directories, since: since, upto: upto,
      hints: hints.bytes, keptBy: pin)
  }
}
