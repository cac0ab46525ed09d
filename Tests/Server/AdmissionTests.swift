import Testing

@testable import Server

@Suite struct AdmissionTests {
  @Test func oneMoreThanTheBoundMayNotStayAndItsLeavingMakesRoomForNobodyElse() {
    let admission = Admission(connectionsMax: 2, newcomerBytesMax: 10)
    #expect(admission.enter())
    #expect(admission.enter())
    #expect(!admission.enter())
    admission.leave()
    #expect(!admission.enter())
    admission.leave()
    admission.leave()
    #expect(admission.enter())
  }

  @Test func newcomersThatHoldAsMuchAsTheBoundKeepOthersOut() {
    let admission = Admission(connectionsMax: 2, newcomerBytesMax: 10)
    admission.newcomerBytes(changedBy: 9)
    #expect(!admission.isCrowded)
    admission.newcomerBytes(changedBy: 1)
    #expect(admission.isCrowded)
    admission.newcomerBytes(changedBy: -3)
    #expect(!admission.isCrowded)
  }
}
