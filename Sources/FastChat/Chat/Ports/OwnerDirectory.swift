/// What an owner asks of the directory once a batch stands in the view.

/// Who listens to what a batch brought: each name once, rooms by their chat ids.
public struct LookUp: Sendable, Equatable {
  public var users: [[UInt8]] = []
  public var rooms: [[UInt8]] = []

  public init() {}
}

extension ApplyRequest {
  /// Who listens, if each record becomes an event: what the owner asks then, name by name in the same order. A
  /// directory that answers in the view's own pipeline may be asked for it behind the records.
  public var expectedLookUp: LookUp {
    var lookUp = LookUp()
    var users: Set<[UInt8]> = []
    var rooms: Set<[UInt8]> = []
    func note(user: some Sequence<UInt8>) {
      let name = Array(user)
      if users.insert(name).inserted { lookUp.users.append(name) }
    }
    bytes.withUnsafeBytes { bytes in
      for record in records {
        let chat = UnsafeRawBufferPointer(rebasing: bytes[record.chat])
        switch ChatName(chat) {
        case .direct(let first, let second)?:
          note(user: first)
          note(user: second)
        case .room?:
          if rooms.insert(Array(chat)).inserted { lookUp.rooms.append(Array(chat)) }
          if record.kind.dependsOnState { note(user: bytes[record.from]) }
        case nil: break
        }
      }
    }
    return lookUp
  }
}

public struct LookedUp: Sendable {
  public var tag: UInt64
  public var hasFailed = false
  /// The ids of all primaries that answered, read after the look-ups on each.
  public var directories: [DirectoryID] = []
  /// For each user and room asked, in order: the servers that have sessions of the user, or members of the
  /// room online. A server may stand there with an epoch that is over.
  public var users: [[ServerEpoch]] = []
  public var rooms: [[ServerEpoch]] = []

  public init(tag: UInt64) { self.tag = tag }
}

/// The servers that hold a lease now, of all that ever had one.
public struct LeasesRead: Sendable {
  public var tag: UInt64
  public var hasFailed = false
  /// The id of the primary that answered, read after the leases.
  public var directories: [DirectoryID] = []
  public var living: [ServerEpoch] = []

  public init(tag: UInt64) { self.tag = tag }
}

/// The ids of all primaries of the directory.
public struct DirectoriesRead: Sendable {
  public var tag: UInt64
  public var hasFailed = false
  public var directories: [DirectoryID] = []

  public init(tag: UInt64) { self.tag = tag }
}
