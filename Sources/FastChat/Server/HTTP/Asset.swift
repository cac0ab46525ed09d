import CAssets
import Glibc

/// A file of the web client, out of the binary. What a server serves is what it was built with.
struct Asset {
  let bytes: UnsafeRawBufferPointer
  let contentType: UnsafeRawBufferPointer

  /// Lines of the header. Pages of others can neither frame this one nor put scripts into it, and `no-cache`
  /// makes that a restart with a new version is seen at once.
  let fields: StaticString

  private static let fields: StaticString = """
    Cache-Control: no-cache\r
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r
    X-Content-Type-Options: nosniff\r
    Referrer-Policy: no-referrer\r

    """

  /// Of the SDK: pages of others may load it, since it holds nothing of anybody. Its WebSocket is let in by
  /// `--origins`.
  private static let sharedFields: StaticString = """
    Cache-Control: no-cache\r
    Access-Control-Allow-Origin: *\r
    Cross-Origin-Resource-Policy: cross-origin\r
    X-Content-Type-Options: nosniff\r
    Referrer-Policy: no-referrer\r

    """
  private static let sharedFolder: StaticString = "/sdk/"

  /// The file at a path of the main port.
  init?(path: UnsafeRawBufferPointer) {
    guard let start = path.baseAddress, let asset = assets_find(start, path.count) else { return nil }
    bytes = UnsafeRawBufferPointer(start: asset.pointee.bytes, count: asset.pointee.count)
    contentType = UnsafeRawBufferPointer(start: asset.pointee.type, count: strlen(asset.pointee.type))
    let isShared = path.starts(with: staticBytes(Self.sharedFolder))
    fields = isShared ? Self.sharedFields : Self.fields
  }
}
