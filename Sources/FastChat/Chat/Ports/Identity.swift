/// A server's start, or its coming back after a lost inbox: random, never 0, compared for equality only.
public typealias Epoch = UInt64

/// Names one life of a partition's view: random, never 0, another one after each rebuild.
public typealias ViewID = UInt64

/// Names one primary of the directory in one of its lives: the first 64 bits of a Redis primary's
/// `master_replid`; never 0.
public typealias DirectoryID = UInt64

/// One server in one epoch: whom an inbox belongs to.
public struct ServerEpoch: Hashable, Sendable {
  public var server: String
  public var epoch: Epoch

  public init(server: String, epoch: Epoch) {
    self.server = server
    self.epoch = epoch
  }
}
