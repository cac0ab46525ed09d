/// What a server counts. Each case is one time series of `/metrics`, summed over the blocks of all threads.
enum Counter: Int, CaseIterable, Sendable {
  case connectionsAccepted, connectionsRefused, connections
  case sessions, sessionsStarted, sessionsPulling
  case framesReceived, bytesReceived, bytesSent
  case messagesAccepted, messagesDelivered
  case doubts, mailboxOverflows
  case storedBatches, storedRecords, storeFailures

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
      ("fastchat_mailbox_overflows_total", "Words between threads that found the mailbox full.", false)
    case .storedBatches: ("fastchat_store_batches_total", "Transactions that the store committed.", false)
    case .storedRecords: ("fastchat_store_records_total", "Records that the store committed.", false)
    case .storeFailures:
      ("fastchat_store_failures_total", "Transactions that the store could not commit.", false)
    }
  }
}

/// What a server measures the distribution of.
enum Measure: Int, CaseIterable, Sendable {
  case turn, commit

  var series: (name: StaticString, help: StaticString) {
    switch self {
    case .turn: ("fastchat_turn_seconds", "Work of one turn of an event loop, without its waiting.")
    case .commit: ("fastchat_store_commit_seconds", "From the beginning to the end of a store transaction.")
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
