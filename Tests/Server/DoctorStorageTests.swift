import Chat
import Glibc
import Support
import Testing

@testable import Server

/// What the doctor says of the data directory and its disk.
@Suite struct DoctorStorageTests {
  private func mounted(_ line: String) -> DoctorReport {
    DoctorMachine.examine { facts in
      facts.texts[Path.mounts] = "27 1 254:0 / / rw,relatime - ext4 /dev/vda1 rw\n" + line
    }
  }

  // MARK: The directory

  @Test func aDirectoryThatCanBeMadeIsFine() {
    #expect(DoctorMachine.examine { $0.data.state = .absent(parentIsWritable: true) }.wrong.isEmpty)
  }

  @Test(arguments: [
    (DataFacts.State.absent(parentIsWritable: false), "this user may not make it"),
    (.absent(parentIsWritable: nil), "nor the directory that it would be made in"),
    (.notDirectory, "is no directory"), (.unreachable(errno: EACCES), "Permission denied"),
    (.present(owner: 0, mode: 0o755, isWritable: false), "owner 0, mode 755: user 1000 may not write there"),
  ])
  func aDirectoryThatTheServerCannotUseIsBroken(state: DataFacts.State, expected: String) throws {
    let report = DoctorMachine.examine { facts in
      facts.data.state = state
      facts.data.sync = .notTried
    }
    #expect(report.wrong == ["data"] && report.exitCode == 3)
    let finding = try #require(report["data"])
    #expect(finding.found.contains(expected) && !finding.how.isEmpty)
  }

  @Test func aStoreOfAnotherUserOrAnotherServerIsBroken() {
    let other = DoctorMachine.examine { $0.data.unwritableFiles = ["fastchat.db"] }
    #expect(other["data"]?.level == .broken && other["data"]?.found.contains("fastchat.db") == true)
    let running = DoctorMachine.examine { $0.data.holder = 4_711 }
    #expect(running["data"]?.level == .broken)
    #expect(running["data"]?.found.contains("another server (process 4711)") == true)
  }

  @Test func aDirectoryThatOthersMayReadIsSaid() {
    var configuration = Configuration()
    configuration.dataDirectory = "/srv/our chat's"
    let report = DoctorMachine.examine(configuration) {
      $0.data.state = .present(owner: 1_000, mode: 0o750, isWritable: true)
    }
    #expect(report.wrong == ["data"])
    #expect(report["data"]?.how == [#"chmod 700 '/srv/our chat'\''s'"#])
  }

  @Test func linesToPasteHoldNoCharactersThatAShellWouldTake() {
    #expect(Shell.word("/srv/chat-1") == "/srv/chat-1")
    #expect(Shell.word("a;b") == "'a;b'")
    #expect(Shell.word("$(x)\n") == "'$(x)?'")
    #expect(Shell.word("") == "''")
  }

  // MARK: The file system

  @Test(arguments: [
    ("40 27 0:30 / /srv rw - tmpfs tmpfs rw,size=1g", "is memory"),
    ("40 27 0:30 / /srv rw - nfs4 filer:/chat rw,vers=4.2", "is on a network"),
    ("40 27 0:30 / /srv rw - fuse.sshfs me@there: rw", "is on a network"),
    ("40 27 0:30 / /srv/chat rw - overlay overlay rw,lowerdir=/l", "belongs to a container"),
    ("40 27 8:1 / /srv rw - ext4 /dev/sda1 rw,nobarrier", "a power cut loses"),
  ])
  func aFileSystemThatMayLoseWhatWasAcknowledgedIsSaid(line: String, expected: String) {
    let report = mounted(line)
    #expect(report.wrong == ["file system"] && report.exitCode == 1)
    #expect(report["file system"]?.found.contains(expected) == true)
  }

  @Test func aFileSystemThatIsReadOnlyIsBroken() {
    let report = mounted("40 27 8:1 / /srv ro,relatime - ext4 /dev/sda1 rw")
    #expect(report.wrong == ["file system"] && report.exitCode == 3)
    #expect(report["file system"]?.how.first == "mount -o remount,rw /srv")
    let told = DoctorMachine.examine { $0.data.space?.isReadOnly = true }
    #expect(told.wrong == ["file system"])
  }

