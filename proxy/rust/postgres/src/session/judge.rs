//! What one message of the backend's means: for the queue of expected replies, for the state that is
//! kept of the backend, and for the client, who gets it, or not, or something else instead.

use std::sync::Arc;

use dbproxy_engine::{KillReason, Note, Step, Steps};

use super::{fault, Session};
use crate::backend_login::parameter;
use crate::expect::{Expect, Injected};
use crate::fate;
use crate::link::{CopyIn, Leave, Link, Status, Unnamed};
use crate::message::{backend, build, error};
use crate::statement::Effects;
use crate::texts;

/// As much of an ErrorResponse is waited for; severity and code stand in front.
const ERROR_HEAD: usize = 8 * 1024;

/// What is done with a message.
pub(super) enum Verdict {
    Pass,
    Drop,
    /// It is replaced by this.
    Instead(Vec<u8>),
    /// ReadyForQuery; passed on or not.
    Ready(bool),
    /// It is the last one from this backend, passed on to the client.
    Fatal,
    Kill(KillReason),
}

/// How much of a message must be there before it is judged.
pub(super) fn needed(tag: u8, total: usize) -> usize {
    match tag {
        backend::DATA_ROW
        | backend::COPY_DATA
        | backend::ROW_DESCRIPTION
        | backend::NOTICE_RESPONSE
        | backend::PARAMETER_DESCRIPTION
        | backend::FUNCTION_CALL_RESPONSE => 0,
        backend::ERROR_RESPONSE => total.min(ERROR_HEAD),
        _ => total,
    }
}

pub(super) fn judge(
    session: Option<&mut Session>,
    link: &mut Link,
    tag: u8,
    body: &[u8],
    out: &mut Steps,
) -> Verdict {
    let front = link.front();
    let owed = front.is_some() || link.unsynced;
    match tag {
        backend::PARAMETER_STATUS => report(session, link, front, body),
        backend::NOTIFICATION_RESPONSE => match session {
            Some(session) if session.pin.is_some() => Verdict::Pass,
            _ => {
                link.left(Leave::Dirty);
                Verdict::Drop
            }
        },
        backend::ERROR_RESPONSE => failure(session, link, (front, owed), body, out),
        backend::READY_FOR_QUERY => ready(session, link, body),
        backend::NOTICE_RESPONSE => unless_ours(front),
        _ if !owed => Verdict::Kill(KillReason::OutOfStep),
        backend::PARSE_COMPLETE | backend::CLOSE_COMPLETE => completion(session, link, tag, front),
        backend::COPY_IN_RESPONSE => copy_in(session.is_some(), link, front),
        backend::COMMAND_COMPLETE => {
            if link.copy_in != CopyIn::Off {
                link.copy_in = CopyIn::Off;
                link.swallowed = 0;
            }
            if front == Some(Expect::Injected(Injected::Sequences)) {
                link.sequences.discarded();
            }
            link.completed = link.completed.saturating_add(1);
            unless_ours(front)
        }
        backend::BIND_COMPLETE
        | backend::ROW_DESCRIPTION
        | backend::NO_DATA
        | backend::EMPTY_QUERY_RESPONSE
        | backend::PORTAL_SUSPENDED => {
            link.completed = link.completed.saturating_add(1);
            unless_ours(front)
        }
        _ => unless_ours(front),
    }
}

