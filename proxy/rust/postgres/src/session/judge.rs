//! What one message of the backend's means: for the queue of expected replies, for the state that is
//! kept of the backend, and for the client, who gets it, or not, or something else instead.

use std::sync::Arc;

use dbproxy_engine::{KillReason, Note, PinReason, Step, Steps};

use super::copies::copy_in;
use super::deeds::{carried_out, command, completed, makes_custom};
use super::reports::report;
use super::{attending, fault, named_replies, Session};
use crate::aim::in_batch_of_ours;
use crate::expect::{Expect, Fit, Injected};
use crate::fate;
use crate::link::{CopyIn, Leave, Link, Status};
use crate::message::{backend, error};
use crate::prepared::Theirs;
use crate::statement::Effects;
use crate::texts;

/// What is done with a message.
pub(super) enum Verdict {
    Pass,
    Drop,
    /// It is replaced by this.
    Instead(Vec<u8>),
    /// ReadyForQuery; passed on or not.
    Ready(bool),
    /// ReadyForQuery, kept back until the client has attended.
    Attend,
    /// The ReadyForQuery of the client's settings.
    Replayed,
    /// It is the last one from this backend, passed on to the client.
    Fatal,
    Kill(KillReason),
}

pub(super) fn judge(
    mut session: Option<&mut Session>,
    link: &mut Link,
    tag: u8,
    body: &[u8],
    out: &mut Steps,
) -> Verdict {
    if tag == backend::COMMAND_COMPLETE {
        named_replies::completed(session.as_deref_mut(), link, body);
    }
    match tag {
        backend::PARAMETER_STATUS => report(session, link, body),
        backend::NOTIFICATION_RESPONSE => attending::notification(session, link, body),
        backend::ERROR_RESPONSE => failure(session, link, body, out),
        backend::READY_FOR_QUERY => ready(session, link, body, out),
        // It would stand in front of what its client is told, or in the middle of that.
        backend::NOTICE_RESPONSE if session.as_ref().is_some_and(|one| one.keeps_answer()) => {
            Verdict::Drop
        }
        backend::NOTICE_RESPONSE => unless_ours(link),
        // It is closed at the next ReadyForQuery.
        _ if link.ambiguous => Verdict::Pass,
        _ if named_replies::learns(link) => named_replies::learn(session, link, tag, body),
        _ => match link.expected.front().map_or(Fit::Not, |one| one.fits(tag)) {
            Fit::Part => part(session, link, tag, body),
            Fit::Whole => whole(session, link, tag, body),
            Fit::Not => Verdict::Kill(KillReason::OutOfStep),
        },
    }
}

