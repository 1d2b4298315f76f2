//! The backend's bytes: whose answer they are, whether the client gets them, and when the backend is free.

use dbproxy_engine::{CloseReason, KillReason, Note, Release, Step, Steps};

use crate::link::{Leave, Link, Of, Ours, Partial, Request, Sent, LASTING};
use crate::message::capability::LOCAL_FILES;
use crate::message::frame::{self, Peek};
use crate::message::{command, error, ok};
use crate::reply::{Look, Reply, Said};

use super::flow::Flow;
use super::{changes, own, tell, Session};

/// The number of the error of who was interrupted by KILL QUERY.
const INTERRUPTED: u16 = 1317;

/// What a look at a packet led to.
enum Next {
    /// The next packet.
    On,
    /// The answer is over.
    Ended,
    NeedMore,
    /// The session is over.
    Over,
    Kill(KillReason),
}

pub(super) fn replies(
    mut session: Option<&mut Session>,
    link: &mut Link,
    input: &[u8],
    out: &mut Steps,
) -> usize {
    let mut flow = Flow::of(input);
    loop {
        let next = match link.partial {
            Some(partial) => stream(session.as_deref_mut(), link, partial, &mut flow, out),
            None if flow.rest().is_empty() => Next::NeedMore,
            None => packet(session.as_deref_mut(), link, &mut flow, out),
        };
        let release = match next {
            Next::On => None,
            Next::Ended => ended(session.as_deref_mut(), link, out),
            Next::NeedMore => break,
            Next::Over => {
                flow.flush(out);
                return flow.passed();
            }
            Next::Kill(reason) => Some(Release::Kill(reason)),
        };
        if let Some(mut release) = release {
            flow.flush(out);
            // What stands behind the last answer is nobody's.
            if !flow.rest().is_empty() && !matches!(release, Release::Kill(_)) {
                release = Release::Kill(KillReason::SpokeWhileIdle);
            }
            out.push(Step::Release(release));
            return flow.passed();
        }
    }
    flow.flush(out);
    flow.passed()
}

/// Goes on with a packet that was looked at.
fn stream(
    session: Option<&mut Session>,
    link: &mut Link,
    mut partial: Partial,
    flow: &mut Flow<'_>,
    out: &mut Steps,
) -> Next {
    let here = partial.remaining.min(flow.rest().len());
    partial.remaining -= here;
    match (partial.to_client, session) {
        (true, Some(session)) => {
            let bytes = flow.rest().get(..here).unwrap_or_default();
            session.holdings.passes(bytes);
            flow.pass(here);
        }
        (false, Some(session)) if link.tells_of_warnings() => {
            session
                .diagnostics
                .hears(flow.rest().get(..here).unwrap_or_default());
            flow.drop(here, out);
        }
        _ => flow.drop(here, out),
    }
    if partial.remaining > 0 {
        link.partial = Some(partial);
        return Next::NeedMore;
    }
    link.partial = None;
    match partial.last {
        true => Next::Ended,
        false => Next::On,
    }
}

fn packet(
    session: Option<&mut Session>,
    link: &mut Link,
    flow: &mut Flow<'_>,
    out: &mut Steps,
) -> Next {
    let rest = flow.rest();
    let Some(owed) = link.owed.front() else {
        return unasked(rest, out);
    };
    let (shape, first) = (owed.shape, owed.first);
    let request = match &owed.of {
        Of::Client(request) => Ok(*request),
        Of::Ours(ours) => Err(*ours),
    };
    let in_part = link
        .sending
        .is_some_and(|sending| sending.what == Sent::Command);
    if request.is_ok() && in_part {
        return early(session, rest, flow, out);
    }
    if request.is_ok() && is_struck(link, rest) {
        return Next::Kill(KillReason::WriterLost);
    }
    let agreed = link.agreed;
    let reply = link
        .reply
        .get_or_insert_with(|| Reply::new(shape, agreed, first));
    let number = reply.next();
    let next = match reply.look(rest) {
        Look::NeedMore => Next::NeedMore,
        Look::OutOfStep => Next::Kill(KillReason::OutOfStep),
        Look::Part { total, last } => {
            link.partial = Some(Partial {
                remaining: total,
                to_client: request.is_ok(),
                last,
            });
            Next::On
        }
        // Nobody has such a file: the proxy reads none of its own.
        Look::File { .. } if session.is_none() => Next::Kill(KillReason::ClientLost),
        Look::File { .. } if !may_load(link, request) => Next::Kill(KillReason::OutOfStep),
        Look::File { total, next } => {
            flow.pass(total);
            link.file = Some(next);
            Next::On
        }
        Look::Said { total, said, last } => {
            let done = match request {
                Ok(request) => theirs(session, link, &request, &said, (flow, total), out),
                Err(why) => {
                    flow.drop(total, out);
                    own::said(session, link, why, &said, out)
                }
            };
            match done {
                Err(reason) => Next::Kill(reason),
                Ok(()) if last => Next::Ended,
                Ok(()) => Next::On,
            }
        }
    };
    if let (Next::Kill(_), Some(reply)) = (&next, &mut link.reply) {
        reply.withheld(number);
    }
    next
}

