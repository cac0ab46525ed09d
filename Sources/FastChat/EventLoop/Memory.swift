import Glibc

/// Zeroed memory for a table: address space is reserved, a page is used when it is first touched. So a
/// table may be as large as its bound without costing what is not in use.
func mapTable<Element>(of type: Element.Type, count: Int) throws(LoopError) -> UnsafeMutablePointer<Element> {
  let bytes = max(count, 1) * MemoryLayout<Element>.stride
  let memory = mmap(
    nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE), -1, 0)
  guard let memory, memory != MAP_FAILED else { throw .system(call: "mmap", errno: errno) }
  return memory.bindMemory(to: type, capacity: max(count, 1))
}

func unmapTable<Element>(_ table: UnsafeMutablePointer<Element>, count: Int) {
  munmap(table, max(count, 1) * MemoryLayout<Element>.stride)
}

/// The end of a list of indices into a table.
let none = UInt32.max
