import Client
import Glibc
import Synchronization

/// What happens beside the keyboard, for the main thread, which it wakes where it polls.
final class Inbox: Sendable {
  enum Item: Sendable {
    /// An event; the consumer goes on once it is shown.
    case event(ClientEvent, CheckedContinuation<Void, Never>)
    /// Text for the user.
    case show([String])
    /// An answer for a script.
    case output(String)
    /// A question or a change that the user asked for is done.
    case done
    /// The client has ended, all its events are shown, and what is to be kept is kept.
    case ended
    case signal(Int32)
  }

  private let items = Mutex<[Item]>([])
  let descriptor: Int32
  private let writeEnd: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { preconditionFailure("no pipe: the process has no descriptors") }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    descriptor = ends[0]
    writeEnd = ends[1]
  }

  func post(_ item: Item) {
    let isFirst = items.withLock { items in
      items.append(item)
      return items.count == 1
    }
    var byte: UInt8 = 0
    if isFirst { _ = write(writeEnd, &byte, 1) }
  }

  func take() -> [Item] {
    var bytes = [UInt8](repeating: 0, count: 64)
    while read(descriptor, &bytes, bytes.count) == bytes.count {}
    return items.withLock { items in
      defer { items = [] }
      return items
    }
  }

  /// Takes the events of a client, one after the other.
  func follow(_ client: ChatClient) {
    let events = client.events
    Task { [self] in
      for await event in events {
        await withCheckedContinuation { post(.event(event, $0)) }
      }
      // The program may go once what it was shown is kept as shown.
      await client.stop()
      post(.ended)
    }
  }

  /// Turns the signals that end a program into items. To be called before any other thread is started.
  func takeSignals() {
    signal(SIGPIPE, SIG_IGN)
    var set = Self.signals()
    pthread_sigmask(SIG_BLOCK, &set, nil)
    let start = Unmanaged.passRetained(self)
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { argument in
        let inbox = Unmanaged<Inbox>.fromOpaque(argument!).takeRetainedValue()
        var set = Inbox.signals()
        while true {
          var number: Int32 = 0
          if sigwait(&set, &number) == 0 { inbox.post(.signal(number)) }
        }
      }, start.toOpaque())
  }

  private static func signals() -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGWINCH] { sigaddset(&set, number) }
    return set
  }
}
