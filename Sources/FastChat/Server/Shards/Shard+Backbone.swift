import Chat
import EventLoop
import JSON

/// What a shard has for its backbone, once a turn, and what both kinds of backbone do differently.
extension Shard {
  // MARK: Handing over

  func handOver() {
    switch backbone {
    case .embedded(let embedded):
      guard edge.hasCollected else { return }
      handOver(to: embedded)
    case .cluster(let cluster):
      guard edge.hasCollected || !words.isEmpty else { return }
      handOver(to: cluster)
    }
  }

  private func handOver(to embedded: EmbeddedBackbone) {
    if !edge.appends.isEmpty || !edge.reads.isEmpty {
      embedded.storeQueue.put(edge.appends.bytes, marks: edge.reads)
      appendsHandedOver()
    }
    if !edge.queries.isEmpty {
      let queries = edge.queries
      edge.queries.removeAll(keepingCapacity: true)
      fail(queries[embedded.viewQueue.put(queries, from: index)...])
    }
    tellEphemerals()
  }

  /// Records to the log; one lock and one word to the router where there is anything else, whatever it is.
  private func handOver(to cluster: ClusterBackbone) {
    let queries = edge.queries
    edge.queries.removeAll(keepingCapacity: true)
    let taken = cluster.queue.put(
      appends: cluster.append(edge.appends.bytes), words: words, questions: queries, marks: edge.reads,
      ephemerals: edge.ephemerals, from: index)
    words.removeAll(keepingCapacity: true)
    appendsHandedOver()
    fail(queries[taken...])
    tellEphemerals()
  }

  private func appendsHandedOver() {
    edge.appends.removeAll(keepingAtMost: 1 << 20)
    edge.appendCount = 0
    edge.reads.removeAll(keepingCapacity: true)
  }

  /// To the shards of this server; the router tells the other servers.
  private func tellEphemerals() {
    guard !edge.ephemerals.isEmpty else { return }
    for port in ports { port.post(edge.ephemerals) }
    edge.ephemerals.removeAll()
  }

  /// Questions that found no room have failed: the edge hears so at once.
  private func fail(_ queries: ArraySlice<ViewQuery>) {
    for query in queries {
      edge.received(ViewAnswer(failing: query))
      settle()
    }
  }

  // MARK: The directory

  /// A session of a new device, or of one that has an older session somewhere.
  func register(_ session: SessionID) {
    switch backbone {
    case .embedded(let embedded):
      let device = DeviceKey(user: edge.user(of: session), device: edge.device(of: session))
      connections.setDevice(device, inSlot: session.slot)
      if let older = embedded.directory.attach(session, as: device), older != session {
        ports[older.shard].post(replaced: older)
      }
      registered.append(session)
    case .cluster(let cluster):
      guard cluster.queue.mayAttach else { return overfull.append(ConnectionID(session)) }
      words.append(
        .attach(
          SessionEntry(
            session: session, user: Array(edge.user(of: session)), device: Array(edge.device(of: session)))))
    }
  }

  func unregister(_ session: SessionID) {
    switch backbone {
    case .embedded(let embedded):
      embedded.directory.detach(session, of: connections.device(inSlot: session.slot))
    case .cluster: words.append(.detach(session))
    }
  }

  /// A word that only a router understands.
  func say(_ word: RouterWord) {
    guard case .cluster = backbone else { preconditionFailure("asked of a server that stands alone") }
    words.append(word)
  }

  // MARK: From the router

  func take(_ word: ShardWord) {
    switch word {
    case .registered(let session): edge.registered(session)
    case .replaced(let session): edge.replaced(session)
    case .roomRegistered(let chat): chat.withUnsafeBytes { edge.roomRegistered($0) }
    case .registrationDoubted: edge.registrationDoubted()
    case .registeredAgain(let epoch, let directories):
      edge.registeredAgain(epoch: epoch, directories: directories)
    case .inboxDoubted: edge.inboxDoubted()
    case .leaseHolds(let tick): edge.leaseHolds(until: tick)
    }
    settle()
  }
}

extension ViewAnswer {
  /// The answer to a question that could not be asked.
  init(failing query: ViewQuery) {
    self.init(tag: query.tag, partition: query.partition, view: 0, directory: 0, applied: 0)
    hasFailed = true
  }
}
