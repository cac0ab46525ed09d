import CRdkafka
import Glibc

/// A queue of librdkafka with a descriptor that becomes readable when it is no longer empty.
///
/// The descriptor is an eventfd for an edge-triggered loop: each write is an edge, and nobody reads it. An
/// edge comes only where the queue was empty, so that whoever is woken empties it.
final class EventQueue {
  let handle: OpaquePointer
  let descriptor: Int32
  /// The queue goes before the handle that it belongs to.
  private let client: KafkaClient

  /// - Parameter queue: which this object destroys.
  init(_ client: KafkaClient, owning queue: OpaquePointer) throws(KafkaError) {
    self.client = client
    handle = queue
    do throws(KafkaError) {
      descriptor = try EventDescriptor.make()
    } catch {
      rd_kafka_queue_destroy(queue)
      throw error
    }
    EventDescriptor.connect(queue, to: descriptor)
    // What was said before would keep the queue from ever becoming non-empty.
    while let event = poll() {
      client.take(event)
      rd_kafka_event_destroy(event)
    }
  }

  deinit {
    rd_kafka_queue_io_event_enable(handle, -1, nil, 0)
    rd_kafka_queue_destroy(handle)
    close(descriptor)
  }

  /// The next event, which the caller destroys; nil where none came in time.
  func poll(milliseconds: Int32 = 0) -> OpaquePointer? { rd_kafka_queue_poll(handle, milliseconds) }
}

/// An eventfd that queues write to.
enum EventDescriptor {
  static func make() throws(KafkaError) -> Int32 {
    let descriptor = fc_kafka_eventfd()
    guard descriptor >= 0 else {
      throw KafkaError(
        .unavailable, "eventfd: \(String(cString: strerror(errno))); raise the limit of open files")
    }
    return descriptor
  }

  static func connect(_ queue: OpaquePointer, to descriptor: Int32) {
    var one: UInt64 = 1
    rd_kafka_queue_io_event_enable(queue, descriptor, &one, MemoryLayout<UInt64>.size)
  }
}
