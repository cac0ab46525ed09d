import EventLoop
import Glibc
import Redis

/// Looks names of hosts up without keeping a loop waiting: a name that is no address is asked on a thread
/// of its own. Addresses are not kept, so that whoever connects again follows the name.
final class RedisNames {
  /// Look-ups that may be under way.
  static let pendingMax = 64

  private struct Found: Sendable {
    let number: UInt64
    /// In numbers; nil where the name is not known.
    let address: String?
  }

  private struct Asked {
    let port: UInt16
    let thread: LoopThread
    let answer: (SocketAddress?) -> Void
  }

  private let found: Mailbox<Found>
  private var taken: [Found] = []
  private var pending: [UInt64: Asked] = [:]
  private var number: UInt64 = 0

  init() throws(LoopError) { found = try Mailbox(capacity: Self.pendingMax) }

  /// Tells where a host is: at once where it is numbers, else by a later `takeFound`. Nil: not known, or
  /// too many are asked for.
  /// - Parameter attempt: counts up while the host is not reached: a name of several addresses is tried at
  ///   each of them in turn.
  func lookUp(_ host: RedisHost, attempt: Int, _ answer: @escaping (SocketAddress?) -> Void) {
    if let address = try? SocketAddress(host.name, port: host.port) { return answer(address) }
    guard pending.count < Self.pendingMax else { return answer(nil) }
    number += 1
    let (number, name, found) = (number, host.name, found)
    do throws(LoopError) {
      // It ends by itself: `getaddrinfo` has its own bounds.
      let thread = try LoopThread(name: "names") {
        _ = found.post(Found(number: number, address: RedisNames.address(of: name, attempt: attempt)))
      }
      pending[number] = Asked(port: host.port, thread: thread, answer: answer)
    } catch {
      answer(nil)
    }
  }

  /// Tells what was found meanwhile.
  func takeFound() {
    guard !pending.isEmpty else { return }
    found.drain(into: &taken)
    for one in taken {
      guard let asked = pending.removeValue(forKey: one.number) else { continue }
      asked.thread.join()
      asked.answer(one.address.flatMap { try? SocketAddress($0, port: asked.port) })
    }
  }

  /// One of the addresses of a name, in numbers; waits.
  private static func address(of name: String, attempt: Int) -> String? {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(name, nil, &hints, &list) == 0 else { return nil }
    defer { freeaddrinfo(list) }
    let all = Array(sequence(first: list, next: { $0?.pointee.ai_next }).prefix { $0 != nil })
    guard !all.isEmpty, let one = all[attempt % all.count] else { return nil }
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let result = getnameinfo(
      one.pointee.ai_addr, one.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
    guard result == 0 else { return nil }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
