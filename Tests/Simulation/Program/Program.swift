/// `fastchat-sim`: runs seeds of the simulated cluster.
@main
enum Program {
  static func main() {}
}
