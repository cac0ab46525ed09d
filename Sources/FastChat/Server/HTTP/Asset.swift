import CAssets
import Glibc

/// A file of the web client, out of the binary. What a server serves is what it was built with.
struct Asset {
  let bytes: UnsafeRawBufferPointer
  let contentType: UnsafeRawBufferPointer

  /// Lines of the header that every file is served with. Pages of others can neither frame this one nor
  /// put scripts into it, and `no-cache` makes that a restart with a new version is seen at once.
  static let fields: StaticString = """
    Cache-Control: no-cache\r
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r
    X-Content-Type-Options: nosniff\r
    Referrer-Policy: no-referrer\r

    """

  /// The file at a path of the main port.
  init?(path: UnsafeRawBufferPointer) {
    guard let start = path.baseAddress, let asset = assets_find(start, path.count) else { return nil }
    bytes = UnsafeRawBufferPointer(start: asset.pointee.bytes, count: asset.pointee.count)
    contentType = UnsafeRawBufferPointer(start: asset.pointee.type, count: strlen(asset.pointee.type))
  }
}
