import JSON

/// What the body of a `create` record says: `{"name":..,"public":..}`, as an edge wrote it.
struct NewRoom {
  let title: [UInt8]
  let isPublic: Bool

  init(_ body: UnsafeRawBufferPointer) {
    var title = ByteBuffer()
    var isPublic = false
    do throws(JSONError) {
      var reader = JSONReader(body)
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("name") {
          guard try reader.string().append(to: &title) else {
            preconditionFailure("an edge takes no name that is no text")
          }
        } else if key.equals("public") {
          isPublic = try reader.bool()
        } else {
          _ = try reader.value()
        }
      }
    } catch {
      preconditionFailure("an edge writes the body of a create: \(error)")
    }
    self.title = Array(title.bytes)
    self.isPublic = isPublic
  }
}