fn unless_ours(front: Option<Expect>) -> Verdict {
    match front {
        Some(Expect::Injected(_)) => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

/// ParameterStatus: kept with the backend; the client hears of it as it would without a proxy.
fn report(
    mut session: Option<&mut Session>,
    link: &mut Link,
    front: Option<Expect>,
    body: &[u8],
) -> Verdict {
    let Some((name, value)) = parameter(body) else {
        return Verdict::Kill(KillReason::OutOfStep);
    };
    if name == "application_name" {
        if matches!(front, Some(Expect::Injected(_))) {
            return Verdict::Drop;
        }
        // Every server cleans it to ASCII.
        let value = String::from_utf8_lossy(value);
        let before = std::mem::replace(&mut link.application_name, (*value).into());
        return match session {
            Some(session) => session.name_reported(&before, &value),
            None => Verdict::Drop,
        };
    }
    // The session lets go of them meanwhile: each of many reports would copy them all.
    if let Some(session) = &mut session {
        session.told = Arc::default();
    }
    if Arc::make_mut(&mut link.params).set(name, value).is_err() {
        return Verdict::Kill(KillReason::OutOfStep);
    }
    if let Some(session) = session {
        session.told = Arc::clone(&link.params);
    }
    Verdict::Pass
}

/// The completion of a Parse or Close: the client's, or the one that the proxy put in.
fn completion(
    session: Option<&mut Session>,
    link: &mut Link,
    tag: u8,
    front: Option<Expect>,
) -> Verdict {
    if let Some(session) = session.filter(|session| link.unnamed != Unnamed::Of(session.id)) {
        let ours = matches!(front, Some(Expect::Extra { tag: ours, skip: 0 }) if ours == tag);
        if ours || session.parse_answered(link) == Some(link.completed) {
            // It was replaced, or closed.
            link.unnamed = Unnamed::Of(session.id);
        }
    }
    match front {
        Some(Expect::Extra { tag: ours, skip: 0 }) if ours == tag => {
            link.pop_front();
            link.parsed = 0;
            link.closed = 0;
            return Verdict::Drop;
        }
        Some(Expect::Extra { tag: ours, skip }) if ours == tag => {
            let mut entries = link.expected.iter_mut();
            let extra = entries.find(|one| matches!(one, Expect::Extra { .. }));
            if let Some(Expect::Extra { skip: left, .. }) = extra {
                *left = skip.saturating_sub(1);
            }
        }
        Some(Expect::Injected(_)) => return Verdict::Kill(KillReason::OutOfStep),
        _ => {}
    }
    let kind = match tag {
        backend::PARSE_COMPLETE => &mut link.parsed,
        _ => &mut link.closed,
    };
    *kind = kind.saturating_add(1);
    link.completed = link.completed.saturating_add(1);
    Verdict::Pass
}

/// CopyInResponse.
fn copy_in(client: bool, link: &mut Link, front: Option<Expect>) -> Verdict {
    if !client {
        return Verdict::Kill(KillReason::ClientLost);
    }
    if matches!(front, Some(Expect::Injected(_))) {
        return Verdict::Kill(KillReason::ResetFailed);
    }
    link.copy_in = CopyIn::Active;
    let simple = matches!(front, Some(Expect::Query { .. }));
    link.ambiguous |= matches!(front, Some(Expect::Query { extended: true, .. }));
    read_ahead(link, simple);
    Verdict::Pass
}

/// What was forwarded before the server asked for data: it throws away the Syncs in front of the
/// data's end. Over any other message it fails the COPY, and what it then reads is its affair.
fn read_ahead(link: &mut Link, simple: bool) {
    let mut at = usize::from(simple);
    let mut swallowed = 0;
    let mut effects = Effects::NONE;
    while let Some(next) = link.expected.iter().nth(at).copied() {
        let foreign = simple || swallowed > 0;
        match next {
            Expect::Sync {
                effects: more,
                empty,
                parse,
            } => {
                link.expected.remove(at);
                link.parses -= u32::from(parse.is_some());
                link.ambiguous |= foreign && !empty;
                swallowed += 1;
                effects = effects.then(&more);
            }
            Expect::CopyEnd { batch, count } => {
                if let (Some(left), 2..) = (link.expected.iter_mut().nth(at), count) {
                    let count = count - 1;
                    *left = Expect::CopyEnd { batch, count };
                } else {
                    link.expected.remove(at);
                }
                link.ambiguous |= foreign && batch;
                link.copy_in = CopyIn::Ending;
                break;
            }
            _ => {
                link.ambiguous = true;
                at += 1;
            }
        }
    }
    if link.copy_in == CopyIn::Active {
        link.ambiguous |= link.unsynced && (simple || swallowed > 0);
    }
    link.swallowed += swallowed;
    if !simple && swallowed > 0 {
        reopen(link, &effects);
    }
}

/// A batch whose Sync was thrown away runs on into what follows it.
fn reopen(link: &mut Link, before: &Effects) {
    for expect in link.expected.iter_mut() {
        if let Expect::Sync { effects, empty, .. } = expect {
            *effects = before.then(effects);
            *empty = false;
            return;
        }
    }
    link.batch = before.then(&link.batch);
    link.unsynced = true;
}

/// ErrorResponse.
fn failure(
    mut session: Option<&mut Session>,
    link: &mut Link,
    (front, owed): (Option<Expect>, bool),
    body: &[u8],
    out: &mut Steps,
) -> Verdict {
    let report = error::report(body);
    if report.fatal {
        link.closing = true;
        let going = matches!(report.code, b"57P01" | b"57P02" | b"57P03");
        if going {
            out.push(Step::Note(Note::WriterDoubted));
        }
        let ours = matches!(front, Some(Expect::Injected(_)));
        return if going || ours || link.cutting || session.is_none() {
            Verdict::Kill(KillReason::ServerClosed)
        } else {
            Verdict::Fatal
        };
    }
    if !owed {
        return Verdict::Kill(KillReason::OutOfStep);
    }
    if report.code == b"25006" && link.params.may_be_standby() {
        out.push(Step::Note(Note::WriterDoubted));
    }
    match front {
        Some(Expect::Injected(Injected::ApplicationName)) => {
            // Not a name that any client has: it is set again next time.
            link.application_name = "\0".into();
            return Verdict::Drop;
        }
        Some(Expect::Injected(Injected::Sequences)) if report.code == b"25P02" => {
            return Verdict::Drop;
        }
        Some(Expect::Injected(_)) => return Verdict::Kill(KillReason::ResetFailed),
        Some(Expect::Extra { .. }) => link.drop_extras(),
        Some(Expect::Query { extended: true, .. }) => link.ambiguous = true,
        _ => {}
    }
    if link.copy_in != CopyIn::Off {
        link.copy_in = CopyIn::Off;
        link.ambiguous |= link.swallowed > 0;
        link.swallowed = 0;
    }
    link.reported = true;
    if let Some(session) = session.as_deref_mut() {
        session.doubt_unnamed(link);
    }
    let cancelled = link.cutting && report.code == b"57014";
    if cancelled && session.is_some() && !fate::outlives_error(link) {
        return Verdict::Instead(fault(&texts::LOST));
    }
    Verdict::Pass
}

fn ready(session: Option<&mut Session>, link: &mut Link, body: &[u8]) -> Verdict {
    let status = body.first().copied().and_then(Status::of);
    let Some(status) = status else {
        return Verdict::Kill(KillReason::OutOfStep);
    };
    if link.reported {
        link.drop_extras();
    }
    let owed = link.front();
    link.pop_front();
    link.completed = 0;
    link.parsed = 0;
    link.closed = 0;
    let to_client = match owed {
        Some(Expect::Injected(_)) => false,
        Some(Expect::Query { .. } | Expect::Sync { .. } | Expect::FunctionCall) => {
            link.answered += 1;
            true
        }
        None if link.ambiguous => true,
        _ => return Verdict::Kill(KillReason::OutOfStep),
    };
    if link.copy_in == CopyIn::Active {
        return Verdict::Kill(KillReason::OutOfStep);
    }
    link.copy_in = CopyIn::Off;
    if to_client {
        link.reported = false;
    }
    link.status = status;
    if let Some(session) = session {
        if status == Status::Idle {
            session.portal_commits = false;
        }
        return Verdict::Ready(to_client);
    }
    Verdict::Ready(false)
}

impl Session {
    /// The server reports the client's name. Reset, it is none for the server, and for the client
    /// the one that it came with.
    fn name_reported(&mut self, before: &str, now: &str) -> Verdict {
        let own = &*self.application_name;
        let known = if self.nameless { own } else { before };
        let shown = if now.is_empty() { own } else { now };
        self.nameless = now != shown;
        if known == shown {
            return Verdict::Drop;
        }
        let mut bytes = Vec::new();
        build::parameter(&mut bytes, "application_name", shown.as_bytes());
        Verdict::Instead(bytes)
    }

    /// An error: if it keeps the server from a Parse of the unnamed statement, that which the
    /// session remembers isn't what the server has.
    fn doubt_unnamed(&mut self, link: &Link) {
        let Some(parse) = self.parse_answered(link) else {
            return;
        };
        let parses = link.parses + u32::from(self.open_parse(link).is_some());
        let replaced = parses > 1;
        if parse >= link.completed && !replaced {
            self.forget_unnamed();
        }
    }

    /// Which message of the batch that is being answered parses the unnamed statement last.
    fn parse_answered(&self, link: &Link) -> Option<u32> {
        match link.request() {
            Some(Expect::Sync { parse, .. }) => parse,
            Some(_) => None,
            None => self.open_parse(link),
        }
    }

    /// The same for the batch whose Sync is still to come.
    fn open_parse(&self, link: &Link) -> Option<u32> {
        self.batch.parse.filter(|_| link.unsynced)
    }
}
