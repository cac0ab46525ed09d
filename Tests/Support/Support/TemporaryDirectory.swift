import Foundation
import Glibc

/// A directory of its own, removed with all that it holds when the object goes.
public final class TemporaryDirectory: Sendable {
  public let path: String

  /// - Parameter base: where to make it; the system's temporary directory if nil.
  public init(in base: String? = nil) throws {
    let base = base ?? NSTemporaryDirectory()
    var template = Array((base + "/fastchat-test-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else {
      throw TestFailure("mkdtemp in \(base): \(String(cString: strerror(errno)))")
    }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  deinit {
    // A test may have taken the right to write away.
    chmod(path, 0o700)
    try? FileManager.default.removeItem(atPath: path)
  }
}
