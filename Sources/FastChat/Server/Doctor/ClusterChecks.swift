import Kafka

/// What a server of a cluster keeps nothing of itself for: its brokers and its Redis.
enum ClusterChecks {
  /// Milliseconds that clocks may differ before people see it at the times of messages.
  private static let clockMilliseconds: Int64 = 1_000

  // MARK: Kafka

  static func brokers(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let kafka = facts.kafka else { return .fine("kafka", "not asked") }
    if let failure = kafka.failure {
      return .broken("kafka", line(failure), "start the brokers, or correct --kafka and --kafka-config")
    }
    let wanted = Int(plan.configuration.cluster?.replication ?? 0)
    let found = kafka.brokers == 1 ? "1 broker" : "\(kafka.brokers) brokers"
    if kafka.brokers < wanted, !kafka.missing.isEmpty {
      return .broken(
        "kafka", "\(found), and --replication \(wanted) asks for as many copies",
        "--replication \(kafka.brokers)", "or start more brokers")
    }
    if kafka.brokers < TopicPlan.copies {
      return .change(
        "kafka",
        "\(found): what is acknowledged is gone with \(kafka.brokers == 1 ? "its disk" : "two disks")",
        "three brokers, so that one may die with nothing lost and nothing refused")
    }
    return .fine("kafka", found)
  }

  static func topics(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let kafka = facts.kafka, kafka.failure == nil else { return .fine("topics", "not asked") }
    let vital = kafka.findings.filter(\.isVital)
    if !vital.isEmpty {
      return .broken(
        "topics", list(vital), "alter them (kafka-configs.sh --alter --entity-type topics ...)",
        "or --kafka-prefix with another name")
    }
    if !kafka.findings.isEmpty {
      return .change(
        "topics", list(kafka.findings),
        "kafka-configs.sh for settings, kafka-reassign-partitions.sh for copies")
    }
    if let partitions = kafka.partitions, let wanted = plan.configuration.cluster?.partitions,
      partitions != wanted
    {
      return .change(
        "topics", "the log has \(partitions) partitions and keeps them, whatever --partitions says",
        "--partitions \(partitions)")
    }
    guard kafka.missing.isEmpty else {
      return .fine("topics", "\(kafka.missing.joined(separator: ", ")) not there yet; serve makes them")
    }
    return .fine("topics", "as planned, \(kafka.partitions ?? 0) partitions")
  }

  private static func list(_ findings: [TopicFinding]) -> String {
    line(findings.map(\.description).joined(separator: "; "))
  }

  /// What others say, without control characters.
  private static func line(_ text: String) -> String {
    String(text.map { $0.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } ? $0 : " " })
  }

  // MARK: Redis

  static func redis(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let redis = facts.redis else { return .fine("redis", "not asked") }
    if let failure = redis.failure {
      return .broken("redis", line(failure), "start it, or correct --redis and --redis-password-file")
    }
    let all = redis.primaries.map { "\($0.host) is Redis \($0.version), a primary" }
    return .fine("redis", line(all.joined(separator: "; ")))
  }

  static func eviction(_ facts: Facts, _ plan: Plan) -> Finding {
    each("redis memory", facts) { primary in
      let limit = primary.limitBytes == 0 ? "no limit" : Amount.bytes(primary.limitBytes)
      let found = "\(Amount.bytes(primary.usedBytes)) of \(limit)"
      guard primary.policy != "noeviction" else { return .fine("redis memory", found) }
      let problem = "\(found), maxmemory-policy \(primary.policy): a chat that it throws away has no past"
      let how = configure(primary, "maxmemory-policy noeviction")
      // Without a limit nothing is thrown away yet.
      return primary.limitBytes > 0
        ? .broken("redis memory", problem, how) : .change("redis memory", problem, how)
    }
  }

  static func persistence(_ facts: Facts, _ plan: Plan) -> Finding {
    each("redis disk", facts) { primary in
      primary.appends
        ? .fine("redis disk", "appendonly")
        : .change(
          "redis disk",
          "not appendonly: after each start everything is rebuilt from Kafka, and new sessions wait",
          configure(primary, "appendonly yes"))
    }
  }

  static func replicas(_ facts: Facts, _ plan: Plan) -> Finding {
    each("redis replicas", facts) { primary in
      if primary.replicas == 0 { return .fine("redis replicas", "none") }
      let found = primary.replicas == 1 ? "1 replica" : "\(primary.replicas) replicas"
      guard !primary.needsReplicas else { return .fine("redis replicas", "\(found), writes need one near") }
      return .change(
        "redis replicas", "\(found): cut off from them it would take writes that the failover takes back",
        configure(primary, "min-replicas-to-write 1"))
    }
  }

  static func clock(_ facts: Facts, _ plan: Plan) -> Finding {
    each("redis clock", facts) { primary in
      let ahead = primary.aheadMilliseconds
      guard abs(ahead) > clockMilliseconds else { return .fine("redis clock", "as this machine's") }
      return .change(
        "redis clock", "\(abs(ahead)) ms \(ahead > 0 ? "ahead of" : "behind") this machine's",
        "timedatectl set-ntp true, on both machines", "or run chronyd")
    }
  }

  /// The worst of what is to be said of each primary, with who it is where there are several.
  private static func each(
    _ check: String, _ facts: Facts, _ look: (RedisFacts.Primary) -> Finding
  ) -> Finding {
    guard let redis = facts.redis, redis.failure == nil else { return .fine(check, "not asked") }
    let all = redis.primaries.map { (host: $0.host, finding: look($0)) }
    let order: [Finding.Level] = [.broken, .change, .fine]
    for level in order {
      guard let first = all.first(where: { $0.finding.level == level }) else { continue }
      let found = all.count == 1 ? first.finding.found : "\(first.host): \(first.finding.found)"
      return Finding(check: check, level: level, found: line(found), how: first.finding.how)
    }
    return .fine(check, "not asked")
  }

  private static func configure(_ primary: RedisFacts.Primary, _ setting: String) -> String {
    let port = primary.host.split(separator: ":").last ?? ""
    let host = primary.host.dropLast(port.utf8.count + 1)
    return "redis-cli -h \(Shell.word(String(host))) -p \(port) config set \(setting), and in its redis.conf"
  }
}
