#if canImport(Glibc)
  private import Glibc
#endif

/// A growable run of bytes that its owner fills, hands out as a view, and clears to use again.
///
/// What `[UInt8]` would cost on the message path, a check of uniqueness for each append and a zeroed
/// allocation for each message, is what this type leaves out. It is not copyable, so there is always
/// one owner; a view handed out is valid until the next append or `removeAll`.
public struct ByteBuffer: ~Copyable {
  @usableFromInline var base: UnsafeMutableRawPointer
  public private(set) var capacity: Int
  /// Bytes that have been appended.
  public private(set) var count: Int

  /// Makes an empty buffer with room for `capacity` bytes.
  public init(capacity: Int = 256) {
    precondition(capacity > 0)
    base = .allocate(byteCount: capacity, alignment: 16)
    self.capacity = capacity
    count = 0
  }

  deinit { base.deallocate() }

  public var isEmpty: Bool { count == 0 }

  /// All bytes so far. Valid until the buffer is appended to, cleared or destroyed.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// The bytes of `range`, valid as long as `bytes`.
  public subscript(range: Range<Int>) -> UnsafeRawBufferPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
  }

  /// Forgets the bytes and keeps the memory, unless more than `keep` bytes of it would stay.
  public mutating func removeAll(keepingAtMost keep: Int = .max) {
    count = 0
    guard capacity > keep else { return }
    base.deallocate()
    capacity = max(keep, 16)
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  /// Cuts the buffer back to its first `newCount` bytes.
  public mutating func truncate(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count)
    count = newCount
  }

  /// Drops the first `n` bytes and moves the rest to the front.
  public mutating func removeFirst(_ n: Int) {
    precondition(n >= 0 && n <= count)
    base.copyMemory(from: base + n, byteCount: count - n)
    count -= n
  }

  /// Makes room for `extra` more bytes; amortised doubling.
  public mutating func reserve(_ extra: Int) {
    if capacity - count < extra { grow(extra) }
  }

  private mutating func grow(_ extra: Int) {
    let wanted = max(capacity * 2, count + extra)
    let new = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
    new.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = new
    capacity = wanted
  }

  /// Adds `n` bytes whose content the caller writes through the result before anything else happens.
  public mutating func appendUninitialized(_ n: Int) -> UnsafeMutableRawBufferPointer {
    reserve(n)
    let start = base + count
    count += n
    return UnsafeMutableRawBufferPointer(start: start, count: n)
  }

  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    reserve(bytes.count)
    (base + count).copyMemory(from: start, byteCount: bytes.count)
    count += bytes.count
  }

  public mutating func append(_ text: StaticString) {
    reserve(text.utf8CodeUnitCount)
    (base + count).copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    count += text.utf8CodeUnitCount
  }

  public mutating func append(_ byte: UInt8) {
    reserve(1)
    base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  /// Appends the UTF-8 of a string. For cold paths.
  public mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Appends an integer in the machine's byte order, unaligned.
  public mutating func append<T: FixedWidthInteger & BitwiseCopyable>(raw value: T) {
    let size = MemoryLayout<T>.size
    reserve(size)
    base.storeBytes(of: value, toByteOffset: count, as: T.self)
    count += size
  }

  /// Appends an integer in decimal digits.
  public mutating func append(decimal value: Int64) {
    reserve(20)
    var magnitude = value.magnitude
    if value < 0 { append(UInt8(ascii: "-")) }
    let start = count
    repeat {
      let (quotient, digit) = magnitude.quotientAndRemainder(dividingBy: 10)
      base.storeBytes(
        of: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit), toByteOffset: count, as: UInt8.self)
      count += 1
      magnitude = quotient
    } while magnitude > 0
    var low = start
    var high = count - 1
    let digits = base.assumingMemoryBound(to: UInt8.self)
    while low < high {
      let digit = digits[low]
      digits[low] = digits[high]
      digits[high] = digit
      low += 1
      high -= 1
    }
  }

  /// Appends UTF-8 text as the inside of a JSON string (no quotes): quotes, backslashes and control
  /// characters escaped (RFC 8259 section 7), everything else as it is.
  public mutating func append(jsonEscaping text: UnsafeRawBufferPointer) {
    reserve(text.count)
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        append(UInt8(ascii: "\\"))
        append(byte)
      case 0x0A: append("\\n")
      case 0x0D: append("\\r")
      case 0x09: append("\\t")
      case 0x00..<0x20:
        append("\\u00")
        append(hexDigit(byte >> 4))
        append(hexDigit(byte & 15))
      default: append(byte)
      }
    }
  }

  /// Appends a value in sixteen lower-case hexadecimal digits.
  public mutating func append(hex value: UInt64) {
    var shift: UInt64 = 64
    while shift > 0 {
      shift -= 4
      append(hexDigit(UInt8(truncatingIfNeeded: (value >> shift) & 15)))
    }
  }
}

private func hexDigit(_ value: UInt8) -> UInt8 {
  value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}

/// Whether two runs hold the same bytes.
public func sameBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  guard a.count == b.count else { return false }
  guard a.count > 0 else { return true }
  return memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0
}

/// Whether a run holds exactly the bytes of `text`. For texts known where this is compiled it becomes a
/// few comparisons of words: the last one overlaps the one before it.
@inlinable @inline(__always)
public func sameBytes(_ a: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
  let count = text.utf8CodeUnitCount
  guard a.count == count else { return false }
  guard count > 0 else { return true }
  let left = a.baseAddress.unsafelyUnwrapped
  let right = UnsafeRawPointer(text.utf8Start)
  func differ<Word: FixedWidthInteger & BitwiseCopyable>(at offset: Int, _: Word.Type) -> Bool {
    left.loadUnaligned(fromByteOffset: offset, as: Word.self)
      != right.loadUnaligned(fromByteOffset: offset, as: Word.self)
  }
  switch count {
  case 1: return !differ(at: 0, UInt8.self)
  case 2...3: return !differ(at: 0, UInt16.self) && !differ(at: count - 2, UInt16.self)
  case 4...7: return !differ(at: 0, UInt32.self) && !differ(at: count - 4, UInt32.self)
  default:
    var offset = 0
    while offset < count - 8 {
      if differ(at: offset, UInt64.self) { return false }
      offset += 8
    }
    return !differ(at: count - 8, UInt64.self)
  }
}

/// Byte order of two runs, as memcmp, the shorter first where one begins the other.
public func comesBefore(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  let common = min(a.count, b.count)
  if common > 0 {
    let order = memcmp(a.baseAddress!, b.baseAddress!, common)
    if order != 0 { return order < 0 }
  }
  return a.count < b.count
}
