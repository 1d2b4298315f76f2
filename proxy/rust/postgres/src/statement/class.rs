//! What is said of a text, and of which kind its statements are. Made by `classify` and `scan`.

use dbproxy_engine::{PinReason, Reasons, Rules};

use crate::pins::SURVEYED;

use super::act::Acts;
use super::effects::Effects;
use super::literals::Reading;

/// What a text means.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Class {
    /// What it may do to transactions.
    pub effects: Effects,
    /// Binds the session to its backend: the first reason, and all of them.
    pub pin: Option<PinReason>,
    pub pins: Reasons,
    /// Speaks of prepared statements by their names.
    pub prepared: bool,
    /// May deallocate them all.
    pub forgets: bool,
    /// May change settings in a way that isn't followed.
    pub unsettles: bool,
    /// Asks for `currval` or `lastval`.
    pub sequences: bool,
    /// Asks to which channels the session listens.
    pub channels: bool,
    /// May change data (so, move sequences too).
    pub writes: bool,
    /// May leave state in the backend that nobody tracks.
    pub dirty: bool,
    /// Leaves state in the backend that `DISCARD ALL` doesn't remove.
    pub indelible: bool,
    /// May end what binds a session for these reasons.
    pub ends: Reasons,
    /// What it does to settings, and to the transaction that keeps them.
    pub acts: Acts,
    /// What its literals depend on.
    pub reading: Reading,
}

impl Class {
    /// A text that can't be judged.
    pub(crate) fn unknown(reason: PinReason) -> Self {
        Self {
            effects: Effects::UNKNOWN,
            pin: Some(reason),
            pins: Reasons::of(&[reason]),
            prepared: true,
            forgets: true,
            unsettles: true,
            sequences: true,
            channels: true,
            writes: true,
            dirty: true,
            indelible: true,
            ends: SURVEYED,
            acts: None,
            reading: Reading::Moment,
        }
    }

    /// What an operator's rules make of it. `length`: that of the text.
    pub(super) fn under(mut self, rules: Rules, length: usize) -> Self {
        if rules.excludes_settings && self.pins.has(PinReason::SessionSetting) {
            self.pins = self.pins.without(Reasons::of(&[PinReason::SessionSetting]));
            self.pin = self.pins.iter().next();
            self.unsettles = false;
        }
        if rules.longest_statement.is_some_and(|most| length > most) {
            self.pin(PinReason::StatementTooLarge);
        }
        self
    }

    pub(super) fn ends(&mut self, reason: PinReason) {
        self.ends = self.ends.and(Reasons::of(&[reason]));
    }

    pub(crate) fn pin(&mut self, reason: PinReason) {
        self.pin = self.pin.or(Some(reason));
        self.pins = self.pins.and(Reasons::of(&[reason]));
        match reason {
            PinReason::SequenceState => self.sequences = true,
            PinReason::SqlPrepare => self.prepared = true,
            // Of a setting that isn't followed the name stays in the server process.
            PinReason::SessionSetting | PinReason::Unclassified => {
                self.indelible = true;
                self.unsettles = true;
            }
            PinReason::ServerProcess | PinReason::SessionFunction => self.indelible = true,
            _ => {}
        }
    }
}

/// What kind of statement it is, by its first words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Changes nothing, unless something inside it does.
    Read,
    /// Has no effect of its own on data: cursors, savepoints, `SET LOCAL`.
    Neutral,
    Write,
    /// Changes that may be committed one by one.
    Steps,
    /// INSERT, UPDATE, MERGE: their grammar differs in front of parentheses.
    Insert,
    Create,
    Declare,
    Begin,
    Commit,
    Rollback,
    Unknown,
}
