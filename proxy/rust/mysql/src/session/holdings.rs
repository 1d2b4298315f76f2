//! When what binds a session to its backend is gone: as the server confirms it, where it is certain.
//!
//! What a session takes is counted from above: a lock that it didn't get counts as well, a table that went with another
//! statement still does. Where the text doesn't tell how many, or a function may have taken some, there is no
//! count, and the session stays bound.

use dbproxy_engine::{Note, PinReason, Reasons, Step, Steps};

use crate::link::{Leave, Link};
use crate::message::ok::Ok;
use crate::message::session_track::{self, Change};
use crate::reply::Said;
use crate::statement::{Deed, Freed};

use super::judge::Judged;
use super::Session;

/// What is counted.
const COUNTED: [PinReason; 5] = [
    PinReason::AdvisoryLock,
    PinReason::Handler,
    PinReason::LockedTables,
    PinReason::TemporaryObject,
    PinReason::XaTransaction,
];
/// How a row of one number ends that is 1.
const ONE: [u8; 2] = [1, b'1'];

/// What the server has said of the command at hand.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    done: bool,
    warned: bool,
    changed: bool,
    /// The last bytes of its rows.
    tail: [u8; 2],
}

/// How many a session has of each.
#[derive(Debug)]
pub(super) struct Holdings {
    /// `None`: nobody knows.
    counts: [Option<u32>; COUNTED.len()],
    seen: Seen,
}

impl Default for Holdings {
    fn default() -> Self {
        Self {
            counts: [Some(0); COUNTED.len()],
            seen: Seen::default(),
        }
    }
}

impl Holdings {
    fn count(&mut self, reason: PinReason) -> Option<&mut Option<u32>> {
        let at = COUNTED.iter().position(|counted| *counted == reason)?;
        self.counts.get_mut(at)
    }

    /// A command goes out that may take some.
    pub(super) fn takes(&mut self, judged: &Judged) {
        self.seen = Seen::default();
        for reason in judged.pins.iter() {
            let counted = judged.deed == Some(Deed::Takes(reason));
            if let Some(count) = self.count(reason).filter(|_| !counted) {
                *count = None;
            }
        }
    }

    /// The server says what became of it.
    pub(super) fn said(&mut self, said: &Said<'_>) {
        let changed = |ok: &Ok<'_>| {
            let changes = session_track::parse(ok.changes.unwrap_or_default()).unwrap_or_default();
            changes.contains(&Change::State(true))
        };
        let (done, warned, changed) = match said {
            Said::Ok(ok, _) => (true, ok.warnings > 0, changed(ok)),
            Said::Eof(end) => (true, end.warnings > 0, false),
            Said::Error(_) | Said::Prepared(_) | Said::Text => (false, true, false),
        };
        self.seen = Seen {
            done,
            warned,
            changed,
            ..self.seen
        };
    }

    /// Some bytes of its rows.
    pub(super) fn passes(&mut self, bytes: &[u8]) {
        if let [.., before, last] = bytes {
            self.seen.tail = [*before, *last];
        }
    }

    /// The answer is over; answers what there is none of any more.
    fn settle(&mut self, deed: Deed) -> Option<PinReason> {
        let seen = self.seen;
        let sure = seen.done && !seen.warned;
        let (reason, change) = match deed {
            Deed::Takes(reason) => (reason, i64::from(seen.done || !is_undone(reason))),
            Deed::Frees(reason, Freed::All) if sure => (reason, i64::MIN),
            Deed::Frees(reason, Freed::So(many)) if sure => (reason, -i64::from(many)),
            Deed::Frees(reason, Freed::IfChanged) if sure && seen.changed => (reason, -1),
            Deed::Frees(reason, Freed::IfOne) if sure && seen.tail == ONE => (reason, -1),
            Deed::Frees(reason, Freed::Whatever) if seen.done => {
                *self.count(reason)? = Some(0);
                (reason, 0)
            }
            Deed::Frees(..) => return None,
        };
        let count = self.count(reason)?;
        let left = i64::from((*count)?).saturating_add(change).max(0);
        *count = u32::try_from(left).ok();
        (*count == Some(0)).then_some(reason)
    }
}