fn unless_ours(link: &Link) -> Verdict {
    match link.expected.front() {
        Some(front) if front.is_ours() => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

/// A part of what answers the message at the front.
fn part(mut session: Option<&mut Session>, link: &mut Link, tag: u8, body: &[u8]) -> Verdict {
    let client = session.is_some();
    if tag != backend::DATA_ROW && tag != backend::COPY_DATA {
        runs(session.as_deref_mut(), link);
    }
    match tag {
        backend::COPY_IN_RESPONSE => return copy_in(client, link),
        backend::COMMAND_COMPLETE => {
            link.ends_copy();
            if let (Some(Expect::Injected(Injected::Survey)), Some(session)) =
                (link.expected.front(), session.as_deref_mut())
            {
                session.pins.answered(link.complete, body);
            }
            completed(session, link, body);
            if let Some(Expect::Injected(Injected::Sequences)) = link.expected.front() {
                link.sequences.discarded();
            }
        }
        _ => {}
    }
    match named_replies::of_theirs(link, tag) {
        Some(bytes) => Verdict::Instead(bytes),
        None => unless_ours(link),
    }
}

/// The server runs what is at the front. If that is a query, it destroyed the unnamed statement first.
/// (After an error that isn't certain: the backend may still have one.)
fn runs(session: Option<&mut Session>, link: &mut Link) {
    if let Some(Expect::Query { .. }) = link.expected.front() {
        link.unnamed = None;
        if let Some(session) = session {
            session.has_unnamed(None);
        }
    }
}

/// The message at the front, one of a batch, is carried out.
fn whole(mut session: Option<&mut Session>, link: &mut Link, tag: u8, body: &[u8]) -> Verdict {
    let Some(done) = link.expected.pop() else {
        return Verdict::Kill(KillReason::OutOfStep);
    };
    let ours = done.is_ours();
    link.done = link.done.then(&done.effects());
    match done {
        Expect::Execute { acts, .. } => {
            link.ends_copy();
            let said = if tag == backend::COMMAND_COMPLETE {
                command(body)
            } else {
                b""
            };
            for (_, act) in acts.iter().flat_map(|script| &script.acts) {
                carried_out(session.as_deref_mut(), link, act, said);
            }
        }
        Expect::Parse {
            unnamed: Some(statement),
            ..
        } => {
            if let Some(session) = session.filter(|_| !ours) {
                session.has_unnamed(Some(Arc::clone(&statement)));
            }
            link.unnamed = Some(statement);
            link.surely = true;
        }
        Expect::Parse {
            coming: Some(coming),
            ..
        } => {
            if let Some(session) = session.filter(|_| !ours) {
                named_replies::parsed(session, &coming);
            }
        }
        Expect::Theirs(Theirs::Own { name, .. })
        | Expect::Close {
            name: Some(name), ..
        } => {
            if let Some(session) = session {
                session.names.remove(&name);
            }
        }
        Expect::Close { unnamed: true, .. } => {
            if let Some(session) = session.as_mut().filter(|_| !ours) {
                session.has_unnamed(None);
            }
            link.unnamed = None;
        }
        _ => {}
    }
    if ours {
        Verdict::Drop
    } else {
        Verdict::Pass
    }
}

/// ErrorResponse.
fn failure(
    mut session: Option<&mut Session>,
    link: &mut Link,
    body: &[u8],
    out: &mut Steps,
) -> Verdict {
    let report = error::report(body);
    let injected = match link.expected.front() {
        Some(Expect::Injected(why)) => Some(*why),
        _ => None,
    };
    if report.fatal {
        link.closing = true;
        let going = matches!(report.code, b"57P01" | b"57P02" | b"57P03");
        if going {
            out.push(Step::Note(Note::WriterDoubted));
        }
        return if going || injected.is_some() || link.cutting || session.is_none() {
            Verdict::Kill(KillReason::ServerClosed)
        } else {
            Verdict::Fatal
        };
    }
    if link.expected.is_empty() && !link.unsynced {
        return Verdict::Kill(KillReason::OutOfStep);
    }
    if report.code == b"25006" && link.params.may_be_standby() {
        out.push(Step::Note(Note::WriterDoubted));
    }
    match injected {
        Some(Injected::ApplicationName) => {
            link.name_failed();
            return Verdict::Drop;
        }
        Some(Injected::Survey) => return Verdict::Drop,
        Some(Injected::Sequences) if report.code == b"25P02" => return Verdict::Drop,
        Some(Injected::Settings { awaited: true }) => {
            return match session {
                Some(session) => {
                    session.replay_failed(&report);
                    Verdict::Drop
                }
                None => Verdict::Kill(KillReason::ResetFailed),
            };
        }
        Some(_) => return Verdict::Kill(KillReason::ResetFailed),
        None => {}
    }
    if link.expected.front().is_some_and(Expect::is_vital) {
        return Verdict::Kill(KillReason::ResetFailed);
    }
    if let Some(Expect::Learn(coming)) = link.expected.front() {
        link.prepared.doom(coming.number);
    }
    if report.code == b"26000" {
        named_replies::missing(link);
    }
    let front = link.expected.front();
    let known = session.as_deref();
    let reason = front.and_then(|one| known?.true_reason(one, &report));
    let renamed = front.and_then(|one| named_replies::refused(one, &report, body));
    let renamed = reason.or(renamed);
    if in_batch_of_ours(link) {
        named_replies::made_in_vain(session, link, &report, body);
        return Verdict::Drop;
    }
    link.fails_copy(report.is_of_copy_fail());
    let kept = link.settings.discarded() || fate::outlives_error(link);
    if link.settings.changed() && kept {
        // Whether it was kept or undone, who knows.
        link.settings.lose();
    }
    if let Some(session) = session
        .as_deref_mut()
        .filter(|_| kept && link.changes.begins())
    {
        // The same; the server is asked.
        session.pin(PinReason::Listen, link, out);
    }
    link.reported = true;
    if let Some(session) = session.as_deref_mut() {
        session.pins.doubt();
    }
    if makes_custom(link) && link.status != Status::Failed {
        // It may have come as far as that.
        link.left(Leave::Indelible);
    }
    let cancelled = link.cutting && report.code == b"57014" && !fate::outlives_error(link);
    let known = session.is_some();
    if let Some(front) = link.expected.front() {
        // Perhaps a text that isn't of its encoding, of which the server reads nothing.
        let unread = matches!(report.code, b"08P01" | b"22021" | b"22P05");
        let kept = unread && session.as_ref().is_some_and(|one| one.pins.any());
        if matches!(
            front,
            Expect::Query { .. }
                | Expect::Parse {
                    unnamed: Some(_),
                    ..
                }
        ) {
            link.surely &= kept;
        }
        if let Some(session) = session.filter(|_| front.touches_unnamed() && !unread) {
            // The server dropped the former one before it failed.
            session.has_unnamed(None);
        }
        if front.is_extended() {
            link.done = link.done.then(&front.effects());
            link.skip_to_sync();
        }
    }
    if !known && link.unsynced {
        // The Sync will never come.
        return Verdict::Kill(KillReason::ClientLost);
    }
    if cancelled && known {
        return Verdict::Instead(fault(&texts::LOST));
    }
    renamed.map_or(Verdict::Pass, Verdict::Instead)
}

fn ready(
    mut session: Option<&mut Session>,
    link: &mut Link,
    body: &[u8],
    out: &mut Steps,
) -> Verdict {
    let status = body.first().copied().and_then(Status::of);
    let Some(status) = status else {
        return Verdict::Kill(KillReason::OutOfStep);
    };
    let (hasty, before) = (attending::is_hasty(link), link.status);
    link.done = Effects::NONE;
    let complete = std::mem::take(&mut link.complete);
    let all = link
        .expected
        .front()
        .and_then(|front| front.acts().as_ref());
    if all.is_some_and(|script| script.statements != complete) && !link.reported {
        // The text was cut otherwise.
        link.settings.lose();
    }
    let to_client = match link.expected.pop() {
        Some(Expect::Injected(why)) => {
            if why != Injected::Statements {
                link.unnamed = None;
            }
            if let (Injected::Survey, Some(session)) = (why, session.as_deref_mut()) {
                session.surveyed(complete, out);
            }
            if let Injected::Settings { .. } = why {
                link.status = status;
                return Verdict::Replayed;
            }
            false
        }
        // It made something of what nothing should have come of.
        Some(Expect::Broken { .. }) if !link.reported => {
            return Verdict::Kill(KillReason::OutOfStep);
        }
        Some(request) if request.is_request() => {
            link.answered += 1;
            true
        }
        None if link.ambiguous => {
            // It ended what seemed to be open still.
            link.unsynced = false;
            true
        }
        _ if link.ambiguous => true,
        _ => return Verdict::Kill(KillReason::OutOfStep),
    };
    if link.copy_in == CopyIn::Active {
        return Verdict::Kill(KillReason::OutOfStep);
    }
    link.copy_in = CopyIn::Off;
    let mut changes = Vec::new();
    if to_client {
        let failed = std::mem::replace(&mut link.reported, false);
        if status == Status::Idle {
            changes = link.changes.ready(failed, before != Status::Idle);
        } else {
            link.changes.goes_on();
        }
        let name = &link.application_name;
        link.settings.ready(status, failed, name, &link.params);
        if status == Status::Idle && link.settings.is_strange() {
            // A function or trigger has set something for good, which nobody is to be shown.
            link.left(Leave::Indelible);
        }
        // A pinned client's backend is its own.
        let shared = session.as_ref().is_none_or(|one| !one.pins.any());
        if status == Status::Idle && (shared || link.expected.altered) {
            link.prepared.clears();
        }
    }
    link.status = status;
    if let Some(session) = session.as_deref_mut().filter(|_| status != Status::Idle) {
        session.pins.doubt();
    }
    let all = status == Status::Idle && link.expected.is_empty() && !link.unsynced;
    link.shifting &= !all;
    link.expected.altered &= !all;
    link.unnames &= !all;
    link.tunes &= !all;
    if let Some(session) = session {
        if link.settings.is_lost() {
            session.pin(PinReason::SessionSetting, link, out);
        }
        if let Some(settings) = link.settings.known().filter(|_| to_client) {
            if !Arc::ptr_eq(&session.settings, settings) {
                session.settings = Arc::clone(settings);
            }
        }
        if all {
            session.portal_acts = false;
        }
        if to_client && status == Status::Idle {
            return session.ends_answer(&changes, hasty, link, out);
        }
        return Verdict::Ready(to_client);
    }
    Verdict::Ready(false)
}
