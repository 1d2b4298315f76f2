//! What is said of a text, and of which kind its statements are. Made by `classify` and `scan`.

use dbproxy_engine::{PinReason, Reasons, Rules};

use super::act::Acts;
use super::effects::Effects;

/// All that a text may end which binds a session.
pub const ENDS: Reasons = Reasons::of(&[
    PinReason::AdvisoryLock,
    PinReason::Handler,
    PinReason::LockedTables,
    PinReason::SqlPrepare,
    PinReason::TemporaryObject,
    PinReason::XaTransaction,
]);

/// What a text asks of what the session did before, or of its connection.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Asks {
    /// `LAST_INSERT_ID()`, `@@last_insert_id`, `@@identity`.
    pub insert_id: bool,
    /// The same before the text itself has inserted anything.
    pub former_id: bool,
    /// `ROW_COUNT()`.
    pub row_count: bool,
    /// `FOUND_ROWS()`.
    pub found_rows: bool,
    /// `SHOW WARNINGS`, `SHOW ERRORS`, `@@warning_count` and the like.
    pub warnings: bool,
    /// `GET DIAGNOSTICS`, `SHOW PROFILE`.
    pub diagnostics: bool,
    /// MariaDB's `LASTVAL`, `PREVIOUS VALUE FOR`.
    pub sequences: bool,
    /// `CONNECTION_ID()`, `@@pseudo_thread_id`: the backend's own number.
    pub connection_id: bool,
    /// A user variable, by its name.
    pub user_variables: bool,
    /// Any of these and more, in code of the database's that nobody sees here: routines, triggers, views.
    pub hidden: bool,
}

/// What a text that has no warning and no error leaves of those of the statement before.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum After {
    /// None.
    Cleared,
    /// All.
    Kept,
    /// All or none.
    #[default]
    Unsure,
    /// What happened inside of it isn't told.
    Any,
}

/// What a text means.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Class {
    /// How many statements there are: 1 of what isn't understood; 0 of nothing but comments, which the server
    /// answers once all the same.
    pub statements: u16,
    /// What it may do to transactions.
    pub effects: Effects,
    /// Binds the session to its backend: the first reason.
    pub pin: Option<PinReason>,
    /// All of them.
    pub pins: Reasons,
    /// May end what binds a session for these reasons.
    pub ends: Reasons,
    /// May change data, or lock it. Else it reads for certain, or steers.
    pub writes: bool,
    /// May leave state in the backend that nobody tracks.
    pub dirty: bool,
    /// What it asks.
    pub asks: Asks,
    /// `SQL_CALC_FOUND_ROWS`: the next statement may ask how many there were.
    pub calculates: bool,
    /// It is a SELECT, and nothing else.
    pub selects: bool,
    /// By the operator's rules what it sets doesn't bind where it can't be followed.
    pub is_lax: bool,
    /// It would have.
    pub is_excused: bool,
    /// What becomes of warnings.
    pub after: After,
    /// What it does to the session's state.
    pub acts: Acts,
}

impl Class {
    /// A text that can't be judged.
    pub fn unknown(reason: PinReason) -> Self {
        Self {
            statements: 1,
            effects: Effects::UNKNOWN,
            pin: Some(reason),
            pins: Reasons::of(&[reason]),
            ends: ENDS,
            writes: true,
            dirty: true,
            asks: Asks {
                insert_id: true,
                former_id: true,
                row_count: true,
                found_rows: true,
                warnings: true,
                diagnostics: true,
                sequences: true,
                connection_id: true,
                user_variables: true,
                hidden: true,
            },
            calculates: true,
            selects: false,
            is_lax: false,
            is_excused: false,
            after: After::Any,
            acts: None,
        }
    }

    /// What an operator's rules make of it. `length`: that of the text.
    pub(super) fn under(mut self, rules: Rules, length: usize) -> Self {
        let settings = Reasons::of(&[PinReason::SessionSetting, PinReason::UserVariable]);
        self.is_lax = rules.excludes_settings;
        if self.is_lax && self.pins.has_any(settings) {
            self.is_excused = true;
            self.pins = self.pins.without(settings);
            self.pin = self.pins.iter().next();
            self.dirty = true;
        }
        if rules.longest_statement.is_some_and(|most| length > most) {
            self.pin(PinReason::StatementTooLarge);
        }
        self
    }

    pub(super) fn ends(&mut self, reason: PinReason) {
        self.ends = self.ends.and(Reasons::of(&[reason]));
    }

    pub(super) fn pin(&mut self, reason: PinReason) {
        self.pin = self.pin.or(Some(reason));
        self.pins = self.pins.and(Reasons::of(&[reason]));
        self.dirty = true;
    }

    /// Whether the text does nothing that its session or its backend would have to know of.
    pub fn is_plain(&self) -> bool {
        self.acts.is_none() && self.pin.is_none() && !self.dirty && !self.effects.steers()
    }
}

/// What kind of statement it is, by its first words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Changes nothing, unless something inside it does.
    Read,
    /// Has no effect of its own on data.
    Neutral,
    /// INSERT, UPDATE, DELETE, LOAD.
    Write,
    /// DDL and the like: what it names is no call.
    Define,
    /// Of temporary tables, which commits nothing.
    Temporary,
    /// Commits the transaction that is open.
    Settle,
    Begin,
    Commit,
    Rollback,
    Autocommit,
    Unknown,
}