  @Test func theDeepestAndLatestMountIsTheOneThatCounts() {
    let text = """
      27 1 254:0 / / rw - ext4 /dev/vda1 rw
      40 27 8:1 / /srv rw,noatime shared:3 master:1 - xfs /dev/sdb1 rw
      41 40 0:9 / /srv/chat rw - tmpfs tmpfs rw
      42 40 8:2 / /srv/chat rw - btrfs /dev/sdc1 rw
      43 27 0:11 / /srv/my\\040chat rw - ext4 /dev/sdd1 rw
      not a mount
      """
    #expect(Mount.holding("/srv/chat/x", in: text)?.kind == "btrfs")
    #expect(Mount.holding("/srv/chatter", in: text)?.kind == "xfs")
    #expect(Mount.holding("/srv/my chat", in: text)?.point == "/srv/my chat")
    #expect(Mount.holding("/home", in: text)?.point == "/")
    #expect(Mount.holding("/home", in: "") == nil)
  }

  // MARK: The disk

  @Test(arguments: [
    (10 << 30, 1_000, Finding.Level.fine), (500 << 20, 1_000, .change), (10 << 20, 1_000, .broken),
    (0, 1_000, .broken), (10 << 30, 3, .broken),
  ])
  func aFullDiskIsBrokenAndANearlyFullOneSaid(bytes: Int, inodes: Int, level: Finding.Level) {
    let report = DoctorMachine.examine {
      $0.data.space = DataFacts.Space(freeBytes: bytes, freeInodes: inodes)
    }
    #expect(report["disk space"]?.level == level)
    #expect(report.wrong == (level == .fine ? [] : ["disk space"]))
  }

  @Test func aFileSystemThatCountsNoInodesHasEnough() {
    let report = DoctorMachine.examine { $0.data.space?.freeInodes = nil }
    #expect(report.wrong.isEmpty)
  }

  @Test(arguments: [
    (400_000 as UInt64, 90_000_000 as UInt64, Finding.Level.fine), (12_000_000, 90_000_000, .change),
    (400_000, 2_000_000_000, .change), (900, 40_000, .fine),
  ])
  func aSlowDiskIsSaid(median: UInt64, max: UInt64, level: Finding.Level) throws {
    let report = DoctorMachine.examine {
      $0.data.sync = .times(
        DataFacts.SyncTimes(count: 50, medianNanoseconds: median, maxNanoseconds: max))
    }
    let finding = try #require(report["fsync"])
    #expect(finding.level == level)
    #expect(finding.how.isEmpty == (median == 400_000 && level == .fine))
  }

  @Test func aDiskThatTakesNothingIsBroken() {
    let report = DoctorMachine.examine { $0.data.sync = .failed(errno: ENOSPC) }
    #expect(report.wrong == ["fsync"] && report.exitCode == 3)
    #expect(report["fsync"]?.found.contains("No space left on device") == true)
  }

  // MARK: This machine

  @Test func theDirectoryIsLookedAtAndNothingStays() throws {
    let directory = try TemporaryDirectory()
    let present = DataFacts.gather(directory.path)
    #expect(present.state == .present(owner: geteuid(), mode: 0o700, isWritable: true))
    guard case .times(let times) = present.sync else {
      Issue.record("not timed: \(present.sync)")
      return
    }
    #expect(times.count > 0 && times.maxNanoseconds >= times.medianNanoseconds)
    #expect(present.space != nil && present.holder == nil && present.unwritableFiles.isEmpty)
    let absent = DataFacts.gather(directory.path + "/data/")
    #expect(absent.state == .absent(parentIsWritable: true))
    #expect(absent.realPath == present.realPath)
    #expect(DataFacts.gather(directory.path + "/no/data").state == .absent(parentIsWritable: nil))
    #expect(rmdir(directory.path) == 0, "something was left behind")
  }

  @Test func theDirectoryAboveIsFoundInEveryFormOfAPath() {
    for (path, parent) in [
      ("/srv/x/y", "/srv/x"), ("/srv/x/", "/srv"), ("/x", "/"), ("/", "/"), ("data", "."), ("./data", "."),
    ] { #expect(DataFacts.directory(holding: path) == parent) }
  }

  @Test func theHolderOfALockIsFoundByDeviceAndInode() {
    let text = """
      1: POSIX  ADVISORY  WRITE 3000 fe:00:77 0 EOF
      2: FLOCK  ADVISORY  WRITE 4711 fe:00:77 0 EOF
      3: FLOCK  ADVISORY  WRITE -1 fe:10:78 0 EOF
      """
    #expect(FileLock.holder(in: text, major: 0xFE, minor: 0, inode: 77) == 4_711)
    #expect(FileLock.holder(in: text, major: 0xFE, minor: 0x10, inode: 78) == 0)
    #expect(FileLock.holder(in: text, major: 0xFE, minor: 1, inode: 77) == nil)
  }
}
