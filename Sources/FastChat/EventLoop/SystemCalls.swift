import Glibc

/// Makes a system call again while a signal interrupts it (EINTR). Gives the result, or `-errno`, the way
/// the kernel itself and io_uring do: one form for both backends.
@inline(__always)
func syscall<Result: FixedWidthInteger & SignedInteger>(_ call: () -> Result) -> Int {
  while true {
    let result = call()
    if result != -1 { return Int(result) }
    let code = errno
    if code != EINTR { return -Int(code) }
  }
}

/// The same for set-up, where a failure is told.
func checked<Result: FixedWidthInteger & SignedInteger>(
  _ name: String, _ call: () -> Result
) throws(LoopError) -> Int32 {
  let result = syscall(call)
  guard result >= 0 else { throw .system(call: name, errno: Int32(-result)) }
  return Int32(truncatingIfNeeded: result)
}

/// The system's words for an errno, for people.
func describe(errno code: Int32) -> String {
  strerror(code).map { String(cString: $0) } ?? "error \(code)"
}

/// Closes a descriptor. On Linux it is gone whatever `close` returns, EINTR included: never closed twice.
@inline(__always)
func closeDescriptor(_ descriptor: Int32) {
  _ = Glibc.close(descriptor)
}
