/// Writes text into room that somebody else owns. What does not fit is not written, and told at the end.
struct HTTPWriter {
  private let room: UnsafeMutableRawBufferPointer
  private var count = 0
  private var fits = true

  init(_ room: UnsafeMutableRawBufferPointer) { self.room = room }

  /// Bytes written; nil where the room was too small.
  var written: Int? { fits ? count : nil }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    fits = fits && room.count - count >= bytes.count
    guard fits else { return }
    UnsafeMutableRawBufferPointer(rebasing: room[count...]).copyMemory(from: bytes)
    count += bytes.count
  }

  mutating func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Appends a number that is not negative.
  mutating func append(decimal value: Int) {
    if value >= 10 { append(decimal: value / 10) }
    withUnsafeBytes(of: UInt8(ascii: "0") + UInt8(value % 10)) { append($0) }
  }
}
