/// The hot part of a connection: one cache line in a flat table, touched by every frame.
///
/// ```
///                     connect                accept, adopt
///                        |                        |
///                   connecting ----------------> open --------- close(), error ------.
///                        |                        |                                   |
///                        |     finish(), or the peer ended while output waits         |
///                        |                        v                                   v
///                        |                    flushing --- all written, peer ended -> closing -> free
///                        |                        | all written: our side is shut     ^
///                        |                        v                                   |
///                        `------- failed      draining --- peer ended, time, bytes ---'
/// ```
/// `failed` waits for its `ended` to be told, then closes. `closing` waits until the kernel holds nothing
/// of the connection any more; only then its descriptor is closed and the slot is free.
struct Connection {
  enum State: UInt8 {
    case free = 0
    case connecting, open, failed, flushing, draining, closing
  }

  struct Flags: OptionSet {
    let rawValue: UInt16
    /// In the list of those that the end of the turn settles.
    static let dirty = Flags(rawValue: 1 << 0)
    /// The caller does not want to read.
    static let readPaused = Flags(rawValue: 1 << 1)
    /// Output stood above the low-water mark at the end of a turn: `drained` is owed.
    static let aboveLowWater = Flags(rawValue: 1 << 2)
    /// The peer has closed its sending side.
    static let peerEnded = Flags(rawValue: 1 << 3)
    /// The slot's timer watches the output.
    static let watched = Flags(rawValue: 1 << 4)
    /// A multishot receive is with the kernel; its cancellation too (io_uring).
    static let receiveArmed = Flags(rawValue: 1 << 5)
    static let receiveCancelling = Flags(rawValue: 1 << 6)
    /// A send, or the wait for a connect, is with the kernel (io_uring).
    static let sendArmed = Flags(rawValue: 1 << 7)
    /// Everything that is with the kernel is being cancelled (io_uring).
    static let cancelling = Flags(rawValue: 1 << 8)
    /// The socket takes no more for now: waiting for EPOLLOUT (epoll).
    static let sendBlocked = Flags(rawValue: 1 << 9)
    /// The epoll instance knows the descriptor, with these interests (epoll).
    static let registered = Flags(rawValue: 1 << 10)
    static let registeredIn = Flags(rawValue: 1 << 11)
    static let registeredOut = Flags(rawValue: 1 << 12)

    static let withKernel: Flags = [.receiveArmed, .sendArmed]
  }

  var generation: UInt32
  var descriptor: Int32
  var flags: Flags
  var state: State
  private var unused0: UInt8 = 0
  /// Why it failed, while `failed`.
  var failure: Int32
  /// Bytes of output that wait.
  var queued: UInt32
  /// Its pieces, first and last index into the table of segments.
  var firstSegment: UInt32
  var lastSegment: UInt32
  /// Bytes that a finished peer may still send.
  var lingerBytes: UInt32
  /// Tick when output last moved, or began to wait.
  var progressTick: Int64
  /// Tick until which a finished connection may take.
  var lingerTick: Int64
  /// The next free slot, while free.
  var nextFree: UInt32
  private var unused1: UInt32 = 0
  /// Bytes that the peer had confirmed when output was last looked after.
  var confirmed: UInt64

  /// Whether bytes of the peer are wanted from the kernel now.
  @inline(__always)
  var wantsInput: Bool {
    switch state {
    case .open: !flags.contains(.readPaused)
    case .flushing, .draining: !flags.contains(.peerEnded)
    case .free, .connecting, .failed, .closing: false
    }
  }

  /// Whether queued bytes may be written now.
  @inline(__always)
  var mayWrite: Bool { queued > 0 && (state == .open || state == .flushing) }
}

typealias ConnectionPointer = UnsafeMutablePointer<Connection>
