import Glibc

/// A thread of the server: started once, and waited for at the end.
struct Thread: Sendable {
  private let handle: pthread_t

  /// Runs `body` on a thread of its own. `name` is what `top -H` and a debugger show, of 15 bytes at most.
  static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(StartFailure) -> Thread {
    let work = Unmanaged.passRetained(Work(name: name, body: body))
    var handle = pthread_t()
    let error = pthread_create(&handle, nil, { Thread.run($0) }, work.toOpaque())
    guard error == 0 else {
      work.release()
      throw StartFailure("cannot start the thread \(name): \(message(ofError: error))")
    }
    return Thread(handle: handle)
  }

  /// Waits until the thread has ended.
  func join() { pthread_join(handle, nil) }

  private final class Work: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }

  private static func run(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let work = Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue()
    work.body()
    return nil
  }
}

/// What an `errno` means, in words.
func message(ofError number: Int32) -> String { String(cString: strerror(number)) }
