/// Bytes of one connection that came before they could be read: half a request, or what waits while its
/// session is stopped. Holds memory only while it holds bytes.
struct KeptBytes: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  private var start = 0
  private var end = 0
  private var capacity = 0

  init() {}

  deinit { base?.deallocate() }

  var isEmpty: Bool { start == end }
  var count: Int { end - start }

  /// What is kept, oldest first. Belongs to the caller, who may write into it, until the next change.
  var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base.map { $0 + start }, count: count)
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    if capacity - end < bytes.count { makeRoom(bytes.count) }
    (base! + end).copyMemory(from: source, byteCount: bytes.count)
    end += bytes.count
  }

  /// Forgets the oldest `n` bytes.
  mutating func removeFirst(_ n: Int) {
    precondition(n <= count)
    start += n
    if start == end { removeAll() }
  }

  /// Forgets all, and gives the memory back.
  mutating func removeAll() {
    base?.deallocate()
    base = nil
    start = 0
    end = 0
    capacity = 0
  }

  private mutating func makeRoom(_ extra: Int) {
    let held = count
    let wanted = max(held * 2, held + extra, 512)
    let new = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
    if let base { new.copyMemory(from: base + start, byteCount: held) }
    base?.deallocate()
    base = new
    start = 0
    end = held
    capacity = wanted
  }
}
