import CInih
import Glibc

/// The lines of a configuration file: `name = value`, comments behind `#` or `;`, read with libinih.
struct ConfigurationFile {
  struct Line {
    let number: Int
    let name: String
    let text: String
  }

  /// Bytes of a file, and of one line (what libinih's buffer holds).
  static let bytesMax = 64 << 10
  static let lineBytesMax = 198

  let lines: [Line]

  /// - Parameter option: the one that named the file, for errors.
  init(path: String, option: String = "config") throws(ConfigurationError) {
    try self.init(bytes: Self.read(path, option: option, bytesMax: Self.bytesMax), path: path)
  }

  /// Reads the lines of a file that is in memory; `path` is for errors.
  init(bytes: [UInt8], path: String) throws(ConfigurationError) {
    let parser = Parser(bytes)
    let user = Unmanaged.passUnretained(parser).toOpaque()
    // The number that comes back is that of the first line without `=`, or of the first refused one.
    let refused = withExtendedLifetime(parser) {
      ini_parse_stream(Parser.read, user, Parser.take, user)
    }
    if let fault = parser.fault { throw ConfigurationError("\(path):\(fault.line): \(fault.reason)") }
    if refused != 0 {
      throw ConfigurationError("\(path):\(refused): expected name = value")
    }
    lines = parser.lines
  }

  /// All bytes of a file that `--option` named.
  static func read(
    _ path: String, option: String, bytesMax: Int
  ) throws(ConfigurationError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw ConfigurationError("--\(option) \(Printable.short(path)): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw ConfigurationError("--\(option) \(Printable.short(path)): \(String(cString: strerror(errno)))")
      }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= bytesMax else {
        throw ConfigurationError("--\(option) \(Printable.short(path)): longer than \(bytesMax) bytes")
      }
    }
  }
}

/// What libinih's two callbacks share: one hands it lines and counts them, one takes names and values.
private final class Parser {
  private let bytes: [UInt8]
  private var place = 0
  private var line = 0
  private(set) var lines: [ConfigurationFile.Line] = []
  /// The first thing wrong that libinih cannot tell.
  private(set) var fault: (line: Int, reason: String)?

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// As fgets: a line with its end, or nil at the end of the bytes or after a fault.
  static let read:
    @convention(c) (
      UnsafeMutablePointer<CChar>?, Int32, UnsafeMutableRawPointer?
    ) -> UnsafeMutablePointer<CChar>? = { buffer, size, user in
      let parser = Unmanaged<Parser>.fromOpaque(user!).takeUnretainedValue()
      return parser.nextLine(buffer!, Int(size)) ? buffer : nil
    }

  private func nextLine(_ buffer: UnsafeMutablePointer<CChar>, _ size: Int) -> Bool {
    guard place < bytes.count, fault == nil else { return false }
    line += 1
    let end = bytes[place...].firstIndex(of: 0x0A) ?? bytes.count
    let text = bytes[place..<end]
    guard text.count <= min(size - 2, ConfigurationFile.lineBytesMax) else {
      fault = (line, "the line is longer than \(ConfigurationFile.lineBytesMax) bytes")
      return false
    }
    guard !text.contains(0) else {
      fault = (line, "the line has a zero byte; is this a text file?")
      return false
    }
    for (i, byte) in text.enumerated() { buffer[i] = CChar(bitPattern: byte) }
    buffer[text.count] = 0x0A
    buffer[text.count + 1] = 0
    place = end + 1
    return true
  }

  /// A name and a value of the line read last; 0 refuses it.
  static let take:
    @convention(c) (
      UnsafeMutableRawPointer?, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?
    ) -> Int32 = { user, section, name, value in
      let parser = Unmanaged<Parser>.fromOpaque(user!).takeUnretainedValue()
      return parser.take(String(cString: section!), String(cString: name!), String(cString: value!)) ? 1 : 0
    }

  private func take(_ section: String, _ name: String, _ value: String) -> Bool {
    guard fault == nil else { return false }
    guard section.isEmpty else {
      fault = (line, "sections are not used; write \(Printable.short(name)) = ... above any [section]")
      return false
    }
    lines.append(ConfigurationFile.Line(number: line, name: name, text: value))
    return true
  }
}
