import Simulation
import Testing

@Suite struct GeneratorTests {
  @Test func aSeedGivesTheSameChanceEachTime() {
    var first = Generator(seed: 7)
    var second = Generator(seed: 7)
    #expect((0..<100).map { _ in first.next() } == (0..<100).map { _ in second.next() })
  }
}
