import CLinuxIO
import Glibc

/// A thread of the program, for the shards: named, and if wanted bound to a processor.
public struct LoopThread: Sendable {
  private let handle: pthread_t

  private final class Start {
    let name: String
    let processor: Int?
    let body: @Sendable () -> Void
    init(_ name: String, _ processor: Int?, _ body: @escaping @Sendable () -> Void) {
      self.name = name
      self.processor = processor
      self.body = body
    }
  }

  /// Starts `body` on a thread of its own. The name is cut to 15 bytes. A processor that this process may
  /// not use is passed over: placing is a wish.
  public init(
    name: String, processor: Int? = nil, _ body: @escaping @Sendable () -> Void
  ) throws(LoopError) {
    var handle = pthread_t()
    let start = Unmanaged.passRetained(Start(name, processor, body))
    let result = pthread_create(
      &handle, nil,
      { argument in
        let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
        _ = linuxio_name_thread(start.name)
        if let processor = start.processor { _ = linuxio_bind_thread(UInt32(processor)) }
        start.body()
        return nil
      }, start.toOpaque())
    guard result == 0 else {
      start.release()
      throw .system(call: "pthread_create", errno: result)
    }
    self.handle = handle
  }

  /// Waits until it has returned. Once.
  public func join() { pthread_join(handle, nil) }

  /// Processors that this process may run on.
  public static var processors: Int { Int(linuxio_processors()) }
}
