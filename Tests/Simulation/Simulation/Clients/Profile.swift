/// How many people a run has, and what they do how often.
public struct Profile: Sendable {
  public var users = 4
  public var devicesPerUser = 2
  /// Public rooms and private ones.
  public var rooms = 2
  public var privateRooms = 1
  public var instances = 3
  /// Milliseconds between two things that a device does, on average.
  public var pauseMilliseconds: Int64 = 400
  /// Bytes that are added to some bodies, so that bounds of bytes are met.
  public var largeBody = 2_000
  /// What a device does, by weight.
  public var weights = Weights()
  /// How long a device stays away at most: beyond the window it expects `reset`.
  public var longAbsenceMilliseconds: Int64 = 30 * 60_000

  public struct Weights: Sendable {
    public var sendToRoom = 30
    public var sendToUser = 30
    public var join = 6
    public var leave = 4
    public var create = 2
    public var history = 5
    public var chats = 3
    public var members = 2
    public var read = 4
    public var typing = 2
    /// Many joinings and leavings of a room at once.
    public var storm = 1
    /// Close, and come back at another instance at once.
    public var move = 3
    /// The network is gone without a close; the device comes back while the old connection still stands.
    public var cut = 3
    /// A second connection while the first one still works.
    public var overlap = 1
    /// Away for seconds, for nearly the dedupe time, for longer than the window.
    public var nap = 2
    public var sleep = 1
    public var absence = 0
    /// Everything that the device kept is lost: it comes back without cursors.
    public var forget = 1

    public init() {}
  }

  public init() {}
}
