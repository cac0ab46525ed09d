/// Memory: how much there is for what the flags ask, and what the kernel may do with it.
enum MemoryChecks {
  /// Pages that wait are kept rather than swapped out up to here.
  private static let swappinessMax = 10

  static func memory(_ facts: Facts, _ plan: Plan) -> Finding {
    let budget = MemoryBudget(plan)
    guard let available = facts.field("MemAvailable", of: Path.memory).flatMap({ Int($0) }) else {
      return .fine("memory", "the kernel does not tell how much is available")
    }
    var bytes = available << 10
    var whose = "\(Amount.bytes(bytes)) available"
    for group in facts.groups {
      guard let left = group.memoryLeft, left < bytes else { continue }
      bytes = left
      whose = "\(Amount.bytes(left)) left in the control group \(Printable.short(group.path))"
    }
    let asked =
      "\(budget.connections) idle connections take \(Amount.bytes(budget.restBytes)) "
      + "(\(budget.connectionBytes) bytes each), all bounds at once \(Amount.bytes(budget.fullBytes))"
    guard budget.fullBytes > bytes else { return .fine("memory", "\(whose); \(asked)") }
    let fitting = budget.connectionsFitting(bytes)
    let raise = "or raise it: MemoryMax= in the unit, or more memory"
    if fitting > 0 {
      return .change("memory", "\(whose), and \(asked)", "--limits-connections \(fitting)", raise)
    }
    return .change(
      "memory", "\(whose), and \(asked)",
      "--limits-append-bytes and --limits-handshake-bytes lower, and fewer --limits-connections", raise)
  }

  static func swap(_ facts: Facts, _ plan: Plan) -> Finding {
    let total = facts.field("SwapTotal", of: Path.memory).flatMap { Int($0) } ?? 0
    guard total > 0 else { return .fine("swap", "none") }
    let swappiness = facts.number(Path.swappiness) ?? 60
    let found = "\(Amount.bytes(total << 10)), vm.swappiness \(swappiness)"
    guard swappiness > swappinessMax else { return .fine("swap", found) }
    return .change(
      "swap", "\(found): a loop whose pages were swapped out stands still for all its clients",
      "sysctl -w vm.swappiness=1", "or MemorySwapMax=0 in the unit's [Service]")
  }

  static func hugePages(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let enabled = facts.choice(Path.hugePages) else {
      return .fine("huge pages", "the kernel has no transparent ones")
    }
    let defrag = facts.choice(Path.hugePagesDefrag) ?? "unknown"
    let found = "transparent_hugepage is \(enabled), its defrag \(defrag)"
    let line = "echo madvise > \(Path.hugePages)"
    if enabled == "always", defrag == "always" {
      return .change(
        "huge pages", "\(found): a page fault may wait for the kernel to move memory together", line)
    }
    return .fine(
      "huge pages", found, advice: enabled == "always" ? ["tables grow in steps of 2 MiB; else: \(line)"] : []
    )
  }
}
