/// A line of /proc/self/mountinfo (proc(5)): what is mounted where.
struct Mount: Sendable, Equatable {
  let point: String
  /// `ext4`, `tmpfs`, `nfs4`, `fuse.sshfs`.
  let kind: String
  /// Of the mount and of the file system, together.
  let options: [String]

  /// What a file of this absolute path, links resolved, stands on; nil where the text does not say.
  static func holding(_ path: String, in text: String) -> Mount? {
    var best: Mount?
    for line in text.split(separator: "\n") {
      guard let mount = Mount(line), mount.holds(path) else { continue }
      // Of two at one place the later one covers the earlier.
      if mount.point.utf8.count >= best?.point.utf8.count ?? 0 { best = mount }
    }
    return best
  }

  /// `27 1 254:0 / /srv rw,relatime shared:1 - ext4 /dev/vda rw,discard`
  init?(_ line: Substring) {
    let words = line.split(separator: " ")
    guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count > dash + 1 else { return nil }
    point = Self.unescaped(words[4])
    kind = String(words[dash + 1])
    let last = words.count > dash + 3 ? words[dash + 3] : ""
    options = (words[5].split(separator: ",") + last.split(separator: ",")).map(String.init)
  }

  private func holds(_ path: String) -> Bool {
    point == "/" || path == point || path.hasPrefix(point + "/")
  }

  /// Spaces and the like are written as `\040`.
  private static func unescaped(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3,
        let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest.removeFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: Kinds

  /// Gone with the machine's next start.
  var isMemory: Bool { kind == "tmpfs" || kind == "ramfs" }

  /// Shared with other machines: locks and shared memory of SQLite's log do not hold there
  /// (sqlite.org/wal.html, section 1).
  var isNetwork: Bool {
    [
      "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "gfs2",
      "ocfs2", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone",
      "fuse.juicefs",
    ].contains(kind)
  }

  /// Of a container, and gone with it.
  var isLayered: Bool { kind == "overlay" || kind == "aufs" }

  /// Told not to make the disk write what was synced.
  var passesBarriersOver: Bool { options.contains("nobarrier") || options.contains("barrier=0") }
}
