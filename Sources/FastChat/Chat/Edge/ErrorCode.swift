/// The codes of `error` frames (PROTOCOL, "Errors").
public enum ErrorCode: UInt8, CaseIterable, Sendable {
  // Definite: the frame changed nothing.
  case badFrame, badRequest, unauthorized, forbidden, notFound, exists, tooLarge, rateLimited, busy
  // Indefinite: it may have happened; repeat it.
  case unavailable, `internal`

  public var name: StaticString {
    switch self {
    case .badFrame: "bad-frame"
    case .badRequest: "bad-request"
    case .unauthorized: "unauthorized"
    case .forbidden: "forbidden"
    case .notFound: "not-found"
    case .exists: "exists"
    case .tooLarge: "too-large"
    case .rateLimited: "rate-limited"
    case .busy: "busy"
    case .unavailable: "unavailable"
    case .internal: "internal"
    }
  }
}
