import CRdkafka
import Synchronization

/// What is on its way to inboxes, and the read positions that the brokers took. Whatever arrives is counted on a thread
/// of librdkafka's, so that nobody is woken for it.
final class InboxesUnderWay: Sendable {
  private let bytes = Mutex<[Int]>([])
  private let reads = Atomic<Int>(0)

  var hook: DeliveryHook {
    DeliveryHook { [self] message in
      if let place = Self.place(message.pointee._private) {
        ended(message.pointee.len, at: place)
      } else {
        reads.wrappingAdd(1, ordering: .relaxed)
      }
    }
  }

  /// Read positions that the brokers took.
  var readsWritten: Int { reads.load(ordering: .relaxed) }

  /// Bytes on their way to the inbox that has the place.
  func bytes(at place: Int) -> Int { bytes.withLock { place < $0.count ? $0[place] : 0 } }

  func began(_ count: Int, at place: Int) {
    bytes.withLock { bytes in
      while bytes.count <= place { bytes.append(0) }
      bytes[place] += count
    }
  }

  func ended(_ count: Int, at place: Int) { bytes.withLock { $0[place] -= count } }

  /// A place as librdkafka carries it: never a null pointer, which is a read position.
  static func opaque(_ place: Int) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: place + 1)
  }
  static func place(_ opaque: UnsafeMutableRawPointer?) -> Int? { opaque.map { Int(bitPattern: $0) - 1 } }
}
