import Chat
import Redis
import Support

/// Both servers, asked in the domain's words.
extension BothServers {
  /// A view that stands at `applied`, in a rebuild that is over.
  func begin(view: ViewID, at applied: Seq) throws {
    try beginRebuild(view: view, until: applied, rows: [], applied: applied)
    _ = try apply(ApplyRequest(view: view, from: applied, [], isReplay: true, endsRebuild: true))
  }

  /// A rebuild whose rows are restored.
  func beginRebuild(
    view: ViewID, until: Seq, rows: [StateRow], applied: Seq?, expecting expected: ViewState = ViewState()
  ) throws {
    let begin = RebuildRequest(tag: 1, partition: 0, expected: expected, id: view, until: until)
    let restore = RestoreRequest(tag: 1, partition: 0, view: view, rows: rows, applied: applied)
    for command: RedisCommand in [.beginRebuild(begin), .restore(restore)] {
      guard case .done = RebuildAnswer(tag: 1, reply: try run(command)).result else {
        throw TestFailure("the rebuild was refused")
      }
    }
  }

  func apply(_ request: ApplyRequest, _ limits: Limits = Limits()) throws -> [ApplyAnswer.Row] {
    let reply = try run(.apply(request, limits: limits))
    guard case .applied(let rows) = ApplyAnswer(request: request, reply: reply).result else {
      throw TestFailure("not applied: \(reply)")
    }
    return rows
  }

  func refusal(_ request: ApplyRequest) throws -> ViewState {
    let reply = try run(.apply(request, limits: Limits()))
    guard case .refused(let state) = ApplyAnswer(request: request, reply: reply).result else {
      throw TestFailure("not refused: \(reply)")
    }
    return state
  }

  func ask(_ query: ViewQuery) throws -> ViewAnswer {
    let answer = ViewAnswer(query: query, reply: try run(.query(query)))
    guard !answer.hasFailed else { throw TestFailure("no answer") }
    return answer
  }
}
