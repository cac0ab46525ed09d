/// Processors: how many the shards get, and at what speed.
enum ProcessorChecks {
  static func shards(_ facts: Facts, _ plan: Plan) -> Finding {
    let asked = plan.configuration.shards
    let group = facts.groups.filter { $0.processorHundredths != nil }.min {
      $0.processorHundredths! < $1.processorHundredths!
    }
    if let group, let hundredths = group.processorHundredths, hundredths < plan.shards * 100 {
      let fitting = max(hundredths / 100, 1)
      let quota = "the control group \(Printable.short(group.path)) gives \(hundredths) % of one processor"
      if plan.shards > 1 {
        return .change(
          "processors",
          "\(quota), and \(plan.shards) shards would stop one another: the time runs out for all",
          "--shards \(fitting)",
          "or CPUQuota=\(plan.shards * 100)% in the unit, or --cpus \(plan.shards) in Docker")
      }
      return .change(
        "processors", "\(quota): the one shard stands still once in each period when it is busy",
        "CPUQuota=100% in the unit, or --cpus 1 in Docker")
    }
    let found = "\(facts.processors) for \(plan.shards) shards"
    if asked > facts.processors {
      return .change(
        "processors", "\(found): loops that share one wait for each other", "--shards \(facts.processors)")
    }
    return .fine("processors", found)
  }

  static func governor(_ facts: Facts, _ plan: Plan) -> Finding {
    let line = "cpupower frequency-set -g performance"
    guard let governor = facts.texts[Path.governor] else {
      return .fine("governor", "the machine shows no frequency control (virtual machines have none)")
    }
    let driver = facts.texts[Path.governorDriver] ?? ""
    let found = "\(Printable.short(governor)) (\(Printable.short(driver)))"
    switch governor {
    case "performance", "schedutil": return .fine("governor", found)
    // These drivers scale by themselves, whatever the name says.
    case "powersave" where driver.contains("pstate"):
      return .fine("governor", found, advice: ["for the least latency: \(line)"])
    default: return .change("governor", "\(found): a woken loop runs slowly at first", line)
    }
  }

  /// Advice only: the server does not need it.
  static func profiling(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let level = facts.number(Path.profiling) else {
      return .fine("profiling", "the kernel has no perf events")
    }
    let found = "kernel.perf_event_paranoid is \(level)"
    if level <= 1 { return .fine("profiling", found) }
    return .fine(
      "profiling", found,
      advice: ["only to profile as an ordinary user: sysctl -w kernel.perf_event_paranoid=1"])
  }
}
