import Chat

/// How large a run is, drawn from its seed.
struct Plan {
  var instances: Int
  var partitions: Int32
  var shards: Int
  var primaries: Int
  var profile: Profile
  /// Milliseconds in which clients do things and faults happen; then everything settles.
  var activity: Tick
  /// Frames that clients send at most before that.
  var operations: Int
  var mailbox: Int
  var isLong: Bool
  /// Owners ask and tell as the real router does where it can, not by the long ways that always work.
  var takesShortWays = false
  /// Servers say when they are cut off from the brokers; only where that happens, so that all other runs are what
  /// they were before there was such a word.
  let watchesCuts: Bool

  init(_ random: inout Generator, faults: FaultSet) {
    instances = 1 + random.below(3)
    partitions = Int32(1 + random.below(3))
    shards = 1 + random.below(2)
    primaries = 1 + random.below(2)
    isLong = random.chance(faults.contains(.retention) ? 0.3 : 0.06)
    profile = Profile()
    profile.users = 2 + random.below(3)
    profile.devicesPerUser = 1 + random.below(2)
    profile.rooms = 1 + random.below(2)
    profile.privateRooms = random.below(2)
    if faults.contains(.leftWhileCut) {
      instances = max(instances, 2)
      profile.devicesPerUser = 2
    }
    profile.instances = instances
    activity = isLong ? random.between(480_000, 600_000) : random.between(15_000, 60_000)
    // What takes half a minute needs the time to happen and to be over.
    let slow: [FaultKind] = [
      .freeze, .twoOwners, .standInDies, .lateBatches, .shardStall, .viewFarBack, .lateAppend,
      .redisCut, .kafkaCut,
    ]
    if !isLong, slow.contains(where: faults.contains) { activity = random.between(50_000, 130_000) }
    // All but the first minute of it stands still, for longer than requests are repeated.
    if faults.contains(.commitStall) { activity = random.between(430_000, 470_000) }
    operations = 50 + random.below(200)
    let devices = Int64(profile.users * profile.devicesPerUser)
    profile.pauseMilliseconds = max(devices * activity / (Int64(operations) * 3 / 2), 50)
    profile.longAbsenceMilliseconds = 60_000
    if !isLong { profile.weights.sleep = 0 }
    if faults.contains(.leftWhileCut) {
      // The cut has to be over, and the room to go on behind it.
      activity = random.between(150_000, 200_000)
      operations += 150
    }
    if !faults.contains(.cut) {
      profile.weights.cut = 0
      profile.weights.overlap = 0
      profile.weights.forget = 0
    }
    watchesCuts = faults.contains(.kafkaCut)
    mailbox = faults.contains(.mailboxFull) ? 2 + random.below(12) : 4_096
  }
}
