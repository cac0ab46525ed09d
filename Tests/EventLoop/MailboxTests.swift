import CLinuxIO
import EventLoop
import Glibc
import Testing

@Suite("Words from other threads")
struct MailboxTests {
  @Test("Many threads post, the loop takes each message once, each thread's in order", arguments: backends)
  func manyProducers(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let mailbox = try Mailbox<(thread: Int, number: Int)>(capacity: 1_000)
    try driver.loop.watch(mailbox)
    var next = [0, 0, 0, 0]
    var inOrder = true
    var messages: [(thread: Int, number: Int)] = []
    driver.onEvent = { _, event in
      guard case .mail = event else { return }
      mailbox.drain(into: &messages)
      for message in messages {
        if next[message.thread] != message.number { inOrder = false }
        next[message.thread] = message.number + 1
      }
    }
    let threads = try (0..<4).map { number in
      try LoopThread(name: "producer-\(number)") { post(5_000, as: number, to: mailbox) }
    }
    #expect(driver.pump { next == [5_000, 5_000, 5_000, 5_000] })
    #expect(inOrder)
    for thread in threads { thread.join() }
  }

  @Test("A post wakes a loop that sleeps; more of them before it looks are one word", arguments: backends)
  func wake(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let mailbox = try Mailbox<Int>(capacity: 200)
    try driver.loop.watch(mailbox)
    driver.turn(waitAtMostMilliseconds: 0)
    let thread = try LoopThread(name: "waker") {
      usleep(20_000)
      for number in 0..<100 { _ = mailbox.post(number) }
    }
    // Nothing else would end this wait.
    let start = now()
    driver.turn(waitAtMostMilliseconds: 30_000)
    #expect(now() - start < 25_000)
    thread.join()
    driver.pump(milliseconds: 10)
    #expect(driver.mails == 1)
    var messages: [Int] = []
    mailbox.drain(into: &messages)
    #expect(messages == Array(0..<100))
    // Empty again: the next post is a word again.
    for round in 2...4 {
      #expect(mailbox.post(round))
      #expect(driver.pump { driver.mails == round })
      mailbox.drain(into: &messages)
      #expect(messages == [round])
    }
  }

  @Test("A full mailbox says so, and takes again when it was emptied")
  func bound() throws {
    let mailbox = try Mailbox<Int>(capacity: 3)
    #expect((0..<5).map { mailbox.post($0) } == [true, true, true, false, false])
    var messages = [9]
    mailbox.drain(into: &messages)
    #expect(messages == [0, 1, 2])
    mailbox.drain(into: &messages)
    #expect(messages.isEmpty)
    #expect(mailbox.post(7))
    mailbox.drain(into: &messages)
    #expect(messages == [7])
  }

  @Test("Words posted before the loop watches are told", arguments: backends)
  func postedBefore(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let mailbox = try Mailbox<Int>(capacity: 3)
    #expect(mailbox.post(1))
    try driver.loop.watch(mailbox)
    #expect(driver.pump { driver.mails == 1 })
  }

  @Test("Each edge of a foreign descriptor is told with its tag", arguments: backends)
  func foreignDescriptor(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let descriptors = (0..<2).map { _ in eventfd(0, linuxio_eventfd_flags) }
    for (index, descriptor) in descriptors.enumerated() {
      try driver.loop.watch(descriptor: descriptor, tag: UInt64(index) + 70)
    }
    driver.pump(milliseconds: 10)
    #expect(driver.readable.isEmpty)
    for (index, descriptor) in [descriptors[1], descriptors[0], descriptors[1]].enumerated() {
      var one: UInt64 = 1
      #expect(write(descriptor, &one, 8) == 8)
      #expect(driver.pump { driver.readable.count == index + 1 })
    }
    #expect(driver.readable == [71, 70, 71])
    for descriptor in descriptors { close(descriptor) }
  }

  @Test("A descriptor that is watched no more tells nothing, and its place is another's", arguments: backends)
  func watchedNoMore(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    var one: UInt64 = 1
    // More than a loop watches at one time.
    for tag in 0..<UInt64(EventLoop.watchesMax) + 8 {
      let descriptor = eventfd(0, linuxio_eventfd_flags)
      try driver.loop.watch(descriptor: descriptor, tag: tag)
      driver.pump(milliseconds: 1)
      #expect(write(descriptor, &one, 8) == 8)
      #expect(driver.pump { driver.readable.last == tag })
      driver.loop.unwatch(descriptor: descriptor)
      driver.pump(milliseconds: 1)
      #expect(write(descriptor, &one, 8) == 8)
      driver.pump(milliseconds: 1)
      #expect(driver.readable.count == Int(tag) + 1)
      close(descriptor)
    }
  }

  @Test("A word that may not be lost is taken by a full mailbox, in its place")
  func always() throws {
    let mailbox = try Mailbox<Int>(capacity: 1)
    #expect(mailbox.post(1))
    mailbox.postAlways(2)
    #expect(!mailbox.post(3))
    var messages: [Int] = []
    mailbox.drain(into: &messages)
    #expect(messages == [1, 2])
  }
}

private func post(_ count: Int, as thread: Int, to mailbox: Mailbox<(thread: Int, number: Int)>) {
  for number in 0..<count { while !mailbox.post((thread, number)) { usleep(100) } }
}
