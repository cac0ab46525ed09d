import Glibc
import Support

/// All devices of a run, each on its thread.
final class Crowd {
  private let board: Board
  private let roster: Roster
  private let doors: Doors
  private var devices: [Device] = []
  private var ended: [Semaphore] = []

  init(_ roster: Roster, doors: Doors, board: Board, seed: UInt64) {
    self.roster = roster
    self.doors = doors
    self.board = board
    var generator = SeededGenerator(seed: seed)
    for member in roster.members {
      for device in member.devices.indices {
        start(
          Device(
            index: devices.count, member: member, name: member.devices[device],
            isVisiting: device == 0 && !member.visited.isEmpty, doors: doors, board: board,
            seed: generator.next()))
      }
    }
  }

  private func start(_ device: Device) {
    let end = Semaphore()
    devices.append(device)
    ended.append(end)
    startThread {
      device.run()
      end.signal()
    }
  }

  /// Everybody settles what is pending; what is missing at the deadline.
  func settle(_ deadline: Deadline, _ isInterrupted: () -> Bool) -> [String] {
    board.enter(.settle)
    let isDone = wait(deadline, isInterrupted) { board.settledCount == devices.count }
    return isDone ? [] : ["\(devices.count - board.settledCount) devices did not settle their requests"]
  }

  /// Everybody comes back once more, and for each user a device that was never there.
  func finish(_ deadline: Deadline, _ isInterrupted: () -> Bool) -> [String] {
    board.enter(.finish)
    for member in roster.members {
      start(
        Device(
          index: devices.count, member: member, name: "\(member.user)-new", isVisiting: false, doors: doors,
          board: board, seed: UInt64(devices.count)))
    }
    let isDone = wait(deadline, isInterrupted) { board.finishedCount == devices.count }
    return isDone ? [] : ["\(devices.count - board.finishedCount) devices were not handed all that is owed"]
  }

  private func wait(_ deadline: Deadline, _ isInterrupted: () -> Bool, _ isDone: () -> Bool) -> Bool {
    while !deadline.hasPassed, !isInterrupted() {
      if isDone() { return true }
      usleep(20_000)
    }
    return isDone()
  }

  /// Ends all threads; nothing happens where they have ended.
  func abandon() {
    board.enter(.abandon)
    for end in ended { end.wait() }
    ended = []
  }

  /// What all of them wrote down.
  func accounts() -> [Account] {
    abandon()
    for device in devices { device.close() }
    return devices.map(\.account)
  }
}
