/// The time that messages carry, and what it costs to read.
enum ClockChecks {
  static func synchronised(_ facts: Facts, _ plan: Plan) -> Finding {
    switch facts.clockIsSynchronised {
    case true?: .fine("clock", "synchronised")
    case nil: .fine("clock", "the kernel does not say whether it is synchronised")
    case false?:
      .change(
        "clock", "not synchronised: the times of messages would drift (their order does not depend on them)",
        "timedatectl set-ntp true", "or run chronyd")
    }
  }

  static func source(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let source = facts.texts[Path.clockSource] else {
      return .fine("clock source", "the kernel does not tell it")
    }
    // Read without a system call (vDSO).
    let fast = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"]
    if fast.contains(source) { return .fine("clock source", source) }
    let found = "\(Printable.short(source)): each reading is a system call"
    let better = facts.words(Path.clockSources).first { fast.contains(String($0)) }
    if let better {
      return .change("clock source", found, "echo \(better) > \(Path.clockSource)")
    }
    return .change(
      "clock source", found, "boot with clocksource=tsc tsc=reliable, if the processor's counter is steady")
  }
}
