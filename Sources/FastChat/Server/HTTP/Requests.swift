import EventLoop
import JSON
import WebSocket

/// Plain HTTP on a connection, up to the upgrade that ends it.
extension Shard {
  /// Milliseconds in which a request must have come in full, the first after accepting and each next one
  /// after the answer before it.
  static let requestMilliseconds: Int64 = 10_000

  /// Serves the requests that begin `chunk`, one after the other, until they are used up or the connection
  /// is something else. Returns the bytes that were used.
  func serve(
    _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>, _ chunk: UnsafeMutableRawBufferPointer
  ) -> Int {
    var used = 0
    while used < chunk.count, connection.pointee.stops.isEmpty {
      let rest = UnsafeRawBufferPointer(rebasing: chunk[used...])
      switch HTTPRequest.parse(rest, progress: &connection.pointee.head) {
      case .needMore: return used
      case .refused(let status): refuse(status, id)
      case .complete(let request, let length):
        connection.pointee.head = HTTPHead()
        used += length
        answer(request, id, connection)
      }
      guard connections.isOpen(id) else { return chunk.count }
      guard connection.pointee.phase == .http else { return used }
      stopIfFull(id, connection)
    }
    return used
  }

  private func answer(
    _ request: HTTPRequest, _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) {
    let port: Route.Port = connection.pointee.isAdmin ? .admin : .main(hasEcho: server.configuration.echo)
    switch Route(request, port: port) {
    case .webSocket: upgrade(request, to: .chat, id, connection)
    case .echo: upgrade(request, to: .echo, id, connection)
    case .asset: sendAsset(request, id, connection)
    case .health: sendVerdict(server.health.isHealthy(at: loop.tick), request, id, connection)
    case .readiness: sendReadiness(request, id, connection)
    case .metrics: sendMetrics(request, id, connection)
    case .notFound: send(.notFound, body: staticBytes("not found\n"), to: request, id, connection)
    case .methodNotAllowed:
      send(
        .methodNotAllowed, fields: "Allow: GET, HEAD\r\n", body: staticBytes("method not allowed\n"),
        to: request, id, connection)
    }
  }

  // MARK: Answers

  private func sendAsset(
    _ request: HTTPRequest, _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) {
    if request.isPath("/"), !request.acceptsHTML {
      // What the system before this one answered to whoever looks whether it runs.
      let body: StaticString = "{\"message\":\"Server is running smoothly!\"}"
      return send(
        .ok, contentType: staticBytes("application/json"), body: staticBytes(body), to: request, id,
        connection)
    }
    guard let asset = Asset(path: request.path) else { preconditionFailure("the route found it") }
    send(
      .ok, contentType: asset.contentType, fields: asset.fields, body: asset.bytes, to: request, id,
      connection)
  }

  private func sendVerdict(
    _ holds: Bool, _ request: HTTPRequest, _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) {
    send(
      holds ? .ok : .serviceUnavailable, fields: "Cache-Control: no-store\r\n",
      body: staticBytes(holds ? "ok\n" : "not ready\n"), to: request, id, connection)
  }

  private func sendReadiness(
    _ request: HTTPRequest, _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) {
    let holds = server.health.isReady(at: loop.tick)
    guard let complaint = server.health.complaint else { return sendVerdict(holds, request, id, connection) }
    page.removeAll(keepingAtMost: 64 << 10)
    page.append(holds ? "ok\n" : "not ready\n")
    page.append(complaint)
    page.append("\n")
    send(
      holds ? .ok : .serviceUnavailable, fields: "Cache-Control: no-store\r\n", body: page.bytes, to: request,
      id, connection)
  }

  private func sendMetrics(
    _ request: HTTPRequest, _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) {
    page.removeAll(keepingAtMost: 64 << 10)
    server.metrics.write(to: &page)
    send(.ok, contentType: staticBytes(Metrics.contentType), body: page.bytes, to: request, id, connection)
  }

  private func send(
    _ status: HTTPStatus, contentType: UnsafeRawBufferPointer = plainText, fields: StaticString = "",
    body: UnsafeRawBufferPointer, to request: HTTPRequest, _ id: ConnectionID,
    _ connection: UnsafeMutablePointer<Connection>
  ) {
    let closes = !request.keepsAlive
    let response = HTTPResponse(status, contentType: contentType, fields: fields, closes: closes)
    let headMax = HTTPResponse.mostHeadBytes + fields.utf8CodeUnitCount
    guard let room = loop.reserve(id, headMax + body.count) else { return hangUp(id) }
    if request.method == .head {
      guard let count = response.writeHead(contentLength: body.count, into: room) else {
        preconditionFailure("the room is that of the longest head")
      }
      loop.commit(id, count)
    } else {
      guard let count = response.write(body: body, into: room) else {
        preconditionFailure("the room is that of the longest head and the body")
      }
      loop.commit(id, count)
    }
    if closes { finish(id) } else { awaitRequest(id, connection) }
  }

  /// Refuses with a status, and ends the connection.
  func refuse(_ status: HTTPStatus, _ id: ConnectionID) {
    if let room = loop.reserve(id, HTTPResponse.mostHeadBytes),
      let count = HTTPResponse.refuse(status, into: room)
    {
      loop.commit(id, count)
    }
    finish(id)
  }

  // MARK: Time

  /// From now on the next request has its time.
  func awaitRequest(_ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>) {
    if let deadline = connection.pointee.deadline { loop.cancel(deadline) }
    connection.pointee.deadline = loop.schedule(
      afterMilliseconds: Shard.requestMilliseconds, tag: id.raw)
    // As many timers as connections are allowed for; without one, nothing would ever end this connection.
    if connection.pointee.deadline == nil { finish(id) }
  }

  /// Nobody is told: who did not send a request waits for no answer.
  func requestTookTooLong(_ id: ConnectionID) {
    guard let connection = connections.find(id), connection.pointee.phase == .http else { return }
    connection.pointee.deadline = nil
    finish(id)
  }
}

private var plainText: UnsafeRawBufferPointer { staticBytes("text/plain; charset=utf-8") }

/// The bytes of a text in the program's image.
func staticBytes(_ text: StaticString) -> UnsafeRawBufferPointer {
  UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}
