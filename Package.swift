// swift-tools-version: 6.2
import PackageDescription

// No outside Swift package, on purpose: the root package builds wherever Swift and the Debian
// packages of scripts/packages are.

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("ExistentialAny"),
  // The objects of a shard never leave its thread; the checks of exclusive access that the compiler
  // cannot remove cost more on the message path than the parsing does.
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]
let strictC: [CSetting] = [.enableWarning("all"), .treatAllWarnings(as: .error)]

let package = Package(
  name: "FastChat",
  products: [
    .executable(name: "fastchat", targets: ["CLI"]),
    .executable(name: "fastchat-load", targets: ["Load"]),
    .executable(name: "fastchat-sim", targets: ["SimulationProgram"]),
    .executable(name: "fastchat-chaos", targets: ["ChaosProgram"]),
    .library(name: "FastChatClient", targets: ["Client"]),
  ],
  targets: [
    // Floor 0: C, nothing but what Swift cannot say.
    .target(
      name: "CLinuxIO", path: "Sources/CShims/LinuxIO", cSettings: strictC,
      linkerSettings: [.linkedLibrary("uring")]),
    .target(name: "CAssets", path: "Sources/CShims/Assets", cSettings: strictC),
    .target(name: "CCommandLine", path: "Sources/CShims/CommandLine", cSettings: strictC),
    .target(
      name: "CEdit", path: "Sources/CShims/Edit", cSettings: strictC,
      linkerSettings: [.linkedLibrary("edit")]),
    .systemLibrary(name: "CHiredis", path: "Sources/CShims/Redis"),
    .systemLibrary(name: "CInih", path: "Sources/CShims/Inih"),
    .systemLibrary(name: "CRdkafka", path: "Sources/CShims/Kafka"),
    .systemLibrary(name: "COpenSSL", path: "Sources/CShims/OpenSSL"),
    .systemLibrary(name: "CSQLite", path: "Sources/CShims/SQLite"),
    .target(name: "CTimer", path: "Sources/CShims/Timer", cSettings: strictC),
    .systemLibrary(name: "CZlib", path: "Sources/CShims/Zlib"),

    // Floor 1: pure.
    .target(name: "JSON", path: "Sources/FastChat/JSON", swiftSettings: strict),
    .target(
      name: "WebSocket", dependencies: ["CZlib", "COpenSSL"], path: "Sources/FastChat/WebSocket",
      swiftSettings: strict),
    .target(name: "Chat", dependencies: ["JSON"], path: "Sources/FastChat/Chat", swiftSettings: strict),

    // Floor 2.
    .target(
      name: "EventLoop", dependencies: ["CLinuxIO"], path: "Sources/FastChat/EventLoop",
      swiftSettings: strict),

    // Floor 3: the ways to fill the domain's ports.
    .target(
      name: "Embedded", dependencies: ["CSQLite", "Chat", "JSON"], path: "Sources/FastChat/Embedded",
      swiftSettings: strict),
    .target(
      name: "Kafka", dependencies: ["CRdkafka", "Chat", "JSON"], path: "Sources/FastChat/Kafka",
      swiftSettings: strict),
    .target(
      name: "Redis", dependencies: ["CHiredis", "Chat", "JSON"], path: "Sources/FastChat/Redis",
      resources: [.embedInCode("Scripts")], swiftSettings: strict),

    // Floor 4.
    .target(
      name: "Server",
      dependencies: [
        "CAssets", "CCommandLine", "CInih", "CLinuxIO", "Chat", "Embedded", "EventLoop", "JSON", "Kafka",
        "Redis", "WebSocket",
      ],
      path: "Sources/FastChat/Server", swiftSettings: strict),

    // Floor 5: programs, and the client library.
    .target(
      name: "Client", dependencies: ["JSON", "WebSocket"], path: "Sources/FastChat/Client",
      swiftSettings: strict),
    .executableTarget(
      name: "CLI", dependencies: ["CEdit", "Client", "Server"], path: "Sources/FastChat/CLI",
      swiftSettings: strict),
    .executableTarget(
      name: "Load", dependencies: ["CCommandLine", "CTimer", "EventLoop", "JSON", "WebSocket"],
      path: "Sources/FastChat/Load", swiftSettings: strict),

    // Tests: one folder per target, and what they share.
    .target(
      name: "CFaultyDisk", dependencies: ["CSQLite"], path: "Tests/Support/CFaultyDisk", cSettings: strictC),
    .executableTarget(
      name: "MockBroker", path: "Tests/Support/MockBroker", cSettings: strictC,
      linkerSettings: [.linkedLibrary("rdkafka")]),
    .target(name: "CAllocations", path: "Tests/Support/CAllocations", cSettings: strictC),
    .target(
      name: "Support", dependencies: ["CLinuxIO", "JSON"], path: "Tests/Support/Support",
      swiftSettings: strict),
    .testTarget(name: "JSONTests", dependencies: ["JSON"], path: "Tests/JSON", swiftSettings: strict),
    .testTarget(
      name: "WebSocketTests", dependencies: ["WebSocket", "CZlib"], path: "Tests/WebSocket",
      swiftSettings: strict),
    .testTarget(
      name: "ChatTests", dependencies: ["Chat", "JSON"], path: "Tests/Chat", swiftSettings: strict),
    .testTarget(
      name: "EventLoopTests", dependencies: ["CAllocations", "CLinuxIO", "EventLoop"],
      path: "Tests/EventLoop",
      swiftSettings: strict),
    .testTarget(
      name: "EmbeddedTests", dependencies: ["CFaultyDisk", "CSQLite", "Chat", "Embedded", "JSON", "Support"],
      path: "Tests/Embedded",
      swiftSettings: strict),
    .testTarget(
      name: "ServerTests",
      dependencies: [
        "CAllocations", "Chat", "Embedded", "EventLoop", "JSON", "Kafka", "Redis", "Server", "Support",
        "WebSocket",
      ],
      path: "Tests/Server", swiftSettings: strict),
    .testTarget(
      name: "KafkaTests", dependencies: ["CRdkafka", "Chat", "JSON", "Kafka", "MockBroker", "Support"],
      path: "Tests/Kafka", swiftSettings: strict),
    .testTarget(
      name: "ClientTests", dependencies: ["Client", "JSON", "Support", "WebSocket"], path: "Tests/Client",
      swiftSettings: strict),
    .testTarget(
      name: "RedisTests", dependencies: ["Chat", "JSON", "Redis", "SimulatedRedis", "Support"],
      path: "Tests/Redis", swiftSettings: strict),

    // A whole cluster in one process under a seed, and the program that runs it.
    .target(
      name: "SimulatedRedis", dependencies: ["Chat", "JSON", "Redis"], path: "Tests/Simulation/Redis",
      swiftSettings: strict),
    .target(
      name: "Simulation", dependencies: ["Chat", "JSON", "Redis", "SimulatedRedis"],
      path: "Tests/Simulation/Simulation", swiftSettings: strict),
    .executableTarget(
      name: "SimulationProgram", dependencies: ["CCommandLine", "Simulation"],
      path: "Tests/Simulation/Program",
      swiftSettings: strict),
    .testTarget(
      name: "SimulationTests", dependencies: ["Chat", "JSON", "SimulatedRedis", "Simulation"],
      path: "Tests/Simulation/Tests", swiftSettings: strict),

    // Real processes under real faults, and the judge of what their users were told.
    .target(
      name: "Chaos", dependencies: ["CRdkafka", "JSON", "Support"], path: "Tests/Chaos/Chaos",
      swiftSettings: strict),
    .executableTarget(
      name: "ChaosProgram", dependencies: ["Chaos", "Support"], path: "Tests/Chaos/Program",
      swiftSettings: strict),
    .testTarget(
      name: "ChaosTests", dependencies: ["Chaos", "Support"], path: "Tests/Chaos/Tests", swiftSettings: strict
    ),
    .testTarget(name: "HouseTests", path: "Tests/House", swiftSettings: strict),
    .testTarget(
      name: "ClusterTests", dependencies: ["Chat", "Kafka", "Support"], path: "Tests/Cluster",
      swiftSettings: strict),
    .testTarget(
      name: "IntegrationTests", dependencies: ["Support", "JSON"], path: "Tests/Integration",
      exclude: ["Browser/ledger.js"],
      swiftSettings: strict),
  ]
)

// The micro benchmarks, only where they are asked for: nobody else builds them.
if Context.environment["FASTCHAT_BENCHMARKS"] != nil {
  package.products.append(.executable(name: "fastchat-bench", targets: ["MicroBenchmarks"]))
  package.targets += [
    .target(
      name: "CMicroFloors", path: "Benchmarks/MicroFloors", cSettings: strictC,
      linkerSettings: [.linkedLibrary("crypto"), .linkedLibrary("sqlite3")]),
    .executableTarget(
      name: "MicroBenchmarks", dependencies: ["CMicroFloors", "Chat", "Embedded", "JSON", "WebSocket"],
      path: "Benchmarks/Micro", swiftSettings: strict),
  ]
}

// The tests that count allocations, and what they stand on: all tests in an optimised build take minutes more.
if Context.environment["FASTCHAT_COUNTING"] != nil {
  let wanted: Set = ["CAllocations", "EventLoopTests", "ServerTests", "Support"]
  package.products = []
  package.targets.removeAll { target in
    target.type == .executable || target.path?.hasPrefix("Tests/") == true && !wanted.contains(target.name)
  }
}
