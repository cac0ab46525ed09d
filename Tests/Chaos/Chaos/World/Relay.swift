import Glibc
import Support
import Synchronization

/// Sits between clients and servers on the loopback and passes bytes on, or does to them what a bad network
/// would: one thread for all links.
final class Relay: Sendable {
  /// What a link does to its connections.
  enum Rule: Sendable, Equatable {
    case pass
    /// Ends all connections by a reset, and each new one.
    case refuse
    /// Passes nothing on, and lets nobody know.
    case hold
    /// Passes bytes on after as many milliseconds.
    case delay(Int)
  }

  /// Bytes of one direction that wait; more are not read.
  private static let waitingMax = 1 << 20
  private static let chunkBytes = 64 << 10

  private final class Link {
    let listener: Int32
    let target: UInt16
    var rule = Rule.pass

    init(listener: Int32, target: UInt16) {
      self.listener = listener
      self.target = target
    }
  }

  /// One direction of a connection.
  private struct Pipe {
    var waiting: [(due: Int, bytes: ArraySlice<UInt8>)] = []
    var count = 0
    var hasEnded = false
    var hasToldEnd = false
  }

  private final class Pair {
    let link: Int
    let near: Int32
    let far: Int32
    /// From near to far, and back.
    var pipes = [Pipe(), Pipe()]

    init(link: Int, near: Int32, far: Int32) {
      self.link = link
      self.near = near
      self.far = far
    }
  }

  private struct Orders {
    var rules: [(link: Int, rule: Rule)] = []
    var links: [(listener: Int32, target: UInt16)] = []
    var isOver = false
  }

  private let orders = Mutex(Orders())
  /// Reading end and writing end of what wakes the thread.
  private let wake: Int32
  private let wakeEnd: Int32
  private let done = Semaphore()

  init() throws {
    (wake, wakeEnd) = try Loopback.pipe()
    startThread { [self] in
      RelayLoop(self).run()
      done.signal()
    }
  }

  // MARK: From any thread

  /// Passes what comes to a free port on to `target`.
  /// - Parameter port: to listen on; any free one if 0.
  func add(to target: UInt16, port: UInt16 = 0) throws -> (link: Int, port: UInt16) {
    let (listener, port) = try Loopback.listen(port: port)
    let link = orders.withLock {
      $0.links.append((listener, target))
      return $0.links.count - 1
    }
    signal()
    return (link, port)
  }

  func set(_ rule: Rule, on link: Int) {
    orders.withLock { $0.rules.append((link, rule)) }
    signal()
  }

  /// Ends all connections and the thread.
  func stop() {
    orders.withLock { $0.isOver = true }
    signal()
    done.wait()
  }

  private func signal() {
    var byte: UInt8 = 0
    _ = write(wakeEnd, &byte, 1)
  }

  // MARK: The thread

  private struct RelayLoop: ~Copyable {
    private let relay: Relay
    private var links: [Link] = []
    private var pairs: [Pair] = []
    private var chunk = [UInt8](repeating: 0, count: Relay.chunkBytes)

    init(_ relay: Relay) { self.relay = relay }

    consuming func run() {
      while turn() {}
      for pair in pairs { Loopback.end(pair.near, pair.far) }
      for link in links { close(link.listener) }
    }

