import CMicroFloors
import Chat
import Embedded
import Glibc
import JSON

/// The chat without sockets: the edge machine alone, the store alone, and a direct message through both.
enum ChatBenchmarks {
  static func all() -> [Candidate] {
    let stores = [(50, 100), (512, 100), (512, 10_000)].map { records, chats in
      Candidate("store: batch of \(records), \(chats) chats") {
        try store($0, records: records, chats: chats)
      }
    }
    return [Candidate("edge: send, ack and delivery of 180 B", edge)] + stores
      + [Candidate("stored direct message, without sockets") { try message($0, records: Store.batchRecords) }]
  }

  private static let bodyBytes = 180
  /// Bytes of a row of the floor: body and the envelope that clients get.
  private static let rowBytes = 280

  // MARK: The edge

  /// A direct message from frame to append, from report to ack, and from batch to delivery.
  private static func edge(_ name: String) -> Benchmark {
    let driver = EdgeDriver(pairs: 100, bodyBytes: bodyBytes)
    let frame = permanent(Array(repeating: 0x61, count: 512))
    let room = permanent(Array(repeating: 0, count: 512))
    return Benchmark(
      name: name,
      floorName: "three looks and two copies of the bytes",
      ours: { times in driver.run(messages: times) { driver.answer() } },
      floor: { times in
        keep(floor_json(address(frame), 3 * rowBytes / 2, 2 * times))
        keep(floor_encode(address(room), address(frame), rowBytes, 2 * times))
      })
  }

  // MARK: The store

  private static func store(_ name: String, records: Int, chats: Int) throws -> Benchmark {
    let ours = try StoreDriver(chats: chats, bodyBytes: bodyBytes)
    let folder = try TemporaryFolder()
    guard let floor = floor_store_open(folder.path + "/floor.db") else { throw BenchmarkError.store }
    let value = permanent(Array(repeating: 0x61, count: rowBytes))
    return Benchmark(
      name: name, floorName: "SQLite: insert, heads, commit",
      ours: { times in
        for _ in 0..<times {
          ours.fill(records)
          ours.commit()
        }
      },
      floor: { times in
        for _ in 0..<times {
          floor_store_commit(floor, Int32(records), Int32(chats), address(value), Int32(rowBytes))
        }
        withExtendedLifetime(folder) {}
      }, operations: records)
  }

  // MARK: Both

  /// A message from frame to delivery, stored: all but the kernel's sockets.
  private static func message(_ name: String, records: Int) throws -> Benchmark {
    let store = try StoreDriver(chats: 0, bodyBytes: bodyBytes)
    let edge = EdgeDriver(
      pairs: 100, bodyBytes: bodyBytes, view: store.store.viewID, applied: store.store.applied)
    let folder = try TemporaryFolder()
    guard let floor = floor_store_open(folder.path + "/floor.db") else { throw BenchmarkError.store }
    let value = permanent(Array(repeating: 0x61, count: rowBytes))
    return Benchmark(
      name: name, floorName: "SQLite: insert, heads, commit",
      ours: { times in
        for _ in 0..<times {
          edge.run(messages: records) { edge.answer(from: store.store) }
        }
      },
      floor: { times in
        for _ in 0..<times { floor_store_commit(floor, Int32(records), 100, address(value), Int32(rowBytes)) }
        withExtendedLifetime(folder) {}
      }, operations: records)
  }
}

enum BenchmarkError: Error { case store }

/// A folder that is gone with its holder.
final class TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/fastchat-bench-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw BenchmarkError.store }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit {
    guard let folder = opendir(path) else { return }
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      unlink(path + "/" + name)
    }
    closedir(folder)
    rmdir(path)
  }
}
