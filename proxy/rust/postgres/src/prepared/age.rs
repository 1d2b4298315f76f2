//! Which of two statements was parsed later, whoever parsed them and on whichever backend: what a text
//! means may have become another in between, without the server's noticing (a table in an earlier
//! schema of the search path, an enum or function made anew).

use std::sync::atomic::{AtomicU64, Ordering};

/// A moment; later ones are larger, and no two are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Tick(u64);

impl Tick {
    pub(crate) fn now() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// When a client's own Parse was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parsed {
    pub sent: Tick,
    pub answered: Tick,
}

impl Parsed {
    /// One that is answered now.
    pub(crate) fn at(sent: Tick) -> Self {
        let answered = Tick::now();
        Self { sent, answered }
    }

    /// Whether a statement whose Parse was sent then means as much: it is the very same, or a later
    /// one, as the server makes it again by itself.
    pub(crate) fn is_served_by(self, sent: Tick) -> bool {
        sent == self.sent || sent >= self.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_served_by_itself_and_by_what_was_parsed_behind_its_answer() {
        let before = Tick::now();
        let own = Tick::now();
        let meanwhile = Tick::now();
        let parsed = Parsed::at(own);
        assert!(parsed.is_served_by(own));
        assert!(parsed.is_served_by(Tick::now()));
        assert!(!parsed.is_served_by(before));
        assert!(!parsed.is_served_by(meanwhile));
    }
}