    private mutating func turn() -> Bool {
      var entries = [pollfd(fd: relay.wake, events: Int16(POLLIN), revents: 0)]
      for link in links { entries.append(pollfd(fd: link.listener, events: Int16(POLLIN), revents: 0)) }
      let now = RunClock.milliseconds
      var wait = 1_000
      for pair in pairs {
        let holds = links[pair.link].rule == .hold
        for (side, descriptor) in [pair.near, pair.far].enumerated() {
          let (reads, writes) = (pair.pipes[side], pair.pipes[1 - side])
          var events: Int32 = 0
          if !holds, !reads.hasEnded, reads.count < Relay.waitingMax { events |= POLLIN }
          if !holds, let first = writes.waiting.first {
            if first.due <= now { events |= POLLOUT } else { wait = min(wait, first.due - now) }
          }
          entries.append(
            pollfd(fd: events == 0 ? -1 : descriptor, events: Int16(events), revents: 0))
        }
      }
      poll(&entries, nfds_t(entries.count), Int32(wait))
      if entries[0].revents != 0 {
        // Orders may end connections: what was found out about them is looked at anew.
        return obey()
      }
      let known = (links: links.count, pairs: pairs.count)
      for index in 0..<known.links where entries[1 + index].revents != 0 { accept(index) }
      let after = RunClock.milliseconds
      for index in 0..<known.pairs {
        let pair = pairs[index]
        guard links[pair.link].rule != .hold else { continue }
        for side in 0..<2 where entries[1 + known.links + 2 * index + side].revents != 0 {
          if !read(pair, side, after) {
            pair.pipes[0].hasToldEnd = true
            pair.pipes[1].hasToldEnd = true
          }
        }
        for side in 0..<2 { flush(pair, side, after) }
      }
      pairs.removeAll { pair in
        let isOver = pair.pipes[0].hasToldEnd && pair.pipes[1].hasToldEnd
        if isOver { Loopback.end(pair.near, pair.far) }
        return isOver
      }
      return true
    }

    private mutating func obey() -> Bool {
      _ = Glibc.read(relay.wake, &chunk, chunk.count)
      let (rules, added, isOver) = relay.orders.withLock { orders in
        let taken = (orders.rules, orders.links.dropFirst(links.count), orders.isOver)
        orders.rules = []
        return taken
      }
      for (listener, target) in added { links.append(Link(listener: listener, target: target)) }
      for (link, rule) in rules {
        links[link].rule = rule
        guard rule == .refuse else { continue }
        for pair in pairs where pair.link == link {
          Loopback.reset(pair.near)
          Loopback.reset(pair.far)
        }
        pairs.removeAll { $0.link == link }
      }
      return !isOver
    }

    private mutating func accept(_ index: Int) {
      guard let near = Loopback.accept(links[index].listener) else { return }
      guard links[index].rule != .refuse, let far = Loopback.connect(to: links[index].target) else {
        return Loopback.reset(near)
      }
      Loopback.hurry(near)
      Loopback.hurry(far)
      pairs.append(Pair(link: index, near: near, far: far))
    }

    /// Takes in what there is; false where the connection is gone.
    private mutating func read(_ pair: Pair, _ side: Int, _ now: Int) -> Bool {
      guard !pair.pipes[side].hasEnded, pair.pipes[side].count < Relay.waitingMax else { return true }
      let count = recv(side == 0 ? pair.near : pair.far, &chunk, chunk.count, 0)
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      if count == 0 {
        pair.pipes[side].hasEnded = true
        return true
      }
      var due = now
      if case .delay(let milliseconds) = links[pair.link].rule { due += milliseconds }
      // Bytes keep their order, whatever the delay was before.
      due = max(due, pair.pipes[side].waiting.last?.due ?? 0)
      pair.pipes[side].waiting.append((due, chunk[..<count]))
      pair.pipes[side].count += count
      return true
    }

    /// Passes on what is due.
    private mutating func flush(_ pair: Pair, _ side: Int, _ now: Int) {
      let descriptor = side == 0 ? pair.far : pair.near
      while let first = pair.pipes[side].waiting.first, first.due <= now {
        let sent = first.bytes.withUnsafeBytes {
          send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if sent < 0 {
          guard errno != EAGAIN, errno != EINTR, errno != ENOTCONN else { return }
          pair.pipes[0].hasToldEnd = true
          pair.pipes[1].hasToldEnd = true
          return
        }
        pair.pipes[side].count -= sent
        if sent == first.bytes.count {
          pair.pipes[side].waiting.removeFirst()
        } else {
          pair.pipes[side].waiting[0].bytes = first.bytes.dropFirst(sent)
        }
      }
      if pair.pipes[side].hasEnded, pair.pipes[side].waiting.isEmpty, !pair.pipes[side].hasToldEnd {
        shutdown(descriptor, Int32(SHUT_WR))
        pair.pipes[side].hasToldEnd = true
      }
    }
  }
}
