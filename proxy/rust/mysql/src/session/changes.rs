//! What a server says of the session in its answers: what is kept of that, and what of it the client is told.
//!
//! Servers are asked to report everything (`SETUP`). A client that doesn't track the session is told nothing of
//! it, any other what a server's own defaults would tell it. What is reported and can't be set again elsewhere binds
//! the session.

use std::sync::Arc;

use dbproxy_engine::{KillReason, Note, PinReason, Step, Steps};

use crate::link::{Leave, Link, CHARACTER_SET_SERVER, COLLATION_SERVER, LASTING};
use crate::message::capability::SESSION_TRACK;
use crate::message::eof::Eof;
use crate::message::error::Report;
use crate::message::ok::Ok;
use crate::message::session_track::{self, Change};
use crate::message::status;

use super::judge::Judged;
use super::Session;

/// The variables that servers report by default.
const BY_DEFAULT: &[&[u8]] = &[
    b"time_zone",
    b"autocommit",
    b"character_set_client",
    b"character_set_results",
    b"character_set_connection",
    b"redirect_url",
];
/// Reported of what is no setting.
const NO_SETTINGS: &[&[u8]] = &[b"last_gtid", b"statement_id", b"gtid_owned"];
const LOCKED: PinReason = PinReason::LockedTables;
/// What the tracker of transactions says at the two ends of one.
const BEGUN: &[u8; 8] = b"T_______";
const NONE: &[u8; 8] = b"________";

/// An OK that a server gave; `judged` is what it answers.
pub(super) fn heard(
    session: Option<&mut Session>,
    link: &mut Link,
    judged: &Judged,
    ok: &Ok<'_>,
    out: &mut Steps,
) -> Result<(), KillReason> {
    let changes = session_track::parse(ok.changes.unwrap_or_default());
    let changes = changes.ok_or(KillReason::OutOfStep)?;
    link.status = ok.status;
    link.warned |= ok.warnings > 0;
    // Who asks for it may set it too.
    link.inserted |= ok.last_insert_id != 0 || judged.asks_id;
    // MariaDB tells what is left over with the next change.
    if !link.is_mariadb() || ok.changes.is_some() {
        link.unheard = false;
    }
    // It has the character set in it.
    let of_server = |change: &Change<'_>| matches!(change, Change::Variable { name, .. } if *name == COLLATION_SERVER.as_bytes());
    let collates = changes.iter().any(of_server);
    let mut binds = None;
    let (mut state, mut explained, mut moved, mut ended) = (false, false, false, false);
    for change in &changes {
        let reason = match change {
            Change::Variable { name, value } => {
                explained |= !NO_SETTINGS.contains(name);
                if *name == b"sql_mode" && !judged.sets {
                    // A routine's, which is taken back: the status flags that it has set stay until a reset.
                    link.left(Leave::Dirty);
                }
                match collates && *name == CHARACTER_SET_SERVER.as_bytes() {
                    true => None,
                    false => variable(link, name, value),
                }
            }
            Change::Schema(name) => {
                link.enters((!name.is_empty()).then(|| (*name).into()));
                explained = true;
                moved = true;
                // It is told in another character set than a name is read in.
                (!name.is_ascii()).then_some(PinReason::SessionSetting)
            }
            Change::State(changed) => {
                state |= changed;
                None
            }
            Change::Transaction(now) => {
                ended |= !now.is_open();
                // Whoever has said so is bound for that.
                let said = session
                    .as_ref()
                    .is_some_and(|session| session.pins.has(LOCKED));
                (now.locks_tables() && !said).then_some(PinReason::ServerProcess)
            }
            Change::Characteristics(sql) => (!sql.is_empty()).then_some(PinReason::SessionSetting),
            Change::Gtids(_) => None,
            Change::Unknown { .. } => Some(PinReason::Untracked),
        };
        match (change, reason) {
            (Change::Variable { .. }, Some(_)) if judged.is_lax => link.left(Leave::Dirty),
            _ => binds = binds.or(reason),
        }
    }
    let explained = explained && judged.sets || judged.assigns || judged.is_excused;
    let explained = explained || judged.makes_tables();
    if state && !explained {
        binds = binds.or(Some(PinReason::Untracked));
    }
    let Some(session) = session else {
        if binds.is_some() {
            link.left(Leave::Dirty);
        }
        return Ok(());
    };
    session.status = ok.status & LASTING;
    if session.variables.depend(&session.settings, &link.settings) {
        binds = binds.or(Some(PinReason::UserVariable));
    }
    session.settings = link.settings.clone();
    session.begun &= !ended;
    session.begun &= ok.status & (status::AUTOCOMMIT | status::IN_TRANS) != status::AUTOCOMMIT;
    if moved {
        session.enters(link.database.clone());
    }
    if let Some(reason) = binds {
        session.pin(reason, link, out);
    }
    Ok(())
}

/// A variable has another value; answers why that binds, if it does.
fn variable(link: &mut Link, name: &[u8], value: &[u8]) -> Option<PinReason> {
    if NO_SETTINGS.contains(&name) {
        return None;
    }
    match name {
        b"last_insert_id" | b"identity" => {
            link.inserted = true;
            return None;
        }
        // The collation is another one, and isn't told.
        b"character_set_connection" => {
            link.collates = true;
            return None;
        }
        b"collation_connection" => link.collates = false,
        _ => {}
    }
    let follows = Arc::make_mut(&mut link.settings).take(name, value);
    (!follows).then_some(PinReason::SessionSetting)
}

