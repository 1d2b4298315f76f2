//! What the proxy itself asks a backend: what it hasn't told, before it is let go; and what becomes of all its own
//! commands. The client knows of none of them.

use dbproxy_engine::{KillReason, Leg, Payload, Step, Steps};

use crate::link::{Leave, Link, Ours};
use crate::message::session_track::{self, Change};
use crate::message::{command, ok, status};
use crate::reply::Said;

use super::diagnostics::{is_wide, COUNTS, WARNINGS};
use super::judge::Judged;
use super::{changes, Session};

/// Tells what has changed, and does nothing.
const TELL_CHANGES: &str = "DO 0";
/// Tells what else is left of it: MariaDB does so only beside another change, and this one, unlike any `SET`, is no
/// state of a session's.
const TELL_LEFT_OVER: [&str; 2] = ["BEGIN", "ROLLBACK AND NO CHAIN NO RELEASE"];
const TELL_COLLATION: &str = "SET collation_connection = @@collation_connection";

/// Tells what LAST_INSERT_ID() is, in the report of what it has changed.
const TELL_ID: &str = "SET last_insert_id = LAST_INSERT_ID()";

impl Session {
    /// Asks the backend what it hasn't told, before it is let go; answers whether there is any such thing.
    pub(super) fn asks_first(&mut self, link: &mut Link, out: &mut Steps) -> bool {
        let mut bytes = Vec::new();
        if is_wide(&self.settings) {
            self.diagnostics.moves();
        }
        let warnings = self.diagnostics.is_only_here();
        let unheard = std::mem::take(&mut link.unheard);
        // It begins a transaction, which ends whatever is open.
        let left_over = self.is_unbound(link) && std::mem::take(&mut link.left_over);
        let inserted = std::mem::take(&mut link.inserted);
        let collates = std::mem::take(&mut link.collates);
        let mariadb = link.is_mariadb();
        let mut ask = |why, sql: &str| link.ask(why, command::QUERY, sql.as_bytes(), &mut bytes);
        if warnings {
            ask(Ours::Warnings, WARNINGS);
            ask(Ours::Counts, COUNTS);
        }
        if unheard && !mariadb {
            ask(Ours::Changes, TELL_CHANGES);
        }
        if left_over {
            TELL_LEFT_OVER
                .iter()
                .for_each(|sql| ask(Ours::LeftOver, sql));
        }
        // MariaDB tells of what is left over only beside another change.
        if inserted || unheard && mariadb {
            ask(Ours::InsertId, TELL_ID);
        }
        if collates {
            ask(Ours::Collation, TELL_COLLATION);
        }
        if bytes.is_empty() {
            return false;
        }
        self.diagnostics.is_overwritten();
        out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
        true
    }
}

/// What a server says of something that the proxy asked.
pub(super) fn said(
    session: Option<&mut Session>,
    link: &mut Link,
    why: Ours,
    said: &Said<'_>,
    out: &mut Steps,
) -> Result<(), KillReason> {
    match (why, said) {
        (Ours::Replay, Said::Error(report)) => {
            if let Some(session) = session {
                session.replay_failed(report);
            }
            link.left(Leave::Indelible);
        }
        // It has no such thing to tell, or no time.
        (Ours::Warnings | Ours::Counts, Said::Error(_)) => {
            if let Some(session) = session {
                session.diagnostics.lose();
            }
        }
        (Ours::Prepare, Said::Error(report)) => {
            link.prepared(None, out);
            link.warned = true;
            if let Some(session) = session {
                session.prepare_refused(report, link, out);
            }
        }
        (Ours::Prepare, Said::Prepared(prepared)) => {
            link.warned |= prepared.warnings > 0;
            link.prepared(Some(prepared.id), out);
        }
        (Ours::Prepare, Said::Eof(_)) => {}
        (Ours::Aside, Said::Error(report)) => match session {
            // Nothing of its request was sent; else it is told that its backend is gone.
            Some(session) if session.fresh => {
                session.replay_failed(report);
                link.left(Leave::Indelible);
            }
            _ => return Err(KillReason::ResetFailed),
        },
        (Ours::Aside, Said::Ok(ok, _)) => link.status = ok.status,
        (_, Said::Error(_)) => return Err(KillReason::ResetFailed),
        (Ours::Replay | Ours::Place, Said::Ok(ok, _)) => link.status = ok.status,
        (Ours::Reset, Said::Ok(ok, _)) => {
            link.status = ok.status;
            let changes = session_track::parse(ok.changes.unwrap_or_default());
            link.heard(&changes.ok_or(KillReason::OutOfStep)?);
        }
        (Ours::Changes | Ours::Warnings | Ours::Counts, Said::Ok(ok, _)) => {
            changes::heard(session, link, &Judged::harmless(), ok, out)?;
        }
        (Ours::LeftOver, Said::Ok(ok, _)) => {
            changes::heard(session, link, &Judged::harmless(), ok, out)?;
            // The transaction is none of the client's.
            link.status &= !status::IN_TRANS;
        }
        (Ours::Collation, Said::Ok(ok, _)) => {
            changes::heard(session, link, &Judged::command(command::INIT_DB), ok, out)?;
        }
        (Ours::InsertId, Said::Ok(ok, _)) => insert_id(session, link, ok, out)?,
        (Ours::Warnings | Ours::Counts, Said::Eof(end)) => {
            changes::ended(session, link, &Judged::harmless(), *end, out);
        }
        // An init query may have rows.
        (Ours::Reset, Said::Eof(_)) => {}
        _ => return Err(KillReason::OutOfStep),
    }
    Ok(())
}

/// The server said what LAST_INSERT_ID() is.
fn insert_id(
    mut session: Option<&mut Session>,
    link: &mut Link,
    ok: &ok::Ok<'_>,
    out: &mut Steps,
) -> Result<(), KillReason> {
    let sets = Judged::command(command::INIT_DB);
    changes::heard(session.as_deref_mut(), link, &sets, ok, out)?;
    let changes = session_track::parse(ok.changes.unwrap_or_default()).unwrap_or_default();
    let id = changes.iter().find_map(|change| match change {
        Change::Variable { name, value } if *name == b"last_insert_id" => {
            std::str::from_utf8(value).ok()?.parse().ok()
        }
        _ => None,
    });
    let id: u64 = id.ok_or(KillReason::OutOfStep)?;
    link.inserted = false;
    link.insert_id = Some(id);
    if let Some(session) = session {
        // The one before is no news.
        session.id_lost &= session.insert_id == id;
        session.insert_id = id;
    }
    Ok(())
}
