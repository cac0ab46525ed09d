import Chat
import EventLoop

/// What a shard counts elsewhere, put into its block of the metrics ten times a second.
extension Shard {
  func reportFigures() {
    metrics.set(.connections, to: connections.count)
    metrics.set(.bytesSent, to: Int(clamping: loop.statistics.bytesWritten))
    metrics.set(.sessions, to: edge.counters.sessions)
    metrics.set(.sessionsStarted, to: Int(clamping: edge.counters.welcomed))
    metrics.set(.sessionsPulling, to: Int(clamping: edge.counters.congestions))
    metrics.set(.messagesDelivered, to: Int(clamping: edge.counters.deliveries))
    metrics.set(.doubts, to: Int(clamping: edge.counters.doubts))
    for code in ErrorCode.allCases {
      metrics.set(refusals: code, to: Int(clamping: edge.counters.refusals[Int(code.rawValue)]))
    }
  }
}
