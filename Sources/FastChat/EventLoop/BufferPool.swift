/// The head of a pooled buffer; its bytes follow.
struct Block {
  /// Holders: 1 for a private chunk, one a use for a shared buffer.
  var references: UInt32
  var sizeClass: UInt32
  /// Bytes that are content.
  var count: UInt32
  var capacity: UInt32
  var next: UnsafeMutablePointer<Block>?
  var unused: UInt64 = 0
}

extension UnsafeMutablePointer where Pointee == Block {
  @inline(__always)
  var payload: UnsafeMutableRawPointer { UnsafeMutableRawPointer(self + 1) }
}
