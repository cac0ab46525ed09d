import Chat
import EventLoop
import JSON
import Redis

/// One connection to one Redis server: a `RedisLink` and its socket in the loop. Opened once.
final class RedisSocket {
  /// From the look-up of the name until the server was greeted.
  static let openingMilliseconds: Tick = 4_000
  /// Bytes handed to the loop at once.
  static let pieceBytes = 128 << 10

  enum Phase: Equatable {
    case lookingUp, connecting, greeting, ready
    case over(RedisFailure)
  }

  let host: RedisHost
  private(set) var phase = Phase.lookingUp
  private(set) var link: RedisLink?
  private(set) var id: ConnectionID?

  private let greeting: RedisLink.Greeting
  private let address: RedisAddress
  private let name: String
  private let loop: EventLoop
  private let since: Tick

  init(
    _ host: RedisHost, _ greeting: RedisLink.Greeting, _ address: RedisAddress, attempt: Int, name: String,
    loop: EventLoop, names: RedisNames
  ) {
    self.host = host
    self.greeting = greeting
    self.address = address
    self.name = name
    self.loop = loop
    since = loop.tick
    names.lookUp(host, attempt: attempt) { [weak self] in self?.connect(to: $0) }
  }

  var isReady: Bool { phase == .ready }

  private func connect(to address: SocketAddress?) {
    guard phase == .lookingUp else { return }
    guard let address else { return fail(.unreachable("its name is not known")) }
    do throws(LoopError) {
      id = try loop.connect(to: address)
      phase = .connecting
    } catch {
      fail(.unreachable(error.description))
    }
  }

  func connected() {
    guard phase == .connecting else { return }
    phase = .greeting
    link = RedisLink(greeting, to: address, name: name, now: loop.tick)
    if link!.isReady { phase = .ready }
    flush()
  }

  func received(_ bytes: UnsafeMutableRawBufferPointer) { link?.received(UnsafeRawBufferPointer(bytes)) }

  /// The next answer of what was received.
  func nextAnswer() -> RedisLink.Answer? {
    guard let link else { return nil }
    switch phase {
    case .greeting, .ready: break
    case .lookingUp, .connecting, .over: return nil
    }
    do throws(RedisFailure) {
      let answer = try link.nextAnswer(now: loop.tick)
      if link.isReady, phase == .greeting { phase = .ready }
      return answer
    } catch {
      fail(error)
      return nil
    }
  }

  func ended(_ reason: EndReason) {
    fail(.unreachable(Self.words(reason)))
  }

  /// Hands as much of the output to the loop as it takes; the rest follows when that was written.
  func flush() {
    guard let id, let link else { return }
    let pieceMax = min(Self.pieceBytes, loop.configuration.outputBytes)
    var taken = 0
    while taken < link.output.count {
      let piece = min(pieceMax, link.output.count - taken)
      guard loop.send(id, copying: link.output[taken..<(taken + piece)]) else { break }
      taken += piece
    }
    if taken > 0 { link.outputTaken(taken) }
  }

  func tick() {
    switch phase {
    case .lookingUp, .connecting, .greeting:
      if loop.tick - since >= Self.openingMilliseconds { fail(.noAnswer) }
      fallthrough
    case .ready:
      do throws(RedisFailure) { try link?.tick(loop.tick) } catch { fail(error) }
    case .over: break
    }
  }

  /// Ends it; what waits is told by `takeLost`, and does not take effect any more: nothing of it is left to
  /// whoever retransmits (the registrar's contract).
  func fail(_ failure: RedisFailure) {
    if case .over = phase { return }
    phase = .over(failure)
    if let id { loop.abort(id) }
    id = nil
  }

  /// The tokens of all that is not answered any more, once it is over.
  func takeLost() -> [UInt64] { link?.end() ?? [] }

  private static func words(_ reason: EndReason) -> String {
    switch reason {
    case .peerClosed: "it closed the connection"
    case .reset: "the connection was reset"
    case .writeTimeout: "it takes nothing"
    case .failed(let errno): LoopError.system(call: "connect", errno: errno).description
    }
  }
}
