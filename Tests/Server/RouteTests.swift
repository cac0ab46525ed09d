import Testing
import WebSocket

@testable import Server

@Suite struct RouteTests {
  private func route(_ method: String, _ path: String, _ port: Route.Port) -> Route? {
    Array("\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8).withUnsafeBytes { bytes in
      guard case .complete(let request, _) = HTTPRequest.parse(bytes) else { return nil }
      return Route(request, port: port)
    }
  }

  private func main(_ method: String, _ path: String, hasEcho: Bool = true) -> Route? {
    route(method, path, .main(hasEcho: hasEcho))
  }

  @Test func theMainPortServesSocketsThePageAndHealth() {
    #expect(main("GET", "/ws") == .webSocket)
    #expect(main("GET", "/ws?token=abc") == .webSocket)
    #expect(main("GET", "/echo") == .echo)
    #expect(main("GET", "/healthz") == .health)
    #expect(main("GET", "/readyz") == .readiness)
  }

  @Test func everyFileOfThePageIsServedUnderItsName() throws {
    for path in ["/", "/app.css", "/app.js", "/model.js", "/sdk/fastchat.js", "/sdk/fastchat.d.ts"] {
      #expect(main("GET", path) == .asset)
      #expect(main("HEAD", path) == .asset)
      let asset = try #require(Array(path.utf8).withUnsafeBytes { Asset(path: $0) })
      #expect(asset.bytes.count > 0)
    }
    #expect(main("GET", "/app") == .notFound)
    #expect(main("GET", "/index.html") == .notFound)
  }

  @Test func filesOfThePageHaveTheirMediaTypes() throws {
    for (path, type) in [
      ("/", "text/html"), ("/app.css", "text/css"), ("/app.js", "text/javascript"),
      ("/sdk/client.js", "text/javascript"), ("/sdk/fastchat.d.ts", "text/plain"),
      ("/sdk/README.md", "text/markdown"),
    ] {
      let asset = try #require(Array(path.utf8).withUnsafeBytes { Asset(path: $0) })
      #expect(String(decoding: asset.contentType, as: UTF8.self) == "\(type); charset=utf-8")
    }
  }

  @Test func onlyTheSDKIsForPagesOfOthers() throws {
    for (path, isShared) in [("/", false), ("/app.js", false), ("/sdk/fastchat.js", true)] {
      let asset = try #require(Array(path.utf8).withUnsafeBytes { Asset(path: $0) })
      let fields = asset.fields.description
      #expect(fields.contains("Access-Control-Allow-Origin: *\r\n") == isShared)
      #expect(fields.contains("Content-Security-Policy: default-src 'none'") == !isShared)
      #expect(fields.contains("Cache-Control: no-cache\r\n") && fields.contains("nosniff"))
    }
  }

  @Test func metricsAreTheAdminPortsAndSocketsTheMainOnes() {
    #expect(main("GET", "/metrics") == .notFound)
    #expect(route("GET", "/metrics", .admin) == .metrics)
    #expect(route("GET", "/ws", .admin) == .notFound)
    #expect(route("GET", "/readyz", .admin) == .readiness)
  }

  @Test func echoIsThereOnlyWhereItWasAskedFor() {
    #expect(main("GET", "/echo", hasEcho: false) == .notFound)
  }

  @Test func aKnownPathRefusesOtherMethodsAndAnUnknownOneIsNotFound() {
    #expect(main("POST", "/") == .methodNotAllowed)
    #expect(main("DELETE", "/healthz") == .methodNotAllowed)
    #expect(main("get", "/") == .methodNotAllowed)
    #expect(main("POST", "/nothing") == .notFound)
    #expect(main("GET", "/app.js/") == .notFound)
  }

  @Test func whatIsWrongWithAnUpgradeTheHandshakeTells() {
    #expect(main("POST", "/ws") == .webSocket)
  }
}
