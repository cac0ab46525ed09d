import JSON

/// Commands as a server reads them (RESP2: an array of bulk strings).
extension RedisCommand {
  /// Appends the command; of a script by the digest that `SCRIPT LOAD` answered.
  func encode(into output: inout ByteBuffer, digest: (RedisScript) -> [UInt8]) {
    output.reserve(bytes.count + 16 * count + 128)
    if let script {
      output.append(resp: "*", 3 + count)
      output.append(bulk: "EVALSHA")
      digest(script).withUnsafeBytes { output.append(bulk: $0) }
      var digits = keyCount.description
      digits.withUTF8 { output.append(bulk: UnsafeRawBufferPointer($0)) }
    } else {
      output.append(resp: "*", count)
    }
    withTexts { bytes, ends in
      var start = 0
      for end in ends {
        output.append(bulk: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        start = end
      }
    }
  }
}

extension ByteBuffer {
  fileprivate mutating func append(resp kind: StaticString, _ count: Int) {
    append(kind)
    append(decimal: Int64(count))
    append("\r\n")
  }

  fileprivate mutating func append(bulk bytes: UnsafeRawBufferPointer) {
    append(resp: "$", bytes.count)
    append(bytes)
    append("\r\n")
  }

  fileprivate mutating func append(bulk text: StaticString) {
    append(bulk: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}
