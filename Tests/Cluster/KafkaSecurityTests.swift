import Foundation
import Support
import Synchronization
import Testing

extension ClusterTests {
  /// Servers whose brokers ask who they are, and prove who they are themselves.
  @Suite struct KafkaSecurityTests {
    private static let password = "geheim-7"
    private static let wrongPassword = "falsch-7"

    /// Brokers with certificates of their own, and one user.
    private struct Secured {
      let directory: TemporaryDirectory
      let broker: KafkaBroker

      init() throws {
        directory = try TemporaryDirectory()
        let path = directory.path
        let key = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        let made = try ServerProcess.execute([
          "sh", "-ec",
          """
          cd \(path)
          \(key) -x509 -subj /CN=ca -keyout ca.key -out ca.pem
          \(key) -x509 -subj /CN=other -keyout other.key -out other.pem
          \(key) -subj /CN=broker -keyout broker.key -out broker.csr
          echo subjectAltName=IP:127.0.0.1 > names
          openssl x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out broker.crt
          cat broker.key broker.crt > broker.pem
          """,
        ])
        guard made.status == 0 else { throw TestFailure("openssl: \(made.errors)") }
        let module = "plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule"
        let listeners = ["SASL_PLAINTEXT", "SASL_SSL"].flatMap { listener in
          let name = "listener.name.\(listener.lowercased())"
          return [
            "--listener", listener, "\(name).sasl.enabled.mechanisms=PLAIN",
            "\(name).\(module) required user_fastchat=\"\(password)\";",
          ]
        }
        // Of SCRAM there is nobody: see OPERATIONS for why not.
        let scram = "scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule"
        broker = try KafkaBroker(
          listeners + [
            "--listener", "SSL", "listener.name.sasl_ssl.\(scram) required;",
            "listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
            "ssl.keystore.type=PEM", "ssl.keystore.location=\(path)/broker.pem",
          ])
      }

      /// A server's flags for one of the ways to the brokers.
      private func flags(_ listener: String, _ settings: [String: String]) throws -> [String] {
        let own = ["security.protocol": listener].merging(settings) { $1 }
        return ["--kafka", try broker.addresses(listener)]
          + own.flatMap { ["--kafka-config", "\($0.key)=\($0.value)"] }
      }

      func named(_ password: String = password) throws -> [String] {
        try flags(
          "SASL_PLAINTEXT",
          ["sasl.mechanism": "PLAIN", "sasl.username": "fastchat", "sasl.password": password])
      }

      /// By a file, as an operator would.
      func namedAndEncrypted(
        _ mechanism: String = "PLAIN", _ password: String = password, trusting authority: String = "ca"
      ) throws -> [String] {
        let file = directory.path + "/" + UUID().uuidString
        let text = """
          security.protocol = SASL_SSL
          sasl.mechanism = \(mechanism)
          sasl.username = fastchat
          sasl.password = \(password)
          ssl.ca.location = \(directory.path)/\(authority).pem

          """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return ["--kafka", try broker.addresses("SASL_SSL"), "--kafka-config-file", file]
      }

      func encrypted() throws -> [String] {
        try flags("SSL", ["ssl.ca.location": directory.path + "/ca.pem"])
      }

      /// As somebody who knows of no security.
      func unsecured(_ listener: String) throws -> [String] {
        try flags(listener, ["security.protocol": "PLAINTEXT"])
      }
    }

    /// One server by SASL, the other one by SASL and TLS, the operator by TLS: whoever is let in works as
    /// without, and whoever is not ends with one line that says why, without any password.
    @Test func serversComeToTheirBrokersBySASLAndTLS() throws {
      let secured = try Secured()
      try withInstances(on: secured.broker) { cluster in
        let refused = try [
          (secured.named(Self.wrongPassword), "Authentication failed"),
          (secured.namedAndEncrypted("PLAIN", Self.wrongPassword), "Authentication failed"),
          (secured.namedAndEncrypted("SCRAM-SHA-512"), "credentials with SASL mechanism SCRAM-SHA-512"),
          // OpenSSL's words or librdkafka's, whichever comes first.
          (secured.namedAndEncrypted(trusting: "other"), "certificate (could not be verified|verify failed)"),
          (secured.unsecured("SASL_PLAINTEXT"), "broker might require SASL authentication"),
          (secured.unsecured("SSL"), "connecting to a SSL listener[?]"),
        ]
        let serve = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"] + cluster.flags("s3")
        let ends = Mutex<[Int: ServerProcess.Run]>([:])
        // Beside all the rest: each gives its brokers 6 s for their first word.
        let group = DispatchGroup()
        for (i, (flags, _)) in refused.enumerated() {
          DispatchQueue.global().async(group: group) {
            guard let run = try? ServerProcess.run(serve + flags, seconds: 40) else { return }
            ends.withLock { $0[i] = run }
          }
        }
        defer { group.wait() }

        let users = try Correspondence(
          cluster.start("s1", secured.named()), cluster.start("s2", secured.namedAndEncrypted()))
        for _ in 0..<3 { try users.write() }
        try users.settle()
        let run = try ServerProcess.run(["rebuild", "--dry-run"] + cluster.connection + secured.encrypted())
        #expect(run.status == 0 && run.output.hasSuffix("no differences\n"), "\(run.output)\(run.errors)")

        group.wait()
        for (i, (_, reason)) in refused.enumerated() {
          let end = try #require(ends.withLock { $0[i] })
          let lines = end.errors.split(separator: "\n").filter { !$0.contains("event=starting") }
          #expect(end.status == 1)
          #expect(lines.count == 1 && lines[0].hasPrefix("fastchat: no Kafka broker of "), "\(end.errors)")
          #expect(try lines.contains { try $0.contains(Regex(reason)) }, "\(end.errors)")
          expectNoPassword(end.output + end.errors)
        }
        for server in cluster.servers { expectNoPassword(server.errors) }
      }
    }

    private func expectNoPassword(_ text: String) {
      #expect(!text.contains(Self.password) && !text.contains(Self.wrongPassword))
    }
  }
}
