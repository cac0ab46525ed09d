public import Chat

/// What a new generation of the log needs of the views.
extension RedisCommand {
  /// Sets where a whole view stands; answered by 1, or by 0 where it is another one or stands elsewhere.
  public static func moveView(
    partition: Int32, id: ViewID, from: Seq, to position: Seq, hash: UInt64, appended: WallTime
  ) -> RedisCommand {
    var command = RedisCommand(.moveView)
    command.add(RedisKeys.view(partition))
    command.add(id)
    command.add(from)
    command.add(position)
    command.add(hash)
    command.add(appended)
    return command
  }

  /// Events of an older generation for a view that is being rebuilt: the texts of each are chat, seq, JSON, prev,
  /// kind, role, user, time and origin. Answered by 1, or by 0 where the view does not take them.
  public static func restoreEvents(
    partition: Int32, id: ViewID, limits: Limits, texts: [[UInt8]]
  ) -> RedisCommand {
    var command = RedisCommand(.restoreEvents, texts: 4 + texts.count)
    command.add(RedisKeys.view(partition))
    command.add(id)
    command.add(Int64(limits.windowEvents))
    command.add(limits.windowMilliseconds)
    for text in texts { command.add(text) }
    return command
  }
}
