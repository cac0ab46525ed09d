import EventLoop
import Glibc

/// The two addresses that the server listens on, and what may take their ports away.
enum PortChecks {
  /// CAP_NET_BIND_SERVICE (capabilities(7)).
  private static let bindCapability = 10
  /// Where ports that everybody may have begin, unless the kernel says otherwise.
  private static let unprivilegedFrom = 1_024

  static func listen(_ facts: Facts, _ plan: Plan) -> Finding {
    port(plan.configuration.listen, facts.listen, facts)
  }

  static func admin(_ facts: Facts, _ plan: Plan) -> Finding {
    port(plan.configuration.admin, facts.admin, facts)
  }

  private static func port(_ address: Address, _ fact: PortFact, _ facts: Facts) -> Finding {
    let flag = "--\(fact.flag)"
    switch fact.outcome {
    case .free: return .fine(fact.flag, "\(address) is free")
    case .inUse:
      return .broken(
        fact.flag, "\(address) is in use", "ss -ltnp 'sport = :\(address.port)' tells by whom: end it",
        "or take another one: \(flag) \(address.description(port: 0))")
    case .refused(errno: EACCES):
      let from = facts.number(Path.portsPrivileged) ?? unprivilegedFrom
      let has = facts.hasCapability(bindCapability)
      return .broken(
        fact.flag,
        has
          ? "\(address) is refused though the process may take ports below \(from): a security module forbids it"
          : "\(address) is below \(from), and the process may not take such ports",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit's [Service]",
        "or sysctl -w net.ipv4.ip_unprivileged_port_start=\(address.port)",
        "or a port from \(from) on")
    case .refused(errno: EADDRNOTAVAIL):
      return .broken(
        fact.flag, "no interface of this machine has the address \(address.host)",
        "ip -brief address tells those that it has: \(flag) ADDRESS:\(address.port)")
    case .refused(errno: EAFNOSUPPORT):
      return .broken(
        fact.flag, "\(address): the kernel has no IPv6", "boot without ipv6.disable=1",
        "or \(flag) with an IPv4 address")
    case .refused(let code):
      return .broken(
        fact.flag, "\(address): \(String(cString: strerror(code)))", "\(flag) with another address or port")
    }
  }

  /// Ports that the kernel gives to outgoing connections.
  static func range(_ facts: Facts, _ plan: Plan) -> Finding {
    let range = facts.numbers(Path.portRange)
    guard range.count == 2, range[0] <= range[1] else {
      return .fine("port range", "the kernel does not tell net.ipv4.ip_local_port_range")
    }
    let reserved = facts.texts[Path.portsReserved] ?? ""
    let ours = [plan.configuration.listen, plan.configuration.admin].map { Int($0.port) }
    let endangered = ours.filter { port in
      port > 0 && (range[0]...range[1]).contains(port) && !isReserved(port, in: reserved)
    }
    let found = "\(range[0]) to \(range[1]) go to outgoing connections"
    guard endangered.isEmpty else {
      let all = (reserved.isEmpty ? [] : [reserved]) + endangered.map(String.init)
      return .change(
        "port range", "\(found), which may have port \(endangered[0]) when the server starts",
        "sysctl -w net.ipv4.ip_local_reserved_ports=\(all.joined(separator: ","))")
    }
    let count = range[1] - range[0] + 1
    guard plan.configuration.listen.isLoopback, plan.connections > count else {
      return .fine("port range", found)
    }
    return .fine(
      "port range", found,
      advice: [
        "a proxy on this machine gets \(count) connections to one address: "
          + "sysctl -w net.ipv4.ip_local_port_range='10000 65535', and several 127.0.0.x"
      ])
  }

  /// `8080,9000-9100`
  private static func isReserved(_ port: Int, in text: String) -> Bool {
    text.split(separator: ",").contains { part in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first <= last else { return false }
      return (first...last).contains(port)
    }
  }
}
