/// Plain structs in chunks that never move, each at a small number; freed ones are used again.
///
/// A pointer to an element stays valid until the element is freed, whatever is added meanwhile.
struct Slab<Element: BitwiseCopyable>: ~Copyable {
  private static var chunkSize: Int { 256 }

  private var chunks: [UnsafeMutablePointer<Element>] = []
  private var free: [Int32] = []
  private var used = 0
  /// Elements in use.
  var count: Int { used - free.count }
  /// One more than the highest number that was ever given.
  var capacity: Int { used }

  init() {}

  deinit { for chunk in chunks { chunk.deallocate() } }

  /// Puts an element somewhere.
  mutating func insert(_ element: Element) -> Int32 {
    if let number = free.popLast() {
      self[number].pointee = element
      return number
    }
    let number = Int32(used)
    reserve(number)
    self[number].pointee = element
    used += 1
    return number
  }

  mutating func remove(_ number: Int32) { free.append(number) }

  /// Makes the numbers up to `number` addressable; for a slab whose numbers somebody else gives.
  mutating func reserve(_ number: Int32) {
    while chunks.count * Self.chunkSize <= Int(number) {
      chunks.append(.allocate(capacity: Self.chunkSize))
    }
  }

  /// The same, with each new place holding `filler` first.
  mutating func reserve(_ number: Int32, filledWith filler: Element) {
    let before = chunks.count
    reserve(number)
    for chunk in chunks[before...] { chunk.initialize(repeating: filler, count: Self.chunkSize) }
  }

  var addressable: Int { chunks.count * Self.chunkSize }

  subscript(number: Int32) -> UnsafeMutablePointer<Element> {
    @inline(__always) get { chunks[Int(number) / Self.chunkSize] + Int(number) % Self.chunkSize }
  }
}
