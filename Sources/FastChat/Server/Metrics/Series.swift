/// What a server counts. Each case is one time series of `/metrics`, summed over the blocks of all threads.
enum Counter: Int, CaseIterable, Sendable {
  case connectionsAccepted, connectionsRefused, connections
  case sessions, sessionsStarted, sessionsPulling
  case framesReceived, bytesReceived, bytesSent
  case messagesAccepted, messagesDelivered
  case doubts, mailboxOverflows
  case pinnedBytes
  case storedBatches, storedRecords, storeFailures
  case appliedRecords, batchesSent, foreignRecords, redisCommands, redisUnanswered
  case readsWritten, readsDropped, readsRestored
  case ownedPartitions, stoppedPartitions, logLagRecords, viewLagMilliseconds, appendWaitingBytes

  /// The series' name, what it counts, and whether it can fall.
  var series: (name: StaticString, help: StaticString, isGauge: Bool) {
    switch self {
    case .connectionsAccepted: ("fastchat_connections_accepted_total", "Connections accepted.", false)
    case .connectionsRefused:
      (
        "fastchat_connections_refused_total", "Connections answered with 503 or closed unread at a limit.",
        false
      )
    case .connections: ("fastchat_connections", "Connections open now.", true)
    case .sessions: ("fastchat_sessions", "Sessions that have been welcomed and are connected now.", true)
    case .sessionsStarted: ("fastchat_sessions_started_total", "Sessions welcomed.", false)
    case .sessionsPulling:
      (
        "fastchat_sessions_pulling_total", "Times a session fell behind its output bound and began to pull.",
        false
      )
    case .framesReceived: ("fastchat_frames_received_total", "WebSocket messages received.", false)
    case .bytesReceived: ("fastchat_received_bytes_total", "Bytes received from clients.", false)
    case .bytesSent: ("fastchat_sent_bytes_total", "Bytes sent to clients.", false)
    case .messagesAccepted:
      ("fastchat_messages_accepted_total", "Messages acknowledged to their sender.", false)
    case .messagesDelivered:
      ("fastchat_messages_delivered_total", "Copies of events written to sessions.", false)
    case .doubts: ("fastchat_doubts_total", "Doubts that a shard had about its position.", false)
    case .mailboxOverflows:
      (
        "fastchat_mailbox_overflows_total",
        "How often a shard's mailbox was full, so that it had to catch up.", false
      )
    case .pinnedBytes:
      (
        "fastchat_pinned_bytes",
        "Bytes of batches that waiting shards and slow sockets hold back, fetches from Kafka counted whole.",
        true
      )
    case .storedBatches: ("fastchat_store_batches_total", "Transactions that the store committed.", false)
    case .storedRecords: ("fastchat_store_records_total", "Records that the store committed.", false)
    case .storeFailures:
      ("fastchat_store_failures_total", "Transactions or records that the store did not take.", false)
    case .appliedRecords:
      ("fastchat_applied_records_total", "Records of the log that owners here applied to the view.", false)
    case .batchesSent: ("fastchat_inbox_batches_total", "Batches that owners here sent to inboxes.", false)
    case .foreignRecords:
      ("fastchat_foreign_records_total", "Records of the log that are not FastChat's, passed by.", false)
    case .redisCommands: ("fastchat_redis_commands_total", "Commands sent to Redis.", false)
    case .redisUnanswered:
      ("fastchat_redis_unanswered_total", "Commands of which nobody knows what became of them.", false)
    case .readsWritten:
      ("fastchat_reads_written_total", "Read positions that the reads topic took.", false)
    case .readsDropped:
      (
        "fastchat_reads_dropped_total",
        "Read positions that are not in the reads topic: too many, or no broker.",
        false
      )
    case .readsRestored:
      ("fastchat_reads_restored_total", "Read positions that rose again in rebuilt views.", false)
    case .ownedPartitions: ("fastchat_owned_partitions", "Partitions of the log that are applied here.", true)
    case .stoppedPartitions:
      ("fastchat_stopped_partitions", "Partitions that wait for an operator: the log lost records.", true)
    case .logLagRecords:
      ("fastchat_log_lag_records", "Records of the owned partitions that are not applied yet.", true)
    case .viewLagMilliseconds:
      (
        "fastchat_view_lag_milliseconds",
        "Age of the last record read of the partition that is furthest behind, 0 where none is.", true
      )
    case .appendWaitingBytes:
      ("fastchat_append_waiting_bytes", "Bytes of records that wait until they may go to the log.", true)
    }
  }
}

/// What a server measures the distribution of.
enum Measure: Int, CaseIterable, Sendable {
  case turn, commit
  case append, apply, lookUp, inboxDispatch, registration

  var series: (name: StaticString, help: StaticString) {
    switch self {
    case .turn: ("fastchat_turn_seconds", "Work of one turn of an event loop, without its waiting.")
    case .commit: ("fastchat_store_commit_seconds", "From the beginning to the end of a store transaction.")
    case .append: ("fastchat_append_seconds", "From handing a record to the log to its acknowledgement.")
    case .apply: ("fastchat_apply_seconds", "One batch of records into the view, with its answer.")
    case .lookUp: ("fastchat_lookup_seconds", "Who listens to a batch and who is alive, asked and answered.")
    case .inboxDispatch: ("fastchat_inbox_dispatch_seconds", "Handing what came through the inbox to shards.")
    case .registration: ("fastchat_registration_seconds", "Sessions into the directory, with the answer.")
    }
  }
}

/// The buckets of a distribution of times: bounds of 1,024 ns times a power of two, up to 8.6 s.
///
/// Powers of two, because finding a bucket is then one instruction, and because a factor of two is as
/// exact as a quantile of latencies needs to be.
enum TimeBuckets {
  /// Buckets with a bound; one more takes what is longer.
  static let count = 24
  static let firstBoundBits = 10

  /// The bucket of a time: the first whose bound is not below it, or the one without a bound.
  @inline(__always)
  static func index(nanoseconds: UInt64) -> Int {
    let bits = UInt64.bitWidth - (max(nanoseconds, 1) - 1).leadingZeroBitCount
    return min(max(bits - firstBoundBits, 0), count)
  }

  /// The longest time that bucket `i` takes, in nanoseconds.
  static func bound(_ i: Int) -> UInt64 { 1 << UInt64(firstBoundBits + i) }
}
