import CAssets
import Testing

@testable import Server

@Suite struct RouteTests {
  private func main(_ method: StaticString, _ path: StaticString, hasEcho: Bool = true) -> Route {
    Route(port: .main(hasEcho: hasEcho), method: bytes(method), path: bytes(path))
  }

  @Test func theMainPortServesSocketsThePageAndHealth() {
    #expect(main("GET", "/ws") == .webSocket)
    #expect(main("GET", "/echo") == .echo)
    #expect(main("GET", "/healthz") == .health)
    #expect(main("GET", "/readyz") == .readiness)
  }

  @Test func everyFileOfThePageIsServedUnderItsName() throws {
    for path: StaticString in ["/", "/app.css", "/app.js", "/client.js", "/timeline.js"] {
      guard case .asset(let file) = main("GET", path) else {
        Issue.record("\(path) is not served")
        continue
      }
      #expect(String(cString: file.pointee.path) == "\(path)")
      #expect(file.pointee.count > 0)
      #expect(main("HEAD", path) == .asset(file))
    }
    #expect(main("GET", "/app") == .notFound)
    #expect(main("GET", "/index.html") == .notFound)
  }

  @Test func metricsAreTheAdminPortsAndSocketsTheMainOnes() {
    #expect(main("GET", "/metrics") == .notFound)
    #expect(Route(port: .admin, method: bytes("GET"), path: bytes("/metrics")) == .metrics)
    #expect(Route(port: .admin, method: bytes("GET"), path: bytes("/ws")) == .notFound)
    #expect(Route(port: .admin, method: bytes("GET"), path: bytes("/readyz")) == .readiness)
  }

  @Test func echoIsThereOnlyWhereItWasAskedFor() {
    #expect(main("GET", "/echo", hasEcho: false) == .notFound)
  }

  @Test func aKnownPathRefusesOtherMethodsAndAnUnknownOneIsNotFound() {
    #expect(main("POST", "/") == .methodNotAllowed)
    #expect(main("HEAD", "/ws") == .methodNotAllowed)
    #expect(main("get", "/") == .methodNotAllowed)
    #expect(main("POST", "/nothing") == .notFound)
    #expect(main("GET", "/app.js/") == .notFound)
  }
}
