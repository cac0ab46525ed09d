import Support

@testable import Client

/// Devices as machines, a model server, and connections between them that deliver in pieces of any size and
/// break anywhere, all under one seed.
final class MachineWorld {
  /// One device: its machine, what it keeps, what its consumer was handed.
  final class Device {
    let user: String
    let name: String
    var machine: ClientMachine
    var kept: KeptState
    var queue: ArraySlice<(ClientEvent?, [Mark])> = []
    var connection: Int?
    var isConnecting = false
    /// Bytes on their way to the server.
    var wire: [UInt8] = []
    var sent: [String] = []
    var handed: [String: [Int64]] = [:]
    var receipts: [String: Receipt] = [:]
    var refused: [Refusal] = []
    var failures: [String] = []
    var isLive = false

    init(user: String, name: String, kept: KeptState, machine: ClientMachine) {
      self.user = user
      self.name = name
      self.kept = kept
      self.machine = machine
    }
  }

  let server: ModelServer
  private(set) var devices: [Device] = []
  private var random: SeededGenerator
  private var ticks: Int64 = 1_000
  private var connections = 0
  private var ids = 0
  let chats: [String]

  init(users: [String], devicesOfEach: Int, chats: [String], seed: UInt64) throws {
    random = SeededGenerator(seed: seed)
    self.chats = chats
    server = ModelServer(chats: chats, seed: seed ^ 0xFFFF)
    for user in users {
      for number in 0..<devicesOfEach {
        let kept = KeptState(user: user, device: "d\(number)")
        devices.append(Device(user: user, name: "\(user)/d\(number)", kept: kept, machine: try machine(kept)))
      }
    }
    for device in devices { start(device) }
  }

  private func machine(_ kept: KeptState) throws -> ClientMachine {
    var configuration = ClientConfiguration(address: "ws://127.0.0.1:1/ws", user: kept.user)
    configuration.longestBackOffMilliseconds = 1_000
    return ClientMachine(
      configuration, endpoint: try Endpoint("ws://127.0.0.1:1/ws"), kept: kept,
      random: SeededGenerator(seed: random.next()))
  }

  var moment: ClientMachine.Moment { ClientMachine.Moment(ticks: ticks, wall: ticks) }

  private func start(_ device: Device) {
    device.machine.start(moment)
    perform(device)
  }

  // MARK: Steps

