//! A set of the reasons for which a session is bound to its backend.

use crate::PinReason;

/// A set of reasons.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Reasons(u32);

const _: () = assert!(PinReason::ALL.len() <= 32, "a bit each");

impl Reasons {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// These.
    pub const fn of(reasons: &[PinReason]) -> Self {
        let (mut set, mut rest) = (0, reasons);
        while let [reason, others @ ..] = rest {
            set |= 1 << *reason as u32;
            rest = others;
        }
        Self(set)
    }

    /// Those of both.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that aren't among `others`.
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Each, in the order of [`PinReason::ALL`].
    pub fn iter(self) -> impl Iterator<Item = PinReason> {
        let all = PinReason::ALL.iter().copied();
        all.filter(move |reason| self.has(*reason))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Whether this is among them.
    pub fn has(self, reason: PinReason) -> bool {
        self.has_any(Self::of(&[reason]))
    }

    /// Whether any of these is among them.
    pub fn has_any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PinReason::{AdvisoryLock, Handler, Listen};

    #[test]
    fn a_set_has_what_was_put_in_and_not_taken_out() {
        let set = Reasons::of(&[Listen, AdvisoryLock]).and(Reasons::of(&[Handler]));
        let rest = set.without(Reasons::of(&[Listen]));
        assert!(set.has(Listen) && !rest.has(Listen) && rest.has_any(set));
        assert_eq!(rest.iter().count(), 2);
        assert!(rest.without(set).is_empty());
        for reason in PinReason::ALL {
            assert!(Reasons::of(PinReason::ALL).has(*reason), "{reason:?}");
        }
    }
}
