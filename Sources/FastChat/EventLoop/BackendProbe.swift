import CLinuxIO
import Glibc

/// Finds out by trying which ways to wait for sockets this kernel offers: what a version number promises
/// may be switched off (seccomp, `kernel.io_uring_disabled`) or patched in.
public enum BackendProbe {
  /// Tries each feature once, in a few milliseconds. Do it once a process, and give the report to each loop.
  public static func run() -> BackendReport {
    var report = BackendReport()
    probeSetup(&report)
    guard report.present.contains(.ring) else { return report }
    probeRequests(&report)
    return report
  }

  private static func probeSetup(_ report: inout BackendReport) {
    var ring = io_uring()
    var parameters = io_uring_params()
    let plain = io_uring_queue_init_params(4, &ring, &parameters)
    report.note(.ring, plain)
    guard plain >= 0 else { return }
    func has(_ bit: UInt32) -> Int32 { parameters.features & bit != 0 ? 0 : -ENOSYS }
    report.note(.waitWithTimeout, has(UInt32(bitPattern: Int32(IORING_FEAT_EXT_ARG))))
    report.note(.noDrop, has(UInt32(bitPattern: Int32(IORING_FEAT_NODROP))))
    report.note(.stableSubmission, has(UInt32(bitPattern: Int32(IORING_FEAT_SUBMIT_STABLE))))
    let registered = io_uring_register_ring_fd(&ring)
    report.note(.registeredRing, registered < 0 ? registered : 0)
    io_uring_queue_exit(&ring)

    for (feature, flags) in BackendReport.setupFlags {
      let result = setUp(&ring, entries: 4, completions: 8, flags: flags)
      report.note(feature, result)
      if result >= 0 { io_uring_queue_exit(&ring) }
    }
  }

  private static func probeRequests(_ report: inout BackendReport) {
    var ring = io_uring()
    guard setUp(&ring, entries: 4, completions: 8, flags: report.setupFlags) >= 0 else { return }
    defer { io_uring_queue_exit(&ring) }
    guard let entries = try? mapTable(of: io_uring_buf.self, count: 2) else { return }
    defer { unmapTable(entries, count: 2) }
    let buffers = UnsafeMutableRawPointer(entries).assumingMemoryBound(to: io_uring_buf_ring.self)
    let registered = register(&ring, buffers, entries: 2, group: 0)
    report.note(.bufferRing, registered)
    report.note(.multishotAccept, tryAccept(&ring))
    report.note(.multishotReceive, registered < 0 ? registered : tryReceive(&ring, buffers))
  }

  /// A listener on which nobody calls: a kernel that knows the request keeps it, others refuse at once.
  private static func tryAccept(_ ring: UnsafeMutablePointer<io_uring>) -> Int32 {
    let listener = socket(AF_UNIX, linuxio_stream_socket, 0)
    guard listener >= 0 else { return -errno }
    defer { closeDescriptor(listener) }
    // Only the family: the kernel chooses a name (unix(7), autobind).
    var address = sockaddr()
    address.sa_family = sa_family_t(AF_UNIX)
    guard bind(listener, &address, socklen_t(MemoryLayout<sa_family_t>.size)) == 0,
      listen(listener, 1) == 0, let entry = io_uring_get_sqe(ring)
    else { return -errno }
    io_uring_prep_multishot_accept(entry, listener, nil, nil, 0)
    io_uring_sqe_set_data64(entry, 1)
    return min(completion(ring)?.result ?? 0, 0)
  }

  /// A socket with a byte in it.
  private static func tryReceive(
    _ ring: UnsafeMutablePointer<io_uring>, _ buffers: UnsafeMutablePointer<io_uring_buf_ring>
  ) -> Int32 {
    var pair: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, linuxio_stream_socket, 0, &pair) == 0 else {
      return -errno
    }
    defer { pair.forEach(closeDescriptor) }
    let room = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
    defer { room.deallocate() }
    io_uring_buf_ring_add(buffers, room, 64, 0, 1, 0)
    io_uring_buf_ring_advance(buffers, 1)
    guard send(pair[1], "x", 1, Int32(MSG_NOSIGNAL)) == 1, let entry = io_uring_get_sqe(ring)
    else { return -EIO }
    io_uring_prep_recv_multishot(entry, pair[0], nil, 0, 0)
    entry.pointee.flags |= linuxio_sqe_buffer_select
    entry.pointee.buf_group = 0
    io_uring_sqe_set_data64(entry, 2)
    guard let first = completion(ring) else { return -EIO }
    if first.result < 0 { return first.result }
    let wanted = UInt32(IORING_CQE_F_MORE | IORING_CQE_F_BUFFER)
    return first.flags & wanted == wanted ? 0 : -EOPNOTSUPP
  }

  private static func completion(_ ring: UnsafeMutablePointer<io_uring>) -> linuxio_completion? {
    _ = io_uring_submit_and_get_events(ring)
    var completion = linuxio_completion()
    return linuxio_collect(ring, &completion, 1) == 1 ? completion : nil
  }

  // MARK: What the backend sets up the same way

  /// io_uring_setup(2); `-errno` or at least 0.
  static func setUp(
    _ ring: UnsafeMutablePointer<io_uring>, entries: UInt32, completions: UInt32, flags: UInt32
  ) -> Int32 {
    var parameters = io_uring_params()
    parameters.flags = flags | UInt32(IORING_SETUP_CQSIZE)
    parameters.cq_entries = completions
    return io_uring_queue_init_params(entries, ring, &parameters)
  }

  /// Makes a mapped table the ring that receive buffers are taken from; `-errno` or at least 0.
  static func register(
    _ ring: UnsafeMutablePointer<io_uring>, _ buffers: UnsafeMutablePointer<io_uring_buf_ring>,
    entries: Int, group: UInt16
  ) -> Int32 {
    var registration = io_uring_buf_reg()
    registration.ring_addr = UInt64(UInt(bitPattern: buffers))
    registration.ring_entries = UInt32(entries)
    registration.bgid = group
    let result = io_uring_register_buf_ring(ring, &registration, 0)
    if result >= 0 { io_uring_buf_ring_init(buffers) }
    return result
  }
}