/// Whether the server may ask for a file. One that does so in answer to anything else would read whatever
/// its clients may: their drivers rarely look at what they have asked.
fn may_load(link: &Link, request: Result<Request, Ours>) -> bool {
    let Ok(request) = request else { return false };
    // MariaDB also prepares what loads.
    let prepared = request.command == command::STMT_EXECUTE && link.is_mariadb();
    link.agreed.has(LOCAL_FILES) && (request.judged.loads || prepared)
}

/// Whether the server says that it was interrupted, as the proxy itself did to cut it: the client is told what
/// became of its connection instead. What may have committed is as far as it came.
fn is_struck(link: &Link, rest: &[u8]) -> bool {
    let Peek::Packet { total, .. } = frame::peek(rest) else {
        return false;
    };
    let code = match frame::body(rest, total) {
        [error::TAG, low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => return false,
    };
    link.cutting && code == INTERRUPTED && !link.commits()
}

/// What a server says of a client's command.
fn theirs(
    mut session: Option<&mut Session>,
    link: &mut Link,
    request: &Request,
    said: &Said<'_>,
    (flow, total): (&mut Flow<'_>, usize),
    out: &mut Steps,
) -> Result<(), KillReason> {
    let judged = &request.judged;
    let mut told = None;
    match said {
        Said::Ok(ok, tag) => {
            told = session
                .as_deref_mut()
                .map(|session| session.told(link, ok, *tag));
            changes::heard(session.as_deref_mut(), link, judged, ok, out)?;
            // One behind rows doesn't tell which id a write has made.
            link.inserted |= judged.writes && *tag == ok::END_OF_ROWS;
            settles(session.as_deref_mut(), link, request, ok, out);
            if let (Some(session), true) = (session.as_deref_mut(), judged.assigns) {
                session.assigned(ok.warnings == 0, link, out);
            }
            says(session.as_deref_mut(), request, ok.status);
        }
        Said::Eof(end) => {
            told = session.as_deref().map(|session| session.told_end(*end));
            changes::ended(session.as_deref_mut(), link, judged, *end, out);
            says(session.as_deref_mut(), request, end.status);
        }
        Said::Error(report) => {
            changes::failed(link, judged, report, out);
            if let (Some(session), true) = (session.as_deref_mut(), judged.assigns) {
                session.assigned(false, link, out);
            }
            link.erred = true;
            let session = session.as_deref_mut();
            let session = session.filter(|_| request.command == command::STMT_PREPARE);
            if session.is_some_and(|session| session.prepare_failed(request, report, link, out)) {
                flow.drop(total, out);
                return Ok(());
            }
        }
        Said::Prepared(prepared) => {
            link.warned |= prepared.warnings > 0;
            match session.as_deref_mut() {
                Some(session) => {
                    let payload = session.prepared(prepared, link, out);
                    told = Some(Some(payload.ok_or(KillReason::OutOfStep)?));
                }
                // Nobody has a number for it.
                None => link.left(Leave::Dirty),
            }
        }
        Said::Text => {}
    }
    let Some(session) = session else {
        flow.drop(total, out);
        return Ok(());
    };
    let kind = request.command;
    session
        .diagnostics
        .said(judged, kind, said, link.is_mariadb());
    session.holdings.said(said);
    session.one_shot = session.one_shot.after(judged, link);
    match told.flatten() {
        None => flow.pass(total),
        Some(payload) => {
            let number = match frame::peek(flow.rest()) {
                Peek::Packet { sequence, .. } => sequence,
                Peek::NeedMore => return Err(KillReason::OutOfStep),
            };
            flow.drop(total, out);
            let mut bytes = Vec::new();
            frame::packets(&mut bytes, number, |out| out.extend_from_slice(&payload));
            tell(bytes, out);
        }
    }
    Ok(())
}

/// What is said of cursors.
fn says(session: Option<&mut Session>, request: &Request, flags: u16) {
    if let Some(session) = session {
        session.named_says(request, flags);
    }
}

/// What an OK means beside what it reports.
fn settles(
    session: Option<&mut Session>,
    link: &mut Link,
    request: &Request,
    ok: &ok::Ok<'_>,
    out: &mut Steps,
) {
    let resets = request.command == command::RESET_CONNECTION;
    if resets {
        // What the proxy had set is gone with what the client had.
        link.left(Leave::Dirty);
        link.forgets();
    }
    let Some(session) = session else {
        return;
    };
    if resets {
        session.starts_anew(ok.status & LASTING, out);
        link.settings = session.settings.clone();
        session.placed = true;
        session.listens_again(link, out);
    }
    if request.judged.ends && !link.in_trans() {
        session.begun = false;
    }
}

/// The server answers a command that it hasn't got whole: it won't read the rest.
fn early(session: Option<&mut Session>, rest: &[u8], flow: &mut Flow<'_>, out: &mut Steps) -> Next {
    let Peek::Packet { total, .. } = frame::peek(rest) else {
        return Next::NeedMore;
    };
    if rest.get(frame::HEADER) != Some(&error::TAG) || total > frame::FULL {
        return Next::Kill(KillReason::OutOfStep);
    }
    if rest.len() < total {
        return Next::NeedMore;
    }
    let Some(session) = session else {
        return Next::Kill(KillReason::ClientLost);
    };
    flow.pass(total);
    flow.flush(out);
    session.close(CloseReason::BackendFatal, out);
    Next::Over
}

/// The server speaks though nothing was asked: it says why it goes, or is out of step.
fn unasked(rest: &[u8], out: &mut Steps) -> Next {
    let Peek::Packet { total, .. } = frame::peek(rest) else {
        return Next::NeedMore;
    };
    let body = frame::body(rest, total);
    let code = match body {
        [error::TAG, low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => return Next::Kill(KillReason::SpokeWhileIdle),
    };
    if matches!(code, 1053 | 1927) {
        out.push(Step::Note(Note::WriterDoubted));
    }
    Next::Kill(KillReason::ServerClosed)
}

/// An answer is over: whether the backend is let go, and how.
fn ended(mut session: Option<&mut Session>, link: &mut Link, out: &mut Steps) -> Option<Release> {
    link.reply = None;
    let owed = link.owed.pop_front();
    let of = owed.map(|owed| owed.of);
    let theirs = matches!(of, Some(Of::Client(_)));
    link.answered += u64::from(theirs);
    let erred = std::mem::take(&mut link.erred);
    if theirs {
        link.statements.executed(erred);
    }
    match (session.as_deref_mut(), of) {
        // It was reset for its client; in which database that leaves it was told.
        (Some(session), Some(Of::Ours(Ours::Reset))) if link.settled() => session.replay(link, out),
        (Some(session), Some(Of::Ours(why))) => {
            session.diagnostics.heard(why, &session.settings);
            if link.settled() && std::mem::take(&mut link.doubtful) {
                session.begun &= link.in_trans();
            }
        }
        (Some(session), Some(Of::Client(request))) => {
            session.unbinds(&request.judged, out);
            session.named_done(&request, erred, link, out);
        }
        _ => {}
    }
    if !link.settled() {
        return None;
    }
    let Some(session) = session else {
        let reset = link.was_resetting();
        return Some(match link.release() {
            Release::Reset if reset => Release::Kill(KillReason::ResetFailed),
            release => release,
        });
    };
    if link.cutting || link.closing {
        return Some(link.release());
    }
    if theirs && std::mem::take(&mut session.moves) && session.database.is_some() {
        // It was to go to another database, and is in neither that nor its own.
        if link.database != session.database {
            return Some(Release::Kill(KillReason::Ambiguous));
        }
    }
    let free = session.may_release(link);
    // Whether its transaction is still there is asked, too, where it holds the backend for that.
    let asks = (free || theirs && link.doubtful) && session.asks_first(link, out);
    if !free || asks {
        return None;
    }
    Some(link.release())
}
