import Chat
import Testing

/// The watches of a few servers around the marks that they set, each read four times a second.
private final class Marks {
  var now: Tick = 100_000
  var watches: [String: CutWatch] = [:]
  /// Whom the brokers acknowledge nothing.
  var cut: Set<String> = []
  var marks: [ServerEpoch: Tick] = [:]
  private var last: [String: Tick] = [:]

  init(_ servers: String...) {
    for server in servers { watches[server] = CutWatch(server: server) }
    run(seconds: 20)
  }

  static func epoch(_ server: String) -> ServerEpoch { ServerEpoch(server: server, epoch: 1) }

  /// Those that say so now.
  var saying: [String] { marks.filter { $0.value > now }.map(\.key.server).sorted() }

  func run(seconds: Int) {
    for _ in 0..<seconds * 4 {
      now += 250
      if now % 1_000 == 0 { for server in watches.keys.sorted() { beat(server) } }
      let saying = marks.filter { $0.value > now }.map(\.key)
      for watch in watches.values { watch.cutsRead(read(saying), tick: now) }
    }
  }

  private func beat(_ server: String) {
    let watch = watches[server]!
    if !cut.contains(server) { last[server] = now }
    watch.heard(acknowledgedAt: last[server], epoch: 1, tick: now)
    for action in watch.actions {
      switch action {
      case .mark(let server): marks[server] = now + Limits.leaseMilliseconds
      case .unmark(let server): marks[server] = nil
      }
    }
    watch.actionsPerformed()
  }

  func read(_ living: [ServerEpoch]) -> LeasesRead {
    var read = LeasesRead(tag: 0)
    read.living = living
    return read
  }

  /// Whom a server takes for dead though its lease is there.
  func judged(by server: String) -> [String] {
    let all = watches.keys.sorted()
    let living = watches[server]!.judged(read(all.map(Self.epoch))).living.map(\.server)
    return all.filter { !living.contains($0) }
  }
}

@Suite struct CutWatchTests {
  private let cut = CutWatch.cutSeconds
  private let calm = Int(CutWatch.calmMilliseconds / 1_000)
  private let doubt = Int(CutWatch.doubtMilliseconds / 1_000)

  @Test func aServerThatHearsOfNoRecordForSecondsSaysSoAndIsBelieved() {
    let world = Marks("a", "b")
    world.cut = ["b"]
    world.run(seconds: cut - 1)
    #expect(world.saying.isEmpty && !world.watches["b"]!.isCut)
    world.run(seconds: 2)
    #expect(world.saying == ["b"] && world.watches["b"]!.isCut)
    #expect(world.judged(by: "a") == ["b"])
  }

  /// A mark lives as long as a lease.
  @Test func itSaysSoAsLongAsItLasts() {
    let world = Marks("a", "b")
    world.cut = ["b"]
    world.run(seconds: 60)
    #expect(world.saying == ["b"] && world.judged(by: "a") == ["b"])
  }

  @Test func aShortSilenceIsNoCut() {
    let world = Marks("a", "b")
    for _ in 0..<5 {
      world.cut = ["b"]
      world.run(seconds: cut - 1)
      world.cut = []
      world.run(seconds: 1)
      #expect(world.saying.isEmpty)
    }
  }

  @Test func itTakesItBackOnceRecordsWereAcknowledgedForAWhile() {
    let world = Marks("a", "b")
    world.cut = ["b"]
    world.run(seconds: 20)
    world.cut = []
    world.run(seconds: calm - 1)
    #expect(world.saying == ["b"] && world.watches["b"]!.isCut)
    world.run(seconds: 1)
    #expect(world.saying.isEmpty && !world.watches["b"]!.isCut)
    #expect(world.judged(by: "a").isEmpty)
  }

  /// It would take its place, and lose it again, each time.
  @Test func aLinkThatComesAndGoesIsNoLink() {
    let world = Marks("a", "b")
    world.cut = ["b"]
    world.run(seconds: 20)
    for _ in 0..<5 {
      world.cut = []
      world.run(seconds: 1)
      world.cut = ["b"]
      world.run(seconds: CutWatch.silentSeconds)
      #expect(world.saying == ["b"] && world.watches["b"]!.isCut)
    }
  }

  @Test func nobodyBelievesOthersAfterAnOutageThatWasHisToo() {
    let world = Marks("a", "b")
    world.cut = ["a", "b"]
    world.run(seconds: 20)
    #expect(world.saying == ["a", "b"])
    #expect(world.judged(by: "a").isEmpty && world.judged(by: "b").isEmpty)
    world.cut = ["b"]
    world.run(seconds: doubt - 1)
    #expect(world.judged(by: "a").isEmpty)
    world.run(seconds: 1)
    #expect(world.judged(by: "a") == ["b"])
  }

  /// Short of saying so himself.
  @Test func aSilenceOfHisOwnIsEnoughForThat() {
    let world = Marks("a", "b")
    world.cut = ["b"]
    world.run(seconds: 2)
    world.cut = ["a", "b"]
    world.run(seconds: cut - 1)
    world.cut = ["b"]
    world.run(seconds: 2)
    #expect(world.saying == ["b"] && world.judged(by: "a").isEmpty)
  }

  @Test func whoWasBelievedBeforeIsBelievedOn() {
    let world = Marks("a", "b", "c")
    world.cut = ["b"]
    world.run(seconds: 10)
    world.cut = ["a", "b", "c"]
    world.run(seconds: 10)
    #expect(world.saying == ["a", "b", "c"] && world.judged(by: "a") == ["b"])
    world.cut = []
    world.run(seconds: calm)
    #expect(world.judged(by: "a").isEmpty)
  }

  @Test func aServerIsBelievedInTheEpochThatSaidIt() {
    let watch = CutWatch(server: "a")
    let world = Marks()
    watch.cutsRead(world.read([ServerEpoch(server: "b", epoch: 1)]), tick: 100_000)
    let leases = world.read([ServerEpoch(server: "b", epoch: 2)])
    #expect(watch.judged(leases).living == leases.living)
  }

  @Test func marksThatCannotBeReadAreTheLastOnes() {
    let watch = CutWatch(server: "a")
    let world = Marks()
    let other = ServerEpoch(server: "b", epoch: 1)
    watch.cutsRead(world.read([other]), tick: 100_000)
    var failed = world.read([])
    failed.hasFailed = true
    watch.cutsRead(failed, tick: 101_000)
    #expect(watch.judged(world.read([other])).living.isEmpty)
  }

  /// Its sends are not late: it could not have heard.
  @Test func aProcessThatStoodStillIsNotCut() {
    let watch = CutWatch(server: "a")
    watch.heard(acknowledgedAt: 99_900, epoch: 1, tick: 100_000)
    watch.heard(acknowledgedAt: 99_900, epoch: 1, tick: 160_000)
    #expect(!watch.isCut && watch.actions.isEmpty)
  }

  @Test func aMarkIsTheEpochsThatItIsIn() {
    let watch = CutWatch(server: "a")
    for tick in 0...6 as ClosedRange<Tick> {
      watch.heard(acknowledgedAt: 0, epoch: tick < 6 ? 1 : 2, tick: tick * 1_000)
    }
    #expect(
      watch.actions == [
        .mark(ServerEpoch(server: "a", epoch: 1)), .mark(ServerEpoch(server: "a", epoch: 2)),
      ])
  }
}
