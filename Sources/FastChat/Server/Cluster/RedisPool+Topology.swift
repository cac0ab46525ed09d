import Chat
import EventLoop
import Redis

/// Finding primaries: by sentinels, or by the map of a cluster.
extension RedisPool {
  /// Milliseconds between two readings of a cluster's map at least.
  static let topologyMilliseconds: Tick = 200

  /// The map of slots is to be read again, soon.
  func wantTopology() {
    guard finder == nil, findAt == nil else { return }
    findAt = loop.tick + Tick.random(in: (Self.topologyMilliseconds / 2)...Self.topologyMilliseconds)
  }

  /// Begins a search that is due.
  func search(_ now: Tick) {
    guard finder == nil, let at = findAt, now >= at else { return }
    findAt = nil
    let open: (RedisHost) -> RedisSocket = { [unowned self] in
      self.open($0, .guide, attempt: findAttempts)
    }
    if case .sentinel(let hosts, let primary) = address.kind {
      finder = RedisFinder(
        .findPrimary(primary), of: hosts.shuffled(),
        isAnswer: { reply, _ in RedisHost(sentinelReply: reply) != nil },
        open: open)
    } else {
      // Whoever is connected knows best; those that were named first are asked last.
      var hosts = places.filter { $0.readySince != nil }.compactMap(\.host).shuffled()
      for host in places.compactMap(\.host) + clusterHosts where !hosts.contains(host) { hosts.append(host) }
      finder = RedisFinder(
        .readSlots, of: hosts, isAnswer: { reply, host in ClusterMap(reply: reply, asked: host) != nil },
        open: open)
    }
  }

  /// Takes what a search came to.
  func takeFound() {
    guard let finder else { return }
    switch finder.outcome {
    case .searching: return
    case .failed(let failure):
      self.finder = nil
      note(nil, failure)
      findAt = loop.tick + Self.backOff(&findAttempts)
    case .found(let reply, let host):
      self.finder = nil
      findAttempts = 0
      if case .sentinel = address.kind {
        if let host = RedisHost(sentinelReply: reply) { occupy(places[0], host) }
      } else if let map = ClusterMap(reply: reply, asked: host) {
        take(map)
      }
    }
  }

  /// A slot is another primary's than the map says.
  func moved(_ slot: UInt16, to host: RedisHost) {
    if let place = places.firstIndex(where: { $0.host == host }) { slotPlaces?[Int(slot)] = UInt16(place) }
    topology += 1
    wantTopology()
  }

  /// Takes a new map. A primary keeps its place; one that took over another's slots takes its place.
  private func take(_ map: ClusterMap) {
    topology += 1
    var isFree = places.map { place in !map.primaries.contains { $0 == place.host } }
    for (number, host) in map.primaries.enumerated() where !places.contains(where: { $0.host == host }) {
      let slot = map.places.firstIndex(of: UInt16(number)) ?? 0
      let before = slotPlaces.map { Int($0[slot]) } ?? 0
      if isFree.indices.contains(before), isFree[before] {
        isFree[before] = false
        occupy(places[before], host)
      } else if let any = isFree.firstIndex(of: true) {
        isFree[any] = false
        occupy(places[any], host)
      } else {
        isFree.append(false)
        places.append(Place(nil))
        occupy(places[places.count - 1], host)
      }
    }
    let kept = zip(places, isFree).filter { !$0.1 }.map { $0.0 }
    let gone = zip(places, isFree).filter { $0.1 }.map { $0.0 }
    let firstGone = isFree.firstIndex(of: true) ?? places.count
    places = kept
    let numbers = map.primaries.map { host in places.firstIndex { $0.host == host }! }
    slotPlaces = map.places.map { $0 == ClusterMap.nobody ? $0 : UInt16(numbers[Int($0)]) }
    for place in gone { leave(place) }
    for index in places.indices where index >= firstGone && isReady(index) { onReconnected(index) }
  }

  /// Another server in the place of one that has no slots any more.
  private func occupy(_ place: Place, _ host: RedisHost) {
    leave(place)
    place.host = host
    place.socket = open(host, .primary, attempt: place.attempts)
  }

  private func leave(_ place: Place) {
    guard let socket = place.socket else { return }
    place.socket = nil
    place.readySince = nil
    socket.fail(.unreachable("it has no slots any more"))
    drop(socket)
  }
}
