import Testing

@testable import Chat

@Suite struct LogMarksTests {
  @Test func aViewIsTrimmedOnceToEachFloor() {
    var marks = LogMarks(span: 10_000)
    marks.note(1, appended: 0)
    marks.note(5, appended: 5_000)
    #expect(marks.due == 0, "nothing is older than the span")
    marks.note(9, appended: 10_001)
    #expect(marks.due == 1)
    marks.trimmed(to: marks.due)
    marks.note(12, appended: 10_500)
    #expect(marks.due == 0, "it was trimmed to that")
    marks.note(20, appended: 15_002)
    #expect(marks.due == 5)
    marks.trimmed(to: 0)
    #expect(marks.due == 5, "nothing was trimmed")
  }
}
