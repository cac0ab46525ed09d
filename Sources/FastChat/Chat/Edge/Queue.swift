/// First in, first out, in a ring that grows to what ever waited at once.
struct Queue<Element: BitwiseCopyable>: ~Copyable {
  private var storage: UnsafeMutableBufferPointer<Element>
  private var head = 0
  private(set) var count = 0

  init() { storage = .allocate(capacity: 16) }

  deinit { storage.deallocate() }

  var first: Element? { count > 0 ? storage[head] : nil }

  mutating func append(_ element: Element) {
    if count == storage.count { grow() }
    storage[(head + count) & (storage.count - 1)] = element
    count += 1
  }

  mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = storage[head]
    head = (head + 1) & (storage.count - 1)
    count -= 1
    return element
  }

  private mutating func grow() {
    let new = UnsafeMutableBufferPointer<Element>.allocate(capacity: storage.count * 2)
    for i in 0..<count { new[i] = storage[(head + i) & (storage.count - 1)] }
    storage.deallocate()
    storage = new
    head = 0
  }
}
