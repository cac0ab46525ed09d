import JSON
import Testing

@testable import Chat

@Suite struct RequestTests {
  private func parse(_ text: String, _ body: (Request?) -> Void) {
    Array(text.utf8).withUnsafeBytes { body(try? Request($0)) }
  }

  @Test func everyFieldIsFoundByItsName() {
    let names = [
      "type", "id", "to", "body", "retry", "chat", "seq", "before", "after", "limit", "on", "name", "public",
      "user",
      "device", "log", "cursors", "token",
    ]
    #expect(names.count == Request.Field.allCases.count)
    for (name, field) in zip(names, Request.Field.allCases) {
      parse("{\"\(name)\":7}") { #expect($0?.integer(field) == 7, "\(name)") }
      let escaped = name.utf8.map { "\\u00" + String($0, radix: 16) }.joined()
      parse("{\"\(escaped)\":7}") { #expect($0?.integer(field) == 7, "\(name), escaped") }
    }
  }

  @Test func theBodyIsPassedThroughByteForByte() {
    for body in ["null", "\"\"", "\"x\\u00e9\"", "{ \"a\" : [1.0e+2, -0 ] }", "[]", "true", "1e999"] {
      parse("{\"body\": \(body) , \"id\":\"1\"}") { request in
        #expect(request?.json(.body).map { String(decoding: $0, as: UTF8.self) } == body)
      }
    }
  }

  @Test func unknownFieldsAreNoMatter() {
    parse("{\"x\":[{\"id\":1}],\"typed\":2,\"id\":\"a\"}") { request in
      var scratch = ByteBuffer()
      #expect(request?.text(.id, &scratch).map { sameBytes($0, "a") } == true)
    }
  }

  @Test func aFieldThatStandsTwiceIsSeen() {
    parse("{\"id\":\"a\",\"id\":\"b\"}") { #expect($0?.hasDuplicates == true) }
    parse("{\"id\":\"a\",\"to\":\"b\"}") { #expect($0?.hasDuplicates == false) }
  }

  @Test(arguments: ["", "[]", "1", "\"x\"", "{", "{\"id\":}", "{} x", "{\"a\":01}", "nul"])
  func whatIsNoObjectIsABadFrame(_ text: String) { parse(text) { #expect($0 == nil) } }

  @Test func depthIsBounded() {
    let deep = { (n: Int) in String(repeating: "[", count: n) + String(repeating: "]", count: n) }
    parse("{\"body\":\(deep(31))}") { #expect($0 != nil) }
    parse("{\"body\":\(deep(32))}") { #expect($0 == nil) }
  }
}
