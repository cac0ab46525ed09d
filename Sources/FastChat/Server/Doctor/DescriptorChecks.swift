/// Open files: those of the process, and those of the whole machine.
enum DescriptorChecks {
  /// Fewer connections than this are a limit that somebody forgot, not one that somebody chose.
  private static let connectionsModest = 9_000
  /// What the README's unit asks for.
  private static let descriptorsUsual = 1_048_576

  static func process(_ facts: Facts, _ plan: Plan) -> Finding {
    let asked = plan.configuration.connections
    let need = asked + Configuration.descriptorsReserved
    if asked > 0, need > facts.descriptors {
      return .broken(
        "descriptors",
        "--limits-connections \(asked) needs \(need) open files, and \(facts.descriptors) are allowed",
        raise(to: need, facts), "or --limits-connections \(max(facts.descriptors / 10 * 9, 1))")
    }
    let found =
      "\(facts.descriptors) open files (the hard limit, which serve raises its soft one to): "
      + "\(plan.connections) connections"
    if asked == 0, plan.connections < connectionsModest {
      return .change(
        "descriptors", found, raise(to: descriptorsUsual, facts),
        "or say that so many are meant: --limits-connections \(plan.connections)")
    }
    return .fine("descriptors", found + (asked > 0 ? ", as --limits-connections says" : ", 90 %"))
  }

  private static func raise(to count: Int, _ facts: Facts) -> String {
    let line = "LimitNOFILE=\(count) in the unit's [Service], or ulimit -n \(count) in a shell of root"
    guard let max = facts.number(Path.descriptorsOfProcess), count > max else { return line }
    return "sysctl -w fs.nr_open=\(count), then " + line
  }

  static func machine(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let max = facts.number(Path.filesMax), let open = facts.number(Path.filesOpen) else {
      return .fine("files", "the kernel does not tell fs.file-max")
    }
    let need = open + plan.connections + Configuration.descriptorsReserved
    guard need > max else {
      return .fine("files", "\(open) of the machine's \(max) are open (fs.file-max)")
    }
    return .change(
      "files",
      "\(open) of the machine's \(max) files are open, and \(plan.connections) connections do not fit",
      "sysctl -w fs.file-max=\(need * 2)")
  }
}