  func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &random) < probability }

  /// One random thing happens. `cuts`: how often a connection breaks; `crashes`: how often a device does.
  func step(cuts: Double, crashes: Double) throws {
    ticks += Int64.random(in: 0...5, using: &random)
    let device = devices.randomElement(using: &random)!
    if let number = device.connection, chance(cuts) {
      cut(device, number)
    } else if chance(crashes) {
      try crash(device)
    } else {
      exchange(device)
    }
  }

  func exchange(_ device: Device) {
    if device.isConnecting {
      device.isConnecting = false
      connections += 1
      device.connection = connections
      server.open(connections)
      device.machine.connected(moment)
    } else if let number = device.connection {
      switch Int.random(in: 0..<3, using: &random) {
      case 0:
        let count = Int.random(in: 1...200, using: &random)
        server.receive(Array(device.wire.prefix(count)), on: number)
        device.wire.removeFirst(min(count, device.wire.count))
      case 1: server.step(number)
      default:
        var bytes = server.output(of: number, atMost: Int.random(in: 1...200, using: &random))
        bytes.withUnsafeMutableBytes { device.machine.received($0, moment) }
      }
    }
    device.machine.tick(moment)
    perform(device)
    if chance(0.5) { consume(device) }
  }

  func send(_ device: Device, to: String, created: Int64? = nil) {
    ids += 1
    let id = "m\(ids)"
    device.sent.append(id)
    let request = Pending(
      id: id, chat: Names.chat(to: to, user: device.user),
      text: "{\"type\":\"send\",\"id\":\"\(id)\",\"to\":\"\(to)\",\"body\":\"\(id)\"", isMessage: true,
      firstSent: created ?? ticks)
    device.machine.submit(request, moment)
    perform(device)
  }

  func cut(_ device: Device, _ number: Int) {
    server.close(number)
    device.connection = nil
    device.wire = []
    device.isLive = false
    device.machine.disconnected("cut", moment)
    perform(device)
  }

  /// The process dies: what its consumer had not taken is gone, what is kept stays.
  private func crash(_ device: Device) throws {
    if let number = device.connection { server.close(number) }
    device.connection = nil
    device.isConnecting = false
    device.wire = []
    device.queue = []
    device.isLive = false
    // Through its bytes, as a restart does.
    device.kept = try KeptState(device.kept.encoded())
    device.machine = try machine(device.kept)
    start(device)
  }

  private func perform(_ device: Device) {
    while !device.machine.actions.isEmpty {
      let actions = device.machine.actions
      device.machine.actionsPerformed()
      for action in actions {
        switch action {
        case .connect: device.isConnecting = true
        case .write(let bytes): device.wire += bytes
        case .disconnect:
          if let number = device.connection { server.close(number) }
          device.connection = nil
          device.wire = []
        case .keep(let request): device.kept.pending.append(request)
        case .hand(let event, let marks): device.queue.append((event, marks))
        case .ended: device.failures.append("ended")
        case .askToken, .settled, .abandoned, .answered: break
        }
      }
    }
  }

  /// The consumer takes what is next, and confirms it.
  private func consume(_ device: Device) {
    while let (event, marks) = device.queue.popFirst() {
      for mark in marks { device.kept.apply(mark) }
      guard let event else { continue }
      switch event {
      case .message(let message):
        if let last = device.handed[message.chat]?.last, message.seq <= last {
          device.failures.append("handed \(message.seq) after \(last) in \(message.chat)")
        }
        device.handed[message.chat, default: []].append(message.seq)
        if message.from == device.user, device.sent.contains(message.id ?? "") {
          device.failures.append("its own \(message.id ?? "") came as a message")
        }
      case .sent(let receipt):
        if device.receipts.updateValue(receipt, forKey: receipt.id) != nil {
          device.failures.append("\(receipt.id) was sent twice")
        }
      case .refused(let refusal): device.refused.append(refusal)
      case .connection(.live): device.isLive = true
      default: break
      }
      return
    }
  }

  // MARK: The end

  /// Goes on without faults until everything has arrived everywhere.
  func settle() throws {
    server.faults = ModelServer.Faults()
    for turn in 0..<400_000 {
      ticks += 1
      exchange(devices[turn % devices.count])
      if turn % 64 == 0, isSettled { return }
    }
    let left = devices.map {
      "\($0.name): \($0.machine.phase) \($0.machine.pendingCount) pending \($0.queue.count) queued"
    }
    throw TestFailure("does not settle: \(left)")
  }

  private var isSettled: Bool {
    devices.allSatisfy { device in
      device.machine.phase == .live && device.machine.pendingCount == 0 && device.queue.isEmpty
        && device.wire.isEmpty && device.machine.questions.isEmpty
        && device.connection.map { server.isDone($0) } == true
        && device.machine.chats.values.allSatisfy { $0.gap == nil }
    }
  }

  /// What is not as it must be.
  func differences() -> [String] {
    var found = server.violations
    for device in devices {
      found += device.failures.map { "\(device.name): \($0)" }
      found += device.refused.map { "\(device.name): refused: \($0.error)" }
      for id in device.sent {
        let entries = server.log.filter { $0.id == id }
        if entries.count != 1 { found.append("\(device.name): \(id) is stored \(entries.count) times") }
        if let receipt = device.receipts[id], receipt.seq != entries.first?.seq {
          found.append("\(device.name): \(id) was told \(receipt.seq)")
        }
        if device.receipts[id] == nil { found.append("\(device.name): \(id) has no receipt") }
      }
      let skipped = server.resets["\(device.user)/d\(device.name.last!)"] ?? []
      for chat in chats where server.members(of: chat, device.user) {
        let own = Set(device.receipts.values.filter { $0.chat == chat }.map(\.seq))
        let known = Set(device.handed[chat] ?? []).union(own)
        for entry in server.log where entry.chat == chat && !known.contains(entry.seq) {
          if skipped.contains(where: { $0.chat == chat && entry.seq <= $0.head }) { continue }
          found.append("\(device.name): never handed \(entry.seq) of \(chat)")
        }
        if !own.isDisjoint(with: device.handed[chat] ?? []) {
          found.append("\(device.name): handed what it sent")
        }
        // Its own messages stand in the log in the order in which it sent them.
        let order = server.log.filter { $0.chat == chat && device.sent.contains($0.id) }.map {
          device.sent.firstIndex(of: $0.id)!
        }
        if order != order.sorted() { found.append("\(device.name): its order in \(chat) is \(order)") }
      }
    }
    return Array(found.prefix(5))
  }
}
