//! Why a session is bound to its backend, and until when.
//!
//! A reason is gone when the server says so, never by counting what was taken and given back. What the
//! server can't be asked about binds the session until it ends, or until a DISCARD ALL that ends it.

use dbproxy_engine::{PinReason, Reasons};

/// What the server is asked about, in the order of the statements of [`SURVEY`].
const ASKED: [PinReason; 6] = [
    PinReason::AdvisoryLock,
    PinReason::HeldCursor,
    PinReason::Listen,
    PinReason::TemporaryObject,
    PinReason::SqlPrepare,
    PinReason::NamedStatement,
];

/// All that a server can be asked about.
pub(crate) const SURVEYED: Reasons = Reasons::of(&ASKED);

/// Of whom these bind the names of statements are on the backend as its own.
pub(crate) const NAMES: Reasons = Reasons::of(&[PinReason::NamedStatement, PinReason::SqlPrepare]);

/// What DISCARD ALL ends, besides what the server says is gone.
const DISCARDED: Reasons = NAMES.and(Reasons::of(&[
    PinReason::UnnamedStatement,
    PinReason::SequenceState,
]));

/// Asks a server outside of a transaction what its session holds: a statement for each reason, which
/// has a row if there is any. No name in it depends on the client's settings. What is in a schema
/// depends on it in the catalog, whatever it is; statements of the proxy's own are nobody's.
pub(crate) const SURVEY: &str = "\
    SELECT FROM pg_catalog.pg_lock_status() AS l \
    WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' \
    AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() LIMIT 1;\
    SELECT FROM pg_catalog.pg_cursor() LIMIT 1;\
    SELECT FROM pg_catalog.pg_listening_channels() LIMIT 1;\
    SELECT FROM pg_catalog.pg_depend AS d \
    WHERE d.refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid \
    AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() LIMIT 1;\
    SELECT FROM pg_catalog.pg_prepared_statement() AS s \
    WHERE s.from_sql AND s.name OPERATOR(pg_catalog.!~~) 'dbproxy:%' LIMIT 1;\
    SELECT FROM pg_catalog.pg_prepared_statement() AS s \
    WHERE NOT s.from_sql AND s.name OPERATOR(pg_catalog.!~~) 'dbproxy:%' LIMIT 1";

/// How the server answers a statement of the survey that found nothing.
const NOTHING: &[u8] = b"SELECT 0\0";

/// How far a DISCARD ALL is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Discard {
    #[default]
    None,
    Sent,
    Done,
}

/// What binds one session to its backend.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Pins {
    all: Reasons,
    /// The one of them that is told.
    told: Option<PinReason>,
    /// One may be gone, or never came to be.
    due: bool,
    /// One was added since everything was answered.
    fresh: bool,
    /// What was added since the server was asked, and what it found.
    since_asked: Reasons,
    found: Reasons,
    discard: Discard,
    /// What was added since the DISCARD ALL was sent.
    since_discard: Reasons,
}

impl Pins {
    pub(crate) fn any(&self) -> bool {
        !self.all.is_empty()
    }

    /// Whether the session listens on its own backend.
    pub(crate) fn listens(&self) -> bool {
        self.all.has(PinReason::Listen)
    }

    /// Whether the server can't say that all of it is gone.
    pub(crate) fn for_good(&self) -> bool {
        !self.all.without(SURVEYED).is_empty()
    }

    /// Whether the client's new names of statements are those that its backend knows.
    pub(crate) fn names_are_own(&self) -> bool {
        self.for_good() || self.all.has_any(NAMES)
    }

    /// Adds a reason; answers whether it is the first.
    pub(crate) fn add(&mut self, reason: PinReason) -> bool {
        let added = Reasons::of(&[reason]);
        let new = !self.all.has(reason);
        self.fresh |= new;
        // A lock may be refused by an answer that is no error, and a text that speaks of statements
        // may leave none behind.
        self.due |= new && matches!(reason, PinReason::AdvisoryLock | PinReason::SqlPrepare);
        self.all = self.all.and(added);
        self.since_asked = self.since_asked.and(added);
        self.since_discard = self.since_discard.and(added);
        let first = self.told.is_none();
        self.told = self.told.or(Some(reason));
        first
    }

    /// What was added last may be undone: by an error, or with the transaction that is open.
    pub(crate) fn doubt(&mut self) {
        self.due |= self.fresh;
        self.discard = Discard::None;
    }

    /// A statement is sent that may end these.
    pub(crate) fn may_end(&mut self, ends: Reasons) {
        self.due |= self.all.has_any(ends);
    }

    pub(crate) fn discard_sent(&mut self) {
        self.discard = Discard::Sent;
        self.since_discard = Reasons::NONE;
    }

    pub(crate) fn discard_done(&mut self) {
        if self.discard == Discard::Sent {
            self.discard = Discard::Done;
        }
    }

