/// The text of `--help`, made from the table of options.
enum Help {
  /// Columns of a line at most, and where the text of an option begins.
  private static let lineColumns = 100
  private static let textColumn = 36

  static var text: String {
    var text = """
      Usage: fastchat [serve] [flags]   run the server
             fastchat doctor [flags]    check this machine for what serve would be asked with these flags
                                        (--json for scripts; exit 0 fine, 1 change, 3 broken)
             fastchat rebuild [flags]   have a cluster's view in Redis made again from Kafka; also takes
                                        --partition N (once more for each), --dry-run (compare the two,
                                        change nothing), --lose-older (events that Kafka has no more)
             fastchat new-generation [flags]
                                        begin the log anew where Kafka lost records: --dry-run,
                                        --lose-history, --at-once (OPERATIONS)
             fastchat client ADDRESS    chat from a terminal; see fastchat client --help
             fastchat options           print the page of all options (Markdown)
             fastchat --help, --version

      Every flag has a variable (--limits-rate: FASTCHAT_LIMITS_RATE) and a line in the file of --config
      (limits-rate = 50). Flags win over variables, variables over the file.
      Sizes: 4096, 64KiB, 1MiB. Times: 500ms, 10s, 5m, 12h, 7d.

      """
    for section in Option.Section.allCases {
      text += "\n\(section.rawValue)\n"
      for option in Options.all where option.section == section { text += entry(option) }
    }
    return text
  }

  private static func entry(_ option: Option) -> String {
    var head = "  --\(option.name)" + (option.placeholder.isEmpty ? "" : " \(option.placeholder)")
    var words = option.help.split(separator: " ").map(String.init)
    if !option.isBuilt {
      words.append("(not built yet)")
    } else if !option.isToggle, !option.defaultText.isEmpty {
      let note = option.defaultNote.isEmpty ? "" : ": \(option.defaultNote)"
      words.append("[\(option.defaultText)\(note)]")
    }
    if head.count + 2 > textColumn {
      head += "\n" + String(repeating: " ", count: textColumn)
    } else {
      head += String(repeating: " ", count: textColumn - head.count)
    }
    var result = head
    var column = textColumn
    for (i, word) in words.enumerated() {
      if i > 0, column + 1 + word.count > lineColumns {
        result += "\n" + String(repeating: " ", count: textColumn)
        column = textColumn
      } else if i > 0 {
        result += " "
        column += 1
      }
      result += word
      column += word.count
    }
    return result + "\n"
  }
}

/// The page docs/OPTIONS.md, made from the table of options by `fastchat options`.
enum OptionsPage {
  static var text: String {
    var text = """
      # Options

      This page is printed by `fastchat options`; a test compares the two.

      Every option is a flag (`--limits-rate 50`), a variable (`FASTCHAT_LIMITS_RATE=50`) and a line of the
      file that `--config` names (`limits-rate = 50`). There a line that begins with `#` or `;` is a comment,
      and so is what follows ` ;`; origins may go on in indented lines; a line has 198 bytes at most, the
      file 64 KiB. Flags win over variables, variables over the file. A toggle stands alone or has a value:
      `--echo`, `--echo=false`, `echo = true`.

      A size is a number of bytes or has a unit (`KiB` or `K`, `MiB` or `M`, `GiB` or `G`), a time has one
      (`ms`, `s`, `m`, `h`, `d`). What is wrong is said in one line on standard error, and the program ends
      with 2.

      """
    for section in Option.Section.allCases {
      text += "\n## \(section.rawValue)\n\n"
      text += "| flag | variable | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n"
      for option in Options.all where option.section == section { text += row(option) }
    }
    return text
  }

  private static func row(_ option: Option) -> String {
    let shown = option.defaultText.isEmpty ? "" : "`\(option.defaultText)`"
    let note = option.defaultNote.isEmpty ? "" : " (\(option.defaultNote))"
    return
      "| `--\(option.name)` | `\(option.variable)` | \(shown)\(note) | \(option.rangeText) | \(option.help) |\n"
  }
}
