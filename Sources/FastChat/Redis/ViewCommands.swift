public import Chat
import JSON

/// What owners and edges ask of a partition's view (DESIGN section 5, "The owner").
extension RedisCommand {
  /// Arguments of `apply` before its records, and of each record.
  public static let applyArguments = 14
  public static let recordArguments = 10

  /// A run of records; answered by `ApplyAnswer(request:reply:)`.
  public static func apply(_ request: borrowing ApplyRequest, limits: Limits) -> RedisCommand {
    var command = RedisCommand(
      .apply, texts: 1 + applyArguments + recordArguments * request.records.count,
      bytes: 256 + request.bytes.count + 160 * request.records.count)
    command.add(RedisKeys.view(request.partition))
    command.add(request.view)
    command.add(request.from)
    command.add(request.upto)
    command.add(request.hash)
    command.add(request.appended)
    command.add(request.recentFloor)
    command.add(request.outcomeFloor)
    command.add(request.windowFloor)
    command.add(Int64(limits.windowEvents))
    command.add(limits.windowMilliseconds)
    command.add(Int64(limits.roomMembers))
    command.add(Int64(limits.userRooms))
    command.add(request.isReplay)
    command.add(request.endsRebuild)
    request.bytes.withUnsafeBytes { bytes in
      for record in request.records { command.add(record, bytes) }
    }
    return command
  }

  private mutating func add(_ record: ApplyRequest.Record, _ texts: UnsafeRawBufferPointer) {
    func text(_ range: Range<Int>) -> UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(rebasing: texts[range])
    }
    add(record.seq)
    add(Int64(record.kind.rawValue))
    // How it is judged: as a first send, as a repeat, or by what it came to before.
    if let forced = record.forced {
      append(UInt64(forced.outcome.rawValue))
      append(CollectionOfOne(UInt8(ascii: ":")))
      append(UInt64(forced.role.rawValue))
      end()
    } else {
      add(record.isRepeat ? "repeat" : "first" as StaticString)
    }
    append(record.origin.epoch)
    append(CollectionOfOne(UInt8(ascii: ":")))
    append(record.origin.session.raw)
    append(CollectionOfOne(UInt8(ascii: ":")))
    append(UInt64(record.origin.request))
    end()
    add(record.time)
    add(text(record.chat))
    add(text(record.from))
    add(text(record.head))
    add(text(record.tail))
    add(room: text(record.room))
  }

  /// A room's properties: whether it is public as a digit, then the JSON; nothing where there are none.
  private mutating func add(room json: UnsafeRawBufferPointer) {
    if !json.isEmpty {
      append(CollectionOfOne(RoomProperties.isPublic(json) ? UInt8(ascii: "1") : UInt8(ascii: "0")))
      append(json)
    }
    end()
  }

  /// Positions, and at most `limit` outcomes above a seq (`.max`: none); answered by
  /// `ViewStateAnswer(tag:reply:)`.
  public static func readView(partition: Int32, outcomesAfter: Seq, limit: Int = 1_000) -> RedisCommand {
    var command = RedisCommand(.readView)
    command.add(RedisKeys.view(partition))
    command.add(outcomesAfter)
    command.add(outcomesAfter == .max ? 0 : Int64(limit))
    return command
  }

  /// Answered by `RebuildAnswer(tag:reply:)`.
  public static func beginRebuild(_ request: RebuildRequest) -> RedisCommand {
    var command = RedisCommand(.beginRebuild)
    command.add(RedisKeys.view(request.partition))
    command.add(optional: request.expected.id)
    command.add(optional: request.expected.applied)
    command.add(request.id)
    command.add(request.until)
    return command
  }

  /// Members, rooms and heads; outcomes among the rows are for the replay, which gives them with its records.
  /// Answered by `RebuildAnswer(tag:reply:)`.
  public static func restore(_ request: RestoreRequest) -> RedisCommand {
    var command = RedisCommand(.restore, texts: 3 + 5 * request.rows.count, bytes: 96 * request.rows.count)
    command.add(RedisKeys.view(request.partition))
    command.add(request.view)
    command.add(optional: request.applied)
    for row in request.rows {
      switch row.value {
      case .member(let user, let role):
        command.add("member")
        command.add(row.chat)
        command.add(row.seq)
        command.add(user)
        command.add(Int64(role.rawValue))
      case .chat(let room):
        command.add("room")
        command.add(row.chat)
        command.add(row.seq)
        command.add("")
        room.withUnsafeBytes { command.add(room: $0) }
      case .head:
        command.add("head")
        command.add(row.chat)
        command.add(row.seq)
        command.add("")
        command.add("")
      case .outcome, .forgottenOutcome: continue
      }
    }
    return command
  }

  private mutating func add(optional number: UInt64?) {
    if let number { append(number) }
    end()
  }

  private mutating func add(optional number: Int64?) {
    if let number { append(number) }
    end()
  }

  /// Answered by `ViewAnswer(query:reply:)`.
  public static func query(_ query: borrowing ViewQuery) -> RedisCommand {
    var command = RedisCommand(.query)
    command.add(RedisKeys.view(query.partition))
    switch query.what {
    case .member: command.add("member")
    case .chats: command.add("chats")
    // The members of a direct chat are in its name.
    case .members: command.add(query.chat.first == UInt8(ascii: "d") ? "member" : "members" as StaticString)
    case .eventsAfter: command.add("after")
    case .eventsBefore: command.add("before")
    case .recent: command.add("recent")
    }
    command.add(query.chat)
    command.add(query.user)
    command.add(Int64(query.limit))
    command.add(Int64(query.bytes))
    switch query.what {
    case .member: command.add("")
    case .chats(let after), .members(let after): command.add(after)
    case .eventsAfter(let seq), .eventsBefore(let seq), .recent(let seq): command.add(seq)
    }
    return command
  }

  /// Read positions for a view that was rebuilt: as `raiseRead`, and none from before the member joined. Answered
  /// by `RestoredReads(reply:)`.
  /// - Parameters:
  ///   - view: nil where it is not known yet, and is asked for.
  ///   - areLast: with them the view lacks none any more.
  public static func restoreReads(
    _ marks: ArraySlice<ReadMark>, partition: Int32, view: ViewID?, areLast: Bool
  ) -> RedisCommand {
    var command = RedisCommand(.restoreReads, texts: 3 + 3 * marks.count, bytes: 96 * marks.count)
    command.add(RedisKeys.view(partition))
    command.add(optional: view)
    command.add(areLast)
    for mark in marks {
      command.add(mark.chat)
      command.add(mark.user)
      command.add(mark.seq)
    }
    return command
  }

  /// A member has read a chat up to a seq: clamped to its head, never going back. Answered by the seq that
  /// it was raised to, nothing where it was not.
  public static func raiseRead(_ mark: ReadMark, partition: Int32) -> RedisCommand {
    var command = RedisCommand(.raiseRead)
    command.add(RedisKeys.view(partition))
    command.add(mark.chat)
    command.add(mark.user)
    command.add(mark.seq)
    return command
  }
}

/// What a room's properties say that scripts need.
enum RoomProperties {
  /// `"public"` of `{"name":..,"public":..}`; what is no such JSON is private.
  static func isPublic(_ json: UnsafeRawBufferPointer) -> Bool {
    do throws(JSONError) {
      var reader = JSONReader(json)
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("public") { return try reader.bool() }
        _ = try reader.value()
      }
      return false
    } catch { return false }
  }
}
