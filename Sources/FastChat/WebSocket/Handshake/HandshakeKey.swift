import COpenSSL

/// The key of an opening handshake and the answer that proves it was understood (RFC 6455 section 1.3).
enum HandshakeKey {
  /// Sixteen bytes in base64.
  static let size = 24
  /// The SHA-1 of key and `guid`, twenty bytes, in base64.
  static let acceptSize = 28

  private static let guid: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

  /// Whether the text is sixteen bytes in base64.
  static func isValid(_ key: UnsafeRawBufferPointer) -> Bool {
    key.count == size && key[..<(size - 2)].allSatisfy(isBase64)
      && key[(size - 2)...].allSatisfy { $0 == UInt8(ascii: "=") }
  }

  /// Base64 of sixteen bytes, with the zero that ends C's strings.
  static func encode(_ nonce: (UInt64, UInt64)) -> [25 of UInt8] {
    var key = [25 of UInt8](repeating: 0)
    withUnsafeBytes(of: nonce) { bytes in
      withUnsafeMutableBytes(of: &key) { base64(bytes, into: $0) }
    }
    return key
  }

  /// What a server answers to `key`, with the zero that ends C's strings.
  static func accept(_ key: UnsafeRawBufferPointer) -> [29 of UInt8] {
    var input = [60 of UInt8](repeating: 0)
    precondition(key.count == size && size + guid.utf8CodeUnitCount == 60)
    var digest = [20 of UInt8](repeating: 0)
    var answer = [29 of UInt8](repeating: 0)
    withUnsafeMutableBytes(of: &input) { input in
      input.copyMemory(from: key)
      let rest = UnsafeMutableRawBufferPointer(rebasing: input[size...])
      rest.copyMemory(from: UnsafeRawBufferPointer(start: guid.utf8Start, count: guid.utf8CodeUnitCount))
      withUnsafeMutableBytes(of: &digest) { digest in
        _ = SHA1(
          input.assumingMemoryBound(to: UInt8.self).baseAddress, input.count,
          digest.assumingMemoryBound(to: UInt8.self).baseAddress)
      }
    }
    withUnsafeBytes(of: digest) { digest in
      withUnsafeMutableBytes(of: &answer) { base64(digest, into: $0) }
    }
    return answer
  }

  private static func base64(_ bytes: UnsafeRawBufferPointer, into text: UnsafeMutableRawBufferPointer) {
    precondition(text.count == (bytes.count + 2) / 3 * 4 + 1)
    EVP_EncodeBlock(
      text.assumingMemoryBound(to: UInt8.self).baseAddress,
      bytes.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(bytes.count))
  }

  private static func isBase64(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
      true
    default: false
    }
  }
}
