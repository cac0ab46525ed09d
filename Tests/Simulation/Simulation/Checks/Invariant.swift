/// What must hold (DESIGN section 4), and two things that PROTOCOL says besides.
public enum Invariant: String, Sendable, CaseIterable {
  case i1 = "I1"
  case i2 = "I2"
  case i3 = "I3"
  case i4 = "I4"
  case i5 = "I5"
  case i6 = "I6"
  case i7 = "I7"
  case i8 = "I8"
  case i9 = "I9"
  case i10 = "I10"
  /// Once the faults are over everybody is live and has his answers.
  case liveness = "liveness"
  /// A frame that PROTOCOL does not allow there.
  case wire = "wire"
}

/// One invariant seen broken.
public struct Violation: Sendable, Equatable, CustomStringConvertible {
  public var invariant: Invariant
  public var text: String

  public init(_ invariant: Invariant, _ text: String) {
    self.invariant = invariant
    self.text = text
  }

  public var description: String { "\(invariant.rawValue): \(text)" }
}