    /// Everything is answered, outside of a transaction. Answers whether a DISCARD ALL ended something.
    pub(crate) fn settled(&mut self) -> bool {
        self.fresh = false;
        let done = std::mem::take(&mut self.discard) == Discard::Done;
        let left = self.all.without(DISCARDED).and(self.since_discard);
        let ends = done && left != self.all;
        if ends {
            self.all = left;
        }
        ends
    }

    /// Whether the server is to be asked now; then it is taken to be.
    pub(crate) fn asks(&mut self) -> bool {
        let asks = self.any() && !self.for_good() && self.due;
        if asks {
            self.due = false;
            self.since_asked = Reasons::NONE;
            self.found = Reasons::NONE;
        }
        asks
    }

    /// The server has answered a statement of the survey with that command tag.
    pub(crate) fn answered(&mut self, statement: u16, tag: &[u8]) {
        if let Some(reason) = ASKED.get(usize::from(statement)) {
            if tag != NOTHING {
                self.found = self.found.and(Reasons::of(&[*reason]));
            }
        }
    }

    /// The survey is over, after so many of its statements were answered.
    pub(crate) fn surveyed(&mut self, answered: u16) {
        if usize::from(answered) == ASKED.len() {
            let gone = SURVEYED.without(self.found).without(self.since_asked);
            // Also what no text has said.
            self.all = self.all.without(gone).and(self.found);
        }
    }

    /// Another reason to tell, if the one that was told is gone; `Some(None)` if none is left.
    pub(crate) fn retell(&mut self) -> Option<Option<PinReason>> {
        let told = self.told.filter(|reason| !self.all.has(*reason))?;
        let mut left = self.all.iter();
        self.told = left.find(|reason| *reason != told);
        Some(self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PinReason::{AdvisoryLock, HeldCursor, NamedStatement, SessionFunction};

    fn pinned(reasons: &[PinReason]) -> Pins {
        let mut pins = Pins::default();
        for reason in reasons {
            pins.add(*reason);
        }
        pins
    }

    /// The server is asked, and finds these.
    fn survey(pins: &mut Pins, found: &[PinReason]) {
        assert!(pins.asks());
        for (number, reason) in ASKED.iter().enumerate() {
            let tag: &[u8] = if found.contains(reason) {
                b"SELECT 1\0"
            } else {
                NOTHING
            };
            pins.answered(number as u16, tag);
        }
        pins.surveyed(ASKED.len() as u16);
    }

    #[test]
    fn what_the_server_finds_stays() {
        let mut pins = pinned(&[AdvisoryLock, HeldCursor]);
        survey(&mut pins, &[HeldCursor]);
        assert_eq!(pins.retell(), Some(Some(HeldCursor)));
        assert!(!pins.asks(), "it holds, as far as is known");
        pins.may_end(Reasons::of(&[AdvisoryLock]));
        assert!(!pins.asks(), "nothing of that is left");
        pins.may_end(SURVEYED);
        survey(&mut pins, &[]);
        assert!(!pins.any());
        assert_eq!(pins.retell(), Some(None));
    }

    #[test]
    fn what_the_server_finds_and_no_text_has_said_binds_too() {
        let mut pins = pinned(&[AdvisoryLock]);
        survey(&mut pins, &[HeldCursor]);
        assert_eq!(pins.retell(), Some(Some(HeldCursor)));
    }

    #[test]
    fn what_was_taken_since_the_server_was_asked_stays() {
        let mut pins = pinned(&[AdvisoryLock]);
        assert!(pins.asks());
        pins.add(AdvisoryLock);
        for number in 0..ASKED.len() as u16 {
            pins.answered(number, NOTHING);
        }
        pins.surveyed(ASKED.len() as u16);
        assert!(pins.any());
    }

    #[test]
    fn a_survey_that_fails_says_nothing() {
        let mut pins = pinned(&[AdvisoryLock]);
        assert!(pins.asks());
        pins.answered(0, NOTHING);
        pins.surveyed(1);
        assert!(pins.any());
    }

    #[test]
    fn what_the_server_cannot_be_asked_about_stays() {
        let mut pins = pinned(&[AdvisoryLock, SessionFunction]);
        assert!(!pins.asks());
        pins.discard_sent();
        pins.discard_done();
        assert!(!pins.settled() && pins.any());
    }

    #[test]
    fn discard_all_ends_what_was_there_before_it() {
        let mut pins = pinned(&[NamedStatement]);
        pins.discard_sent();
        pins.discard_done();
        assert!(pins.settled() && !pins.any());

        let mut pins = pinned(&[NamedStatement]);
        pins.discard_sent();
        pins.add(NamedStatement);
        pins.discard_done();
        assert!(!pins.settled() && pins.any());

        let mut pins = pinned(&[NamedStatement]);
        pins.discard_sent();
        pins.discard_done();
        pins.doubt();
        assert!(!pins.settled() && pins.any());
    }
}