/// Whether nothing is left of it where it fails.
fn is_undone(reason: PinReason) -> bool {
    matches!(reason, PinReason::TemporaryObject | PinReason::Handler)
}

/// What is set for the next transaction only, and how far that has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OneShot {
    None,
    Set,
    Begun,
}

impl OneShot {
    /// What the server has said, and how it stands with transactions then.
    pub(super) fn after(self, judged: &Judged, link: &mut Link) -> Self {
        match (self, link.in_trans()) {
            // One that fails may have set a part.
            _ if judged.next_only => {
                link.left(Leave::Dirty);
                Self::Set
            }
            (Self::Set, true) => Self::Begun,
            (Self::Begun, false) => Self::None,
            (before, _) => before,
        }
    }
}

impl Session {
    /// A statement of its own is bound to the backend: by a cursor, or parameters that were sent ahead.
    pub(super) fn holds(&self) -> bool {
        self.numbers.as_ref().is_some_and(|numbers| numbers.holds())
    }

    /// Whether nothing binds it to its backend.
    pub(super) fn is_unbound(&self, link: &Link) -> bool {
        let awaited = self.calculated || self.one_shot != OneShot::None;
        let bound = self.is_pinned() || self.fresh || self.begun || awaited || self.holds();
        !bound && !link.in_trans() && !link.has_cursor()
    }

    /// The answer to a command is over: it isn't bound any more for what that has ended.
    pub(super) fn unbinds(&mut self, judged: &Judged, out: &mut Steps) {
        let Some(deed) = judged.deed else {
            return;
        };
        let Some(reason) = self.holdings.settle(deed) else {
            return;
        };
        if self.pins.has(reason) {
            self.pins = self.pins.without(Reasons::of(&[reason]));
            out.push(Step::Note(Note::Unpinned(self.pins.iter().next())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pins: &[PinReason], deed: Option<Deed>) -> Judged {
        Judged {
            pins: Reasons::of(pins),
            deed,
            ..Judged::harmless()
        }
    }

    fn run(holdings: &mut Holdings, judged: &Judged, warnings: u16) -> Option<PinReason> {
        holdings.takes(judged);
        let ok = Ok {
            warnings,
            ..Ok::default()
        };
        holdings.passes(b"\x02\0\0\x03\x011");
        holdings.said(&Said::Ok(ok, 0));
        holdings.settle(judged.deed?)
    }

    #[test]
    fn what_was_taken_so_often_must_be_freed_as_often() {
        let lock = PinReason::AdvisoryLock;
        let takes = judged(&[lock], Some(Deed::Takes(lock)));
        let frees = judged(&[], Some(Deed::Frees(lock, Freed::IfOne)));
        let mut holdings = Holdings::default();
        assert_eq!(run(&mut holdings, &takes, 0), None);
        assert_eq!(run(&mut holdings, &takes, 0), None);
        assert_eq!(run(&mut holdings, &frees, 0), None);
        assert_eq!(run(&mut holdings, &frees, 1), None, "it warns");
        assert_eq!(run(&mut holdings, &frees, 0), Some(lock));
    }

    #[test]
    fn what_was_not_counted_is_never_sure() {
        let lock = PinReason::AdvisoryLock;
        let mut holdings = Holdings::default();
        run(&mut holdings, &judged(&[lock], None), 0);
        let frees = judged(&[], Some(Deed::Frees(lock, Freed::IfOne)));
        assert_eq!(run(&mut holdings, &frees, 0), None);
        let all = judged(&[], Some(Deed::Frees(lock, Freed::Whatever)));
        assert_eq!(run(&mut holdings, &all, 0), Some(lock));

        let table = PinReason::LockedTables;
        run(&mut holdings, &judged(&[table], None), 0);
        let all = judged(&[], Some(Deed::Frees(table, Freed::All)));
        assert_eq!(run(&mut holdings, &all, 0), None, "it may be another lock");
    }
}
