import CLinuxIO
import Glibc

/// What completions mean: the life of a connection, the same over both backends.
extension EventLoop {
  /// The event that a completion makes; nil if it is the loop's own business.
  @inline(__always)
  func handle(_ completion: Completion) -> LoopEvent? {
    switch completion {
    case .received(let slot, let bytes): return .received(core.connections.id(slot), bytes)
    case .sent(let slot): return sent(slot)
    case .discarded(let slot, let bytes):
      discarded(slot, bytes)
      return nil
    case .receiveEnded(let slot, let code): return ended(slot, code)
    case .sendFailed(let slot, let code): return ended(slot, code)
    case .released(let slot):
      bury(slot)
      return nil
    case .connected(let slot, let code): return connected(slot, code)
    case .accepted(let listener, let descriptor, let armed):
      return accepted(listener, descriptor, armed)
    case .acceptFailed(let listener, let code): return acceptFailed(listener, code)
    case .readable(let watch, let armed): return readable(watch, armed)
    }
  }

  @inline(__always)
  private func sent(_ slot: Int) -> LoopEvent? {
    let connection = core.connections[slot]
    if connection.pointee.queued == 0, connection.pointee.state == .flushing { core.markDirty(slot) }
    if connection.pointee.flags.contains(.aboveLowWater),
      connection.pointee.queued <= configuration.lowWaterBytes
    {
      connection.pointee.flags.remove(.aboveLowWater)
      if connection.pointee.state == .open { return .drained(core.connections.id(slot)) }
    }
    return nil
  }

  /// The peer has nothing more to say (`code` 0), or a call failed.
  private func ended(_ slot: Int, _ code: Int32) -> LoopEvent? {
    let connection = core.connections[slot]
    core.markDirty(slot)
    switch connection.pointee.state {
    case .open, .connecting:
      if code == 0, connection.pointee.queued > 0, connection.pointee.state == .open {
        // He may still read what he asked for before.
        connection.pointee.flags.insert(.peerEnded)
        flush(slot, connection, configuration.lingerMilliseconds)
      } else {
        connection.pointee.state = .closing
      }
      return .ended(core.connections.id(slot), code == 0 ? .peerClosed : reason(of: code))
    case .flushing where code == 0:
      connection.pointee.flags.insert(.peerEnded)
    case .flushing, .draining, .failed, .closing, .free:
      connection.pointee.state = .closing
    }
    return nil
  }

  func reason(of code: Int32) -> EndReason {
    switch code {
    // ECONNRESET: a reset came. EPIPE: we wrote after it, or after our side was shut.
    case ECONNRESET, EPIPE: .reset
    // ETIMEDOUT: our bytes were never confirmed, or keep-alive found nobody. EHOSTUNREACH, ENETUNREACH: the
    // way to the peer is gone. ECONNREFUSED: nobody listens there.
    default: .failed(errno: code)
    }
  }

  private func connected(_ slot: Int, _ code: Int32) -> LoopEvent? {
    guard code == 0 else { return ended(slot, code) }
    core.connections[slot].pointee.state = .open
    core.markDirty(slot)
    return .connected(core.connections.id(slot))
  }

  // MARK: Finishing

  /// Writes what waits, within the time; then our side is shut.
  func flush(_ slot: Int, _ connection: ConnectionPointer, _ milliseconds: Int64) {
    connection.pointee.state = .flushing
    connection.pointee.flags.remove(.readPaused)
    connection.pointee.lingerTick = core.clock.tick + milliseconds
    core.timers.set(slot: slot, at: connection.pointee.lingerTick)
    core.markDirty(slot)
  }

  /// All is written. Closing now would destroy it at the peer if he still sends: the reset that answers
  /// his bytes overtakes ours. So our side is shut, and his bytes are taken until he has closed too.
  func shutWriting(_ connection: ConnectionPointer) {
    if connection.pointee.flags.contains(.peerEnded) {
      connection.pointee.state = .closing
      return
    }
    // ENOTCONN: he is gone already.
    let result = syscall { Glibc.shutdown(connection.pointee.descriptor, Int32(SHUT_WR)) }
    connection.pointee.state = result < 0 ? .closing : .draining
  }

  private func discarded(_ slot: Int, _ bytes: Int) {
    let connection = core.connections[slot]
    if bytes < Int(connection.pointee.lingerBytes) {
      connection.pointee.lingerBytes -= UInt32(bytes)
    } else {
      connection.pointee.state = .closing
      core.markDirty(slot)
    }
  }

  /// The timer of a slot: a finished connection's time is up, or output is looked after. The latter is set
  /// once and looks when it fires, so that a frame does not touch the wheel.
  ///
  /// That the kernel took nothing does not mean that the peer did not: it asks for more only when a third of
  /// the socket's buffer is free, megabytes perhaps. So what counts is what the peer confirmed.
  func slotTimer(_ slot: Int) -> LoopEvent? {
    let connection = core.connections[slot]
    switch connection.pointee.state {
    case .flushing, .draining:
      connection.pointee.state = .closing
      core.markDirty(slot)
      return nil
    case .open:
      connection.pointee.flags.remove(.watched)
      guard connection.pointee.queued > 0 else { return nil }
      let confirmed = linuxio_bytes_confirmed(connection.pointee.descriptor)
      if confirmed != connection.pointee.confirmed {
        connection.pointee.confirmed = confirmed
        connection.pointee.progressTick = core.clock.tick
      }
      let waited = core.clock.tick - connection.pointee.progressTick
      guard waited >= configuration.writeTimeoutMilliseconds else {
        connection.pointee.flags.insert(.watched)
        core.timers.set(slot: slot, at: core.clock.tick + writeCheckMilliseconds)
        return nil
      }
      core.statistics.pointee.writeTimeouts &+= 1
      connection.pointee.state = .closing
      core.markDirty(slot)
      return .ended(core.connections.id(slot), .writeTimeout)
    case .connecting, .failed, .closing, .free: return nil
    }
  }

  /// The kernel holds nothing of it any more: closes the descriptor and frees the slot.
  func bury(_ slot: Int) {
    let connection = core.connections[slot]
    core.output.drop(connection)
    core.timers.clear(slot: slot)
    closeDescriptor(connection.pointee.descriptor)
    core.connections.free(slot)
    core.statistics.pointee.closed &+= 1
    // There is a descriptor again.
    if case .paused = accepting { accepting = .paused(retryTick: core.clock.tick) }
  }
}

/// Has close(2) answer the peer by a reset, and drop what the kernel had still to send.
func resetWhenClosed(_ descriptor: Int32) {
  var option = linger(l_onoff: 1, l_linger: 0)
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
}

/// shutdown(2) of both directions; that the peer was quicker is no error.
func shutDownBothWays(_ descriptor: Int32) {
  _ = syscall { Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }
}
