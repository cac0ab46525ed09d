import CLinuxIO
import Glibc
public import Synchronization

/// Words from other threads to one loop: many may post, one takes. Bounded; nothing waits.
///
/// The loop is woken by an eventfd, which is written only where the mailbox was empty: while words wait,
/// the one who takes them is on his way already.
///
/// Made anywhere, before its loop if need be; the loop's thread calls `EventLoop.watch` once, and `drain`
/// whenever the loop says `mail`. The way of a word is inlinable, so that it is compiled for the kind of word:
/// as generic code it was a tenth of what a router does for a message.
public final class Mailbox<Message: Sendable>: Sendable {
  @usableFromInline let waiting: Mutex<[Message]>
  let wake: Int32
  /// Messages that may wait.
  public let capacity: Int

  public init(capacity: Int) throws(LoopError) {
    precondition(capacity > 0, "a mailbox holds at least one message")
    self.capacity = capacity
    wake = try checked("eventfd") { eventfd(0, linuxio_eventfd_flags) }
    waiting = Mutex([])
  }

  deinit { closeDescriptor(wake) }

  /// Puts a message in, from any thread. False: the mailbox is full, and nothing happened.
  @inlinable
  public func post(_ message: Message) -> Bool {
    let before = waiting.withLock { queue -> Int? in
      let before = queue.count
      guard before < capacity else { return nil }
      queue.append(message)
      return before
    }
    guard let before else { return false }
    if before == 0 { ring() }
    return true
  }

  /// Puts a message in, full or not: for words whose number something else bounds, and which may not be lost.
  @inlinable
  public func postAlways(_ message: Message) {
    let wasEmpty = waiting.withLock { queue in
      queue.append(message)
      return queue.count == 1
    }
    if wasEmpty { ring() }
  }

  /// Swaps what waits into `messages`, oldest first. What that held before is dropped, its room is used for
  /// what is posted next: one and the same array given each time makes it free of allocation.
  @inlinable
  public func drain(into messages: inout [Message]) {
    messages.removeAll(keepingCapacity: true)
    waiting.withLock { swap(&$0, &messages) }
  }

  @usableFromInline
  func ring() {
    var one: UInt64 = 1
    // EAGAIN: the counter is at its end, so the loop has not looked yet and will.
    _ = syscall { write(wake, &one, 8) }
  }
}
