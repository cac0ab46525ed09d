/// What an edge machine wants done. Plain values: texts are ranges of the machine's `output`, valid until
/// the next input. The loop performs all actions of an input, in order, before it gives the next one.
public enum EdgeAction {
  /// Send one text message, the bytes `range` of `output`. An answer: never dropped, always in order.
  case send(SessionID, start: Int32, count: Int32)
  /// Send a copy of the event `edge.delivery(index)`. Where more than `Limits.outputBytes` wait for the
  /// session the loop drops it instead, tells `edge.lost(session, delivery:)` after all actions of this
  /// input, and drops the session's later copies of the same input too.
  case deliver(SessionID, index: Int32)
  /// Stop reading the session's requests: hand in no frame before `resume`. Bytes that came wait.
  case pause(SessionID)
  case resume(SessionID)
  /// Say goodbye with this close code, after everything sent so far. `retry` goes into the reason as
  /// `retry=<ms>`, where it is above zero. The machine has forgotten the session.
  case close(SessionID, code: UInt16, retry: Int32, reason: StaticString)
  /// Register the session with the directory; answered by `edge.registered`. User and device are asked of
  /// the machine by `edge.user(of:)` and `edge.device(of:)`.
  case attach(SessionID)
  /// Register this server as one with members of a room online; `range` of `output` is its id. Answered by
  /// `edge.roomRegistered`. Only in a cluster, like all below.
  case listen(start: Int32, count: Int32)
  /// The partition has another view: rooms' entries, which stand beside it, may be gone. `.listen` follows for
  /// each room that has members here.
  case viewChanged(partition: Int32, ViewID)
  /// No member of the room is here any more.
  case unlisten(start: Int32, count: Int32)
  /// A batch or the view named a primary that this shard is not registered with: register everything again,
  /// after `registrationDoubted` stands in every mailbox.
  case askRegistration
  /// Ask the broker where the log of a partition ends; answered by `edge.logEnded`.
  case askLogEnd(partition: Int32)
  /// The log of a partition lost what it had acknowledged.
  case stop(partition: Int32, StopReason)
  /// Take the session out of the directory. Its name is gone by then: the directory keys by session.
  case detach(SessionID)
}

/// An event that goes to listeners as it is: the bytes live in the batch or the answer just handed in.
public struct Delivery {
  public var json: UnsafeRawBufferPointer
  /// The same with its frame's head before it, in the batch `edge.carrier`; empty where it is not of a batch.
  public var frame: UnsafeRawBufferPointer
  public var seq: Seq
  /// How many copies of it the machine asked for. Above one, frame once and share.
  public var copies: Int32
  /// The chat it is of; valid as long as `json`.
  var chat: UnsafeRawBufferPointer
  /// The request that it came from.
  var origin: Origin
}
