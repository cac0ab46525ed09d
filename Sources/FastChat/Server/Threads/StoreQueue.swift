import Chat
import JSON
import Synchronization

/// Records on their way from the shards to the store's thread: many put in, one takes out.
///
/// What waits here or is being committed never exceeds `limitBytes`: each shard reads `room` once a turn
/// and lets its sessions have their share of it, and what goes beyond is answered `busy` (DESIGN I8).
final class StoreQueue: @unchecked Sendable {
  /// Read marks that wait at most. They are best effort: what comes beyond is dropped, and the client's
  /// next one says the same.
  static let readMarksMax = 4_096

  private let monitor = Monitor()
  private let limitBytes: Int
  /// Bytes that were put in and not given back.
  private let occupiedBytes = Atomic<Int>(0)
  // Guarded by the monitor.
  private var records = ByteBuffer(capacity: 64 << 10)
  private var marks: [ReadMark] = []
  private var isClosed = false

  init(limitBytes: Int) { self.limitBytes = limitBytes }

  /// Bytes that are still taken, over all shards.
  var room: Int { max(0, limitBytes - occupiedBytes.load(ordering: .relaxed)) }
  /// Bytes that wait or are being committed.
  var occupied: Int { occupiedBytes.load(ordering: .relaxed) }

  /// Hands over a run of records as `AppendCodec` writes them, and the read marks of the same turn.
  func put(_ run: UnsafeRawBufferPointer, marks new: [ReadMark]) {
    occupiedBytes.wrappingAdd(run.count, ordering: .relaxed)
    monitor.locked {
      let wasEmpty = records.isEmpty && marks.isEmpty
      records.append(run)
      if !new.isEmpty { marks.append(contentsOf: new.prefix(StoreQueue.readMarksMax - marks.count)) }
      if wasEmpty { monitor.wake() }
    }
  }

  /// Nothing is put in any more: `take` returns what is there, and then says so.
  func close() {
    monitor.locked {
      isClosed = true
      monitor.wake()
    }
  }

  /// Exchanges what waits for the empty buffers of the caller. Waits for something until the tick
  /// `deadline`. False once the queue is closed and empty.
  func take(_ run: inout ByteBuffer, _ taken: inout [ReadMark], until deadline: Int64) -> Bool {
    precondition(run.isEmpty && taken.isEmpty)
    return monitor.locked {
      while records.isEmpty && marks.isEmpty && !isClosed {
        guard monitor.wait(until: deadline) else { break }
      }
      swap(&records, &run)
      swap(&marks, &taken)
      return !(isClosed && run.isEmpty && taken.isEmpty)
    }
  }

  /// Gives back the room of `count` bytes, after what became of them is known.
  func release(_ count: Int) {
    occupiedBytes.wrappingSubtract(count, ordering: .relaxed)
  }
}
