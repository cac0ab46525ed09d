/// What a simulated primary holds: a value, so that a snapshot is a copy.
public struct Keyspace: Sendable {
  public init() {}
}
