/// What only a server among others is told: by its registrar, and by the log's brokers.
extension Edge {
  /// The room's registration, asked by `.listen`, stands in the directory.
  public func roomRegistered(_ chat: UnsafeRawBufferPointer) {
    beginInput()
  }

  /// Lease or directory is in doubt: all partitions hold their batches until `registeredAgain`.
  public func registrationDoubted() {
    beginInput()
  }

  /// All sessions and rooms of this server are registered with these primaries. Another epoch than before:
  /// what waits is answered `unavailable`, since its verdicts go to an inbox that nobody reads any more.
  public func registeredAgain(epoch: Epoch, directories: [DirectoryID]) {
    beginInput()
  }

  /// Batches of the inbox may be missing.
  public func inboxDoubted() {
    beginInput()
  }

  /// Until then removals of members reach this server: what it remembers authorises, later the view is
  /// asked.
  public func leaseHolds(until tick: Tick) {
    beginInput()
  }

  /// The answer to `.askLogEnd`; nil where the broker could not be asked.
  public func logEnded(partition: Int32, at end: Seq?) {
    beginInput()
  }
}
