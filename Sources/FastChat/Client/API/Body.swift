import JSON

/// The body of a message: any JSON, passed through by the servers byte for byte.
public struct Body: Sendable, Equatable, CustomStringConvertible {
  /// The JSON, as it is sent or as it came.
  public let json: String

  /// A body that the web page and the terminal client show as text: `{"text":"..."}`.
  public init(text: String) { json = "{\"text\":\(Body.quoted(text))}" }

  /// Any JSON.
  ///
  /// - Throws: `configuration` where the text is not JSON, or nested deeper than 32.
  public init(json: String) throws(ClientError) {
    var copy = json
    let isValid = copy.withUTF8 { bytes in
      do throws(JSONError) {
        var reader = JSONReader(UnsafeRawBufferPointer(bytes))
        _ = try reader.value()
        try reader.end()
        return true
      } catch {
        return false
      }
    }
    guard isValid else { throw ClientError(.configuration, "the body is not JSON") }
    self.json = json
  }

  /// As it stood in a frame that was read already.
  init(unchecked json: String) { self.json = json }

  /// What to show to people: a string, or the `text` or `message` of an object (the web page writes the
  /// first, the seed's clients the second), else nil.
  public var text: String? {
    var copy = json
    return copy.withUTF8 { bytes in
      do throws(JSONError) {
        var reader = JSONReader(UnsafeRawBufferPointer(bytes), maxDepth: JSONReader.deepest)
        if try reader.kind() == .string { return try reader.string().decoded }
        guard try reader.kind() == .object else { return nil }
        try reader.beginObject()
        var message: String?
        while let key = try reader.nextKey() {
          guard try reader.kind() == .string else {
            _ = try reader.value()
            continue
          }
          let value = try reader.string().decoded
          if key.equals("text") { return value }
          if key.equals("message") { message = value }
        }
        return message
      } catch {
        return nil
      }
    }
  }

  public var description: String { json }

  /// The text as JSON, quotes included.
  public static func quoted(_ text: String) -> String { Client.quoted(text) }
}

/// The text as JSON, quotes included.
func quoted(_ text: String) -> String {
  var buffer = ByteBuffer(capacity: text.utf8.count + 2)
  var copy = text
  buffer.append(UInt8(ascii: "\""))
  copy.withUTF8 { buffer.append(jsonEscaping: UnsafeRawBufferPointer($0)) }
  buffer.append(UInt8(ascii: "\""))
  return String(decoding: buffer.bytes, as: UTF8.self)
}

extension JSONText {
  /// The text, escapes decoded; half of a surrogate pair, for which there is no UTF-8, leaves it as it came.
  var decoded: String {
    var buffer = ByteBuffer(capacity: max(raw.count, 1))
    guard append(to: &buffer) else { return String(decoding: raw, as: UTF8.self) }
    return String(decoding: buffer.bytes, as: UTF8.self)
  }
}
