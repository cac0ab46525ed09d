import Foundation

/// The files of this repository, as a clone has them.
enum Repository {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardizedFileURL

  struct File {
    /// Relative to the root.
    let path: String
    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
  }

  /// All text files below a folder with one of these endings, build output left out.
  static func files(in folder: String, endings: [String]) -> [File] {
    let start = root.appendingPathComponent(folder)
    guard let walk = FileManager.default.enumerator(at: start, includingPropertiesForKeys: nil) else {
      return []
    }
    var files: [File] = []
    for case let url as URL in walk {
      if [".build", ".swiftpm", ".git", "data", ".venv", "__pycache__"].contains(url.lastPathComponent) {
        walk.skipDescendants()
        continue
      }
      guard endings.contains(where: { url.lastPathComponent.hasSuffix($0) }),
        let text = try? String(contentsOf: url, encoding: .utf8)
      else { continue }
      files.append(File(path: String(url.path.dropFirst(root.path.count + 1)), text: text))
    }
    return files.sorted { $0.path < $1.path }
  }

  static func file(_ path: String) throws -> File {
    File(path: path, text: try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8))
  }

  /// Name and folder of each target that Package.swift declares.
  static func targets() throws -> [(name: String, folder: String)] {
    let declaration = try Regex(
      #"\.(?:target|executableTarget|testTarget|systemLibrary)\(\s*name:\s*"(\w+)"[^)]*?path:\s*"([^"]+)""#)
    return try file("Package.swift").text.matches(of: declaration).map { match in
      (String(match.output[1].substring!), String(match.output[2].substring!))
    }
  }
}
