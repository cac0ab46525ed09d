import Testing

@testable import Server

@Suite struct KeptBytesTests {
  private func append(_ text: String, to kept: inout KeptBytes) {
    Array(text.utf8).withUnsafeBytes { kept.append($0) }
  }

  private func text(_ kept: borrowing KeptBytes) -> String {
    String(decoding: kept.bytes, as: UTF8.self)
  }

  @Test func bytesComeOutInTheOrderInWhichTheyWentIn() {
    var kept = KeptBytes()
    append("abc", to: &kept)
    append("def", to: &kept)
    let all = text(kept)
    kept.removeFirst(2)
    append("gh", to: &kept)
    let rest = text(kept)
    #expect(all == "abcdef")
    #expect(rest == "cdefgh")
  }

  @Test func whatIsKeptSurvivesGrowingWhileTheFrontIsTaken() {
    var kept = KeptBytes()
    var expected = ""
    for round in 0..<200 {
      let piece = "\(round)-" + String(repeating: "x", count: round)
      append(piece, to: &kept)
      expected += piece
      if round % 3 == 2 {
        kept.removeFirst(5)
        expected.removeFirst(5)
      }
    }
    let all = text(kept)
    #expect(all == expected)
  }

  @Test func emptiedItHoldsNothingAndCanBeFilledAgain() {
    var kept = KeptBytes()
    append("abc", to: &kept)
    kept.removeFirst(3)
    let (isEmpty, count) = (kept.isEmpty, kept.bytes.count)
    append("d", to: &kept)
    let again = text(kept)
    #expect(isEmpty && count == 0)
    #expect(again == "d")
  }
}