/// An EOF: it says less.
pub(super) fn ended(
    session: Option<&mut Session>,
    link: &mut Link,
    judged: &Judged,
    end: Eof,
    out: &mut Steps,
) {
    link.status = end.status;
    link.warned |= end.warnings > 0;
    // Nor does it tell which id a write that gives rows has made.
    link.inserted |= judged.asks_id || judged.writes;
    let changed = end.status & status::SESSION_STATE_CHANGED != 0;
    // MySQL says nothing here of what has changed, MariaDB that something has.
    link.unheard |= match link.is_mariadb() {
        true => changed,
        false => judged.commits_alone,
    };
    let flagged = link.is_mariadb() && changed && !link.in_trans();
    let commits = session
        .as_deref()
        .is_some_and(|session| session.is_own_commit(link, judged, end));
    link.left_over |= flagged && commits;
    let binds = flagged && !commits;
    match session {
        Some(session) => {
            session.status = end.status & LASTING;
            if binds {
                session.pin(PinReason::Untracked, link, out);
            }
        }
        None if binds => link.left(Leave::Dirty),
        None => {}
    }
}

/// Errors that end the whole transaction, or may: a deadlock, a lock that was waited for too long or for which
/// there is no room, a branch that is rolled back.
const ENDING: [u16; 4] = [1205, 1206, 1213, 1614];

/// An error: it says nothing of the session.
pub(super) fn failed(link: &mut Link, judged: &Judged, report: &Report<'_>, out: &mut Steps) {
    link.unheard |= judged.commits_alone;
    link.inserted |= judged.writes;
    // MariaDB tells what its triggers have set only beside another change.
    link.left_over |= link.is_mariadb() && judged.is_write() && !link.in_trans();
    link.warned = true;
    let ends = judged.commits_inside || ENDING.contains(&report.code);
    if ends && (link.in_trans() || link.status & status::AUTOCOMMIT == 0) {
        link.doubtful = true;
        link.unheard = true;
    }
    let closes = matches!(report.code, 1053 | 1927);
    link.closing |= closes;
    let read_only = |text: &[u8]| {
        let text = text.to_ascii_lowercase();
        let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        has(b"read-only") || has(b"read_only")
    };
    let doubted = match report.code {
        // An option forbids it: that one, or another.
        1290 => read_only(report.message),
        1836 => true,
        // Its client may have asked for a transaction that only reads.
        1792 => link.status & status::IN_TRANS_READONLY == 0 && link.settings.may_write(),
        _ => closes,
    };
    if doubted {
        out.push(Step::Note(Note::WriterDoubted));
    }
}

impl Session {
    /// The payload of an OK as the client is told it; `None`: as it is.
    pub(super) fn told(&mut self, link: &Link, ok: &Ok<'_>, tag: u8) -> Option<Vec<u8>> {
        let changes = ok.changes.unwrap_or_default();
        let mut kept = Vec::new();
        if self.agreed.has(SESSION_TRACK) {
            for change in session_track::parse(changes)? {
                if self.is_told(link, &change) {
                    change.write(&mut kept);
                }
            }
            // MariaDB may report nothing at all.
            if ok.changes.is_none() || kept == changes && !kept.is_empty() {
                return None;
            }
        } else if ok.changes.is_none() && ok.info.is_empty() {
            return None;
        }
        let told = Ok {
            changes: (!kept.is_empty()).then_some(&*kept),
            ..*ok
        };
        let mut payload = Vec::new();
        told.write(tag, self.agreed, &mut payload);
        Some(payload)
    }

    /// Whether a server would tell the client that by default.
    fn is_told(&mut self, link: &Link, change: &Change<'_>) -> bool {
        match change {
            Change::Variable { name, .. } => BY_DEFAULT.contains(name),
            Change::Schema(_) => true,
            // MySQL says so of transactions that were begun by name, whatever is set.
            Change::Transaction(now) if !link.is_mariadb() => {
                let was_open = self.told_open;
                self.told_open = &now.0 == BEGUN || was_open && &now.0 != NONE;
                self.told_open != was_open
            }
            _ => false,
        }
    }

    /// Whether that is flagged of a write which commits by itself, though it may have left nothing else. What it did
    /// leave is asked for, and so nothing may come between.
    fn is_own_commit(&self, link: &Link, judged: &Judged, end: Eof) -> bool {
        let is_last = end.status & status::MORE_RESULTS == 0 && link.requests() == 1;
        judged.is_write() && is_last && self.is_unbound(link)
    }

    /// The payload of an EOF as the client is told it; `None`: as it is.
    pub(super) fn told_end(&self, end: Eof) -> Option<Vec<u8>> {
        if end.status & status::SESSION_STATE_CHANGED == 0 || self.agreed.has(SESSION_TRACK) {
            return None;
        }
        let mut payload = Vec::new();
        Eof {
            status: end.status & !status::SESSION_STATE_CHANGED,
            ..end
        }
        .write(&mut payload);
        Some(payload)
    }
}
