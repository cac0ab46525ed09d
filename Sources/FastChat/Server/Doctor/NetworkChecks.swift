import EventLoop

/// The kernel's TCP.
enum NetworkChecks {
  static func backlog(_ facts: Facts, _ plan: Plan) -> Finding {
    let wanted = Int(ListeningSocket.backlog)
    guard let backlog = facts.number(Path.acceptBacklog) else {
      return .fine("accept backlog", "the kernel does not tell net.core.somaxconn")
    }
    guard backlog < wanted else { return .fine("accept backlog", "net.core.somaxconn is \(backlog)") }
    return .change(
      "accept backlog",
      "net.core.somaxconn is \(backlog): of a burst of connections so many wait for a shard, others are dropped",
      "sysctl -w net.core.somaxconn=\(wanted)")
  }

  static func synBacklog(_ facts: Facts, _ plan: Plan) -> Finding {
    let wanted = Int(ListeningSocket.backlog)
    guard let backlog = facts.number(Path.synBacklog) else {
      return .fine("syn backlog", "the kernel does not tell net.ipv4.tcp_max_syn_backlog")
    }
    let cookies = facts.number(Path.synCookies) ?? 0
    let found = "tcp_max_syn_backlog is \(backlog), tcp_syncookies \(cookies)"
    // With cookies a full queue costs nobody a connection.
    if backlog >= wanted || cookies > 0 { return .fine("syn backlog", found) }
    return .change(
      "syn backlog", "\(found): a burst of connections loses those beyond",
      "sysctl -w net.ipv4.tcp_syncookies=1",
      "or sysctl -w net.ipv4.tcp_max_syn_backlog=\(wanted)")
  }

  static func tracking(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let max = facts.number(Path.trackedMax) else {
      return .fine("conntrack", "not loaded")
    }
    let count = facts.number(Path.tracked) ?? 0
    let found = "\(count) of \(max) connections are tracked"
    guard count + plan.connections > max else { return .fine("conntrack", found) }
    return .change(
      "conntrack",
      "\(found), and \(plan.connections) more do not fit: new ones would be dropped without a word",
      "sysctl -w net.netfilter.nf_conntrack_max=\((count + plan.connections) * 2)",
      "or do not track them: nft add rule inet raw prerouting tcp dport \(plan.configuration.listen.port) notrack"
    )
  }

  static func congestion(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let name = facts.texts[Path.congestion] else {
      return .fine("congestion", "the kernel does not tell net.ipv4.tcp_congestion_control")
    }
    let queueing = facts.texts[Path.queueing] ?? "unknown"
    let found = "\(Printable.short(name)), default_qdisc \(Printable.short(queueing))"
    let offered = facts.words(Path.congestionOffered)
    if name == "reno" {
      let better = offered.contains("bbr") ? "bbr" : "cubic"
      return .change(
        "congestion", "\(found): slow over long ways", "sysctl -w net.ipv4.tcp_congestion_control=\(better)")
    }
    guard !plan.configuration.listen.isLoopback else { return .fine("congestion", found) }
    if name == "bbr", queueing != "fq" {
      return .fine(
        "congestion", found, advice: ["bbr paces cheaper with fq: sysctl -w net.core.default_qdisc=fq"])
    }
    if name == "cubic", offered.contains("bbr") {
      return .fine(
        "congestion", found,
        advice: ["with clients on mobile networks: sysctl -w net.ipv4.tcp_congestion_control=bbr"])
    }
    return .fine("congestion", found)
  }

  /// A message to everybody takes a page of the kernel's for each connection.
  static func memory(_ facts: Facts, _ plan: Plan) -> Finding {
    let pages = facts.numbers(Path.tcpMemory)
    guard pages.count == 3 else { return .fine("tcp memory", "the kernel does not tell net.ipv4.tcp_mem") }
    let found =
      "tcp_mem presses from \(Amount.bytes(pages[1] * facts.pageBytes)) on, "
      + "ends at \(Amount.bytes(pages[2] * facts.pageBytes))"
    guard plan.connections > pages[1] else { return .fine("tcp memory", found) }
    let need = plan.connections
    return .change(
      "tcp memory",
      "\(found); a message to all of \(need) connections takes \(Amount.bytes(need * facts.pageBytes))",
      "sysctl -w net.ipv4.tcp_mem='\(need) \(need * 3 / 2) \(need * 2)'")
  }

  /// Least, first and largest buffer of a connection.
  static func buffers(_ facts: Facts, _ plan: Plan) -> Finding {
    let (receive, send) = (facts.numbers(Path.tcpReceive), facts.numbers(Path.tcpSend))
    guard receive.count == 3, send.count == 3 else {
      return .fine("tcp buffers", "the kernel does not tell net.ipv4.tcp_rmem and tcp_wmem")
    }
    let found =
      "a connection receives into \(Amount.bytes(receive[1])) at first, \(Amount.bytes(receive[2])) at most, "
      + "sends from \(Amount.bytes(send[1])) and \(Amount.bytes(send[2]))"
    if receive[2] < largestMin {
      return .change(
        "tcp buffers", "\(found): too small for a message and its window",
        "sysctl -w net.ipv4.tcp_rmem='4096 131072 6291456'")
    }
    if send[2] < largestMin {
      return .change(
        "tcp buffers", "\(found): a client far away is sent to slowly",
        "sysctl -w net.ipv4.tcp_wmem='4096 16384 4194304'")
    }
    return .fine("tcp buffers", found)
  }

  /// Bytes that the largest buffer should have.
  private static let largestMin = 1 << 18
}
