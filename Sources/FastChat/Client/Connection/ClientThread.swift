import Glibc

/// The thread that owns a client's machine, its socket and its storage: it polls, tells the machine what
/// happened, and does what the machine wants.
final class ClientThread {
  private static let receiveBytes = 65_536

  private let machine: ClientMachine
  private let configuration: ClientConfiguration
  private let endpoint: Endpoint
  private let mailbox: Mailbox
  private let events: EventQueue
  private let status: StatusBoard

  private var kept: KeptState
  private var mustSave = false
  private var saveAt: Int64?
  private var hasStorageFailed = false

  private var socket: Socket?
  private var addresses: ArraySlice<SocketAddress> = []
  private var isConnecting = false
  private var output: ArraySlice<UInt8> = []
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: receiveBytes, alignment: 16)
  private var isEnded = false

  private var senders: [String: @Sendable (Result<Receipt, ClientError>) -> Void] = [:]
  private var askers: [String: @Sendable (Result<ServerFrame, ClientError>) -> Void] = [:]

  init(
    _ configuration: ClientConfiguration, _ endpoint: Endpoint, _ kept: KeptState, _ mailbox: Mailbox,
    _ events: EventQueue, _ status: StatusBoard
  ) {
    self.configuration = configuration
    self.endpoint = endpoint
    self.kept = kept
    self.mailbox = mailbox
    self.events = events
    self.status = status
    machine = ClientMachine(
      configuration, endpoint: endpoint, kept: kept, random: SystemRandomNumberGenerator())
  }

  deinit { room.deallocate() }

  // MARK: The turn

  func run() {
    // A new device's name is kept before the server learns it.
    mustSave = true
    machine.start(now())
    perform()
    while !isEnded {
      poll()
      for word in mailbox.take() { take(word) }
      machine.tick(now())
      perform()
    }
    finish()
  }

  private func poll() {
    let isFull = events.isFull()
    var entries = [pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)]
    if let descriptor = socket?.descriptor {
      let wanted = (isConnecting || !output.isEmpty ? POLLOUT : 0) | (isFull || isConnecting ? 0 : POLLIN)
      entries.append(pollfd(fd: descriptor, events: Int16(wanted), revents: 0))
    }
    let due = [machine.wakeAt, saveAt].compactMap { $0 }.min()
    let wait = due.map { Int32(max(0, min($0 - now().ticks, 60_000))) } ?? -1
    guard Glibc.poll(&entries, nfds_t(entries.count), wait) > 0, entries.count > 1 else { return }
    let happened = Int32(entries[1].revents)
    guard happened != 0 else { return }
    if isConnecting { return connectionIsDecided() }
    // An end is noticed by reading, where there is room to read.
    if happened & POLLIN != 0 || (happened & (POLLHUP | POLLERR) != 0 && !isFull) { receive() }
    // Otherwise poll would tell it again at once, for as long as the consumer takes.
    if isFull, happened & (POLLHUP | POLLERR) != 0 { _ = Glibc.poll(&entries, 1, 100) }
  }

  private func take(_ word: Mailbox.Word) {
    switch word {
    case .submit(let request, let sender):
      guard kept.pending.count < configuration.pendingMax else {
        return refuse(request, sender)
      }
      senders[request.id] = sender
      machine.submit(request, now())
    case .ask(let id, let text, let asker):
      askers[id] = asker
      machine.ask(id, text, now())
    case .forget(let id):
      senders[id] = nil
      askers[id] = nil
    case .read(let chat, let seq): machine.noteRead(chat, seq, now())
    case .typing(let chat, let isOn): machine.noteTyping(chat, isOn, now())
    case .token(let result): machine.gotToken(result, now())
    case .confirmed(let marks):
      for mark in marks { kept.apply(mark) }
      if saveAt == nil { saveAt = now().ticks + configuration.saveMilliseconds }
    case .taken: break
    case .stop: machine.stop(now())
    }
  }

  /// Too much waits already: whoever sent it is told, by an event where he does not wait.
  private func refuse(_ request: Pending, _ sender: (@Sendable (Result<Receipt, ClientError>) -> Void)?) {
    status.count(-1)
    let error = ClientError(.full, "\(kept.pending.count) messages wait to be sent already")
    guard let sender else {
      let json =
        "{\"type\":\"error\",\"id\":\(quoted(request.id)),\"code\":\"busy\",\"message\":\(quoted(error.message))}"
      let refusal = Refusal(
        id: request.id, chat: request.chat, request: request.text + "}", error: error, json: json)
      return events.append(.refused(refusal), [])
    }
    sender(.failure(error))
  }

  private func now() -> ClientMachine.Moment {
    ClientMachine.Moment(ticks: Self.read(CLOCK_MONOTONIC), wall: Self.read(CLOCK_REALTIME))
  }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }

  // MARK: What the machine wants

  /// Performs all actions. What is to be kept is kept before anything that stands behind it is written: one
  /// save for all of them, since writing waits for the end.
  private func perform() {
    // Before it is told by an event, so that who got the event finds it so.
    status.setLive(machine.phase == .live)
    while !machine.actions.isEmpty {
      let actions = machine.actions
      machine.actionsPerformed()
      for action in actions {
        switch action {
        case .keep(let request):
          kept.pending.append(request)
          mustSave = true
        case .write(let bytes): output += bytes
        case .connect: connect()
        case .disconnect:
          save()
          disconnect()
        case .askToken(let refusal): askToken(refusal)
        case .hand(let event, let marks): events.append(event, marks)
        case .settled(let id, let result):
          status.count(-1)
          senders.removeValue(forKey: id)?(result)
        case .abandoned(let id, let error): senders.removeValue(forKey: id)?(.failure(error))
        case .answered(let id, let result): askers.removeValue(forKey: id)?(result)
        case .ended: isEnded = true
        }
      }
      save()
      flush()
      status.setLive(machine.phase == .live)
    }
    save()
  }

  private func askToken(_ refusal: ClientConfiguration.TokenRefusal?) {
    guard let provider = configuration.token else { return }
    let mailbox = mailbox
    Task.detached {
      do {
        mailbox.post(.token(.success(try await provider(refusal))))
      } catch let error as ClientError {
        mailbox.post(.token(.failure(error)))
      } catch {
        mailbox.post(.token(.failure(ClientError(.unauthorized, "no token could be had: \(error)"))))
      }
    }
  }

  private func save() {
    guard mustSave || saveAt.map({ $0 <= now().ticks }) == true else { return }
    mustSave = false
    saveAt = nil
    do throws(ClientError) {
      try configuration.storage.save(kept.encoded())
      if hasStorageFailed { events.append(.storage(nil), []) }
      hasStorageFailed = false
    } catch {
      if !hasStorageFailed { events.append(.storage(error), []) }
      hasStorageFailed = true
      // Nothing is lost while the process lives; it is tried again, also where nothing new comes.
      saveAt = now().ticks + max(1_000, configuration.saveMilliseconds)
    }
  }

  private func finish() {
    saveAt = nil
    disconnect()
    var left: [Mailbox.Word] = []
    events.finish()
    let end = now().ticks + configuration.stopMilliseconds
    while !events.isDrained, now().ticks < end {
      var entry = pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0)
      Glibc.poll(&entry, 1, 5)
      for word in mailbox.take() {
        if case .confirmed(let marks) = word {
          for mark in marks { kept.apply(mark) }
        } else {
          left.append(word)
        }
      }
    }
    // What was not taken by now is not handed any more: the next client hands it.
    events.dropUntaken()
    for word in left + mailbox.closeAndTake() {
      switch word {
      case .confirmed(let marks): for mark in marks { kept.apply(mark) }
      case .submit(let request, let sender):
        // Nobody could be told otherwise: it waits for the next client.
        kept.pending.append(request)
        sender?(.failure(.stopped))
      case .ask(_, _, let asker): asker(.failure(.stopped))
      default: break
      }
    }
    mustSave = true
    save()
    for (_, sender) in senders { sender(.failure(.stopped)) }
    for (_, asker) in askers { asker(.failure(.stopped)) }
    status.end()
  }

  // MARK: The socket

  private func connect() {
    do throws(ClientError) {
      addresses = try SocketAddress.resolve(endpoint)[...]
    } catch {
      return machine.disconnected(error.description, now())
    }
    tryNextAddress("no address")
  }

  private func tryNextAddress(_ before: String) {
    var reason = before
    socket = nil
    isConnecting = false
    while let address = addresses.popFirst() {
      do throws(ClientError) {
        socket = try Socket(to: address)
        isConnecting = true
        return
      } catch {
        reason = error.message
      }
    }
    machine.disconnected(reason, now())
  }

  private func connectionIsDecided() {
    guard let failure = socket?.failure else {
      isConnecting = false
      return machine.connected(now())
    }
    tryNextAddress(failure)
  }

  private func receive() {
    guard let outcome = socket?.receive(into: room) else { return }
    switch outcome {
    case .bytes(let count):
      machine.received(UnsafeMutableRawBufferPointer(rebasing: room[..<count]), now())
    case .wouldBlock: break
    case .ended(let reason):
      disconnect()
      machine.disconnected(reason, now())
    }
  }

  private func flush() {
    while !output.isEmpty, !isConnecting, let outcome = socket?.send(output) {
      switch outcome {
      case .bytes(let count): output = output.dropFirst(count)
      case .wouldBlock: return
      case .ended:
        // What came before the end is read first: a close frame may say why.
        output = []
      }
    }
    if output.isEmpty { output = [] }
  }

  /// Lets go; what a close frame needs fits into the kernel's buffer or is not worth waiting for.
  private func disconnect() {
    flush()
    socket = nil
    isConnecting = false
    output = []
    addresses = []
  }
}

/// Runs `body` on a thread of its own, which nobody waits for.
func startThread(_ body: @escaping @Sendable () -> Void) throws(ClientError) {
  final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var handle = pthread_t()
  let start = Unmanaged.passRetained(Start(body))
  let result = pthread_create(
    &handle, nil,
    { argument in
      Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, start.toOpaque())
  guard result == 0 else {
    start.release()
    throw ClientError(.network, "no thread: \(Socket.reason(result))", advice: "raise ulimit -u")
  }
  pthread_detach(handle)
}
