/// What a run found, for people or for a script.
struct Report {
  let options: LoadOptions
  let outcome: Outcome
  let seconds: Double
  /// Before any connection, at the beginning of the measured window and at its end.
  let usage: (first: ServerUsage, before: ServerUsage, after: ServerUsage)?

  private var perSecond: Double { Double(outcome.messages) / seconds }

  /// Microseconds of CPU for each message, of the process or of one of its threads.
  private func perMessage(_ nanoseconds: UInt64) -> Double {
    Double(nanoseconds) / 1_000 / Double(max(1, outcome.messages))
  }

  private var threads: [(name: String, nanoseconds: UInt64)] {
    guard let usage else { return [] }
    return usage.after.threads.map { thread in
      let before = usage.before.threads.first { $0.id == thread.id }?.nanoseconds ?? 0
      return (thread.name, thread.nanoseconds - before)
    }
  }

  // MARK: For people

  var line: String {
    switch options.command {
    case .idle: return "idle: " + idle + "\n"
    case .echo, .fanout, .pairs: break
    }
    let unit = options.command == .fanout ? "copies" : "messages"
    var text = "\(options.command.rawValue): \(Int(perSecond)) \(unit)/s of \(outcome.messageBytes) B"
    if let usage {
      let cpu = usage.after.nanoseconds - usage.before.nanoseconds
      text += "; server \(rounded(perMessage(cpu))) us CPU each"
      let parts = threads.filter { $0.nanoseconds > cpu / 200 }
        .map { "\($0.name) \(rounded(perMessage($0.nanoseconds)))" }
      text += " (\(parts.joined(separator: ", ")); \(Int(Double(cpu) / seconds / 10_000_000)) % of a core)"
    }
    text += latency(", answered", outcome.answered) + latency(", delivered", outcome.delivered)
    return text + "\n"
  }

  private var idle: String {
    guard let usage else { return "\(options.connections) connections held" }
    return "\(options.connections) connections held, \(bytesPerConnection(usage)) B each in the server"
  }

  private func bytesPerConnection(_ usage: (first: ServerUsage, before: ServerUsage, after: ServerUsage))
    -> Int
  {
    (usage.after.residentBytes - usage.first.residentBytes) / max(1, options.connections)
  }

  private func latency(_ name: String, _ histogram: Histogram) -> String {
    guard histogram.count > 0 else { return "" }
    let times = [0.5, 0.9, 0.99].map { rounded(histogram.milliseconds(atMost: $0)) }
    return "\(name) in p50 \(times[0]) p90 \(times[1]) p99 \(times[2]) ms"
  }

  private func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }

  // MARK: For scripts

  var json: String {
    var fields: [(String, String)] = [
      ("command", "\"\(options.command.rawValue)\""), ("seconds", "\(seconds)"),
      ("messages", "\(outcome.messages)"), ("sent", "\(outcome.sent)"),
      ("per_second", "\(rounded(perSecond))"), ("message_bytes", "\(outcome.messageBytes)"),
    ]
    for (name, histogram) in [("answered", outcome.answered), ("delivered", outcome.delivered)]
    where histogram.count > 0 {
      for (label, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        fields.append(("\(name)_\(label)_ms", "\(rounded(histogram.milliseconds(atMost: share)))"))
      }
    }
    if let usage {
      fields.append(
        ("cpu_us_per_message", "\(perMessage(usage.after.nanoseconds - usage.before.nanoseconds))"))
      let parts = threads.map {
        "{\"name\":\"\($0.name)\",\"cpu_us_per_message\":\(perMessage($0.nanoseconds))}"
      }
      fields.append(("threads", "[\(parts.joined(separator: ","))]"))
      fields.append(("sleeps", "\(usage.after.sleeps - usage.before.sleeps)"))
      fields.append(("resident_bytes", "\(usage.after.residentBytes)"))
      if options.command == .idle { fields.append(("bytes_per_connection", "\(bytesPerConnection(usage))")) }
    }
    return "{" + fields.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}\n"
  }
}
