import Chat

extension Configuration {
  /// Descriptors that are not connections: listeners, store, rings, standard streams, log.
  static let descriptorsReserved = 64

  /// Checks what no option can tell alone: which values go together, and whether the whole is safe.
  func check(descriptors: Int) throws(ConfigurationError) {
    if !listen.isLoopback, authentication == .none, !insecure {
      throw ConfigurationError(
        "--listen \(listen) can be reached from elsewhere, and with --auth none anybody may be anybody; "
          + "listen on 127.0.0.1, or accept it with --insecure")
    }
    if !admin.isLoopback, !insecure {
      throw ConfigurationError(
        "--admin \(admin) can be reached from elsewhere and asks for no key; "
          + "use 127.0.0.1, or accept it with --insecure")
    }
    if listen == admin, listen.port != 0 {
      throw ConfigurationError("--listen and --admin are both \(listen); give one another port")
    }
    let bytes = Quantity.bytes
    if limits.bodyBytes > limits.frameBytes {
      throw ConfigurationError(
        "--limits-body \(bytes.format(limits.bodyBytes)) does not fit into "
          + "--limits-frame \(bytes.format(limits.frameBytes)); lower the one or raise the other")
    }
    if connections + Self.descriptorsReserved > descriptors, connections > 0 {
      throw ConfigurationError(
        "--limits-connections \(connections) needs \(connections + Self.descriptorsReserved) open files and "
          + "the process may have \(descriptors); raise it (ulimit -n, LimitNOFILE=) or lower the limit")
    }
  }
}
