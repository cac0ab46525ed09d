/// The lease, and the inbox that stands before it (DESIGN section 5, "Leases").
extension Registrar {
  var holder: LeaseHolder {
    LeaseHolder(
      epoch: epoch, host: configuration.host, boot: configuration.boot, process: configuration.process)
  }

  // MARK: Inputs

  public func leaseAnswered(_ tag: UInt64, _ answer: LeaseAnswer) {
    guard phase != .over, lease.isAnswered(by: tag) else { return }
    switch answer {
    case .unknown: lease.failed(at: tick)
    case .held: leaseIsHeld()
    case .absent where phase == .takingLease: lease.failed(at: tick)
    case .absent: lapse()
    case .other(let other) where phase == .takingLease: isInTheWay(other)
    case .other:
      doubt()
      beginNewEpoch(after: nil)
    }
    advance()
  }

  /// The process that holds this server's lease is not there any more: told by the caller, who saw
  /// `.other` with its own host and boot and looked.
  public func predecessorIsGone(_ predecessor: LeaseHolder) {
    goneHolder = predecessor
    guard phase == .takingLease, otherHolder == predecessor else { return }
    replacing = predecessor
    if lease.tag == 0 { lease.nextAt = tick }
    advance()
  }

  /// `stands`: nil where the broker did not say.
  public func inboxAnswered(_ tag: UInt64, stands: Bool?) {
    guard phase != .over, inbox.isAnswered(by: tag) else { return }
    guard let stands, stands || phase != .makingInbox else {
      inbox.failed(at: tick)
      return advance()
    }
    inbox.succeeded(next: tick)
    switch phase {
    case .makingInbox:
      phase = .takingLease
    case .checkingInbox:
      if stands { phase = .takingLease } else { beginNewEpoch(after: nil) }
    case .takingLease, .registering, .standing:
      inboxIsDoubted = false
      if stands {
        inbox.succeeded(next: tick + Self.rereadMilliseconds)
        actions.append(.readInbox(epoch))
      } else {
        let own = holder
        doubt()
        beginNewEpoch(after: own)
      }
    case .new, .over:
      preconditionFailure("nothing was asked")
    }
    advance()
  }

  /// The inbox cannot be read on from where it was read: cut off, or gone.
  public func inboxLost() {
    guard phase != .new, phase != .over else { return }
    tellAll(.inboxDoubted)
    inboxIsDoubted = true
    advance()
  }

  // MARK: What follows

  func askForInbox() {
    guard inbox.mayAsk(at: tick) else { return }
    switch phase {
    case .makingInbox:
      inbox.ask(nextTag(), at: tick)
      actions.append(.makeInbox(tag: inbox.tag, epoch))
    case .checkingInbox:
      inbox.ask(nextTag(), at: tick)
      actions.append(.checkInbox(tag: inbox.tag, epoch))
    case .registering where inboxIsDoubted, .standing where inboxIsDoubted:
      inbox.ask(nextTag(), at: tick)
      actions.append(.checkInbox(tag: inbox.tag, epoch))
    case .new, .takingLease, .registering, .standing, .over:
      break
    }
  }

  func askForLease() {
    guard lease.mayAsk(at: tick) else { return }
    switch phase {
    case .takingLease:
      lease.ask(nextTag(), at: tick)
      actions.append(.takeLease(tag: lease.tag, holder, replacing: replacing))
    case .registering, .standing:
      lease.ask(nextTag(), at: tick)
      actions.append(.renewLease(tag: lease.tag, epoch))
    case .new, .makingInbox, .checkingInbox, .over:
      break
    }
  }

  private func leaseIsHeld() {
    leaseHeldUntil = lease.askedAt + Limits.leaseMilliseconds
    lease.succeeded(next: max(tick, lease.askedAt + Limits.leaseRenewalMilliseconds))
    if phase == .takingLease {
      otherHolder = nil
      replacing = nil
      if inboxIsNew {
        inboxIsNew = false
        inboxIsDoubted = false
        actions.append(.readInbox(epoch))
      }
      beginPass()
    } else if phase == .standing {
      // While entries are missing, a lease says nothing about what reaches the shards.
      tellAll(.leaseHolds(until: leaseHeldUntil))
    }
  }

  /// Owners passed this server by. Its entries may be gone, and its inbox may have been collected.
  private func lapse() {
    leaseHeldUntil = .min
    doubt()
    phase = .checkingInbox
    inbox.reset()
    lease.reset()
  }

  private func isInTheWay(_ other: LeaseHolder) {
    lease.succeeded(next: tick + Self.predecessorPauseMilliseconds)
    if otherHolder != other {
      otherHolder = other
      otherSince = tick
    }
    let isOwn = epochs.contains(other.epoch)
    let isOfEarlierBoot = other.host == configuration.host && other.boot != configuration.boot
    if isOwn || isOfEarlierBoot || other == goneHolder {
      replacing = other
      lease.nextAt = tick
    } else if lease.askedAt - otherSince > Self.predecessorMilliseconds {
      phase = .over
      actions.append(.refuseStart(other))
    }
  }

  /// `previous`: the own lease that may still stand.
  private func beginNewEpoch(after previous: LeaseHolder?) {
    takeNewEpoch()
    leaseHeldUntil = .min
    phase = .makingInbox
    inboxIsNew = true
    inboxIsDoubted = false
    replacing = previous
    otherHolder = nil
    inbox.reset()
    lease.reset()
    registerNotBefore = max(registerNotBefore, strayUntil)
  }

  func takeNewEpoch() {
    repeat {
      random &+= 0x9E37_79B9_7F4A_7C15
      var mixed = (random ^ random >> 30) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
      epoch = mixed ^ mixed >> 31
    } while epoch == 0
    epochs.append(epoch)
    if epochs.count > Self.epochsRemembered { epochs.removeFirst() }
  }
}
