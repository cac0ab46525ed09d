import Support
import Testing

extension Trait where Self == ConditionTrait {
  /// The test is about something that a cluster does not have, or has otherwise.
  static func embeddedOnly(_ reason: Comment) -> Self {
    .disabled(if: Backbone.isCluster, reason)
  }
}
