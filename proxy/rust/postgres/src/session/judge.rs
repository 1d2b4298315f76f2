//! What one message of the backend's means: for the queue of expected replies, for the state that is
//! kept of the backend, and for the client, who gets it, or not, or something else instead.

use std::sync::Arc;

use dbproxy_engine::{KillReason, Note, Step, Steps};

use super::{fault, Session};
use crate::backend_login::parameter;
use crate::link::{CopyIn, Expect, Injected, Leave, Link, Status, Unnamed};
use crate::message::{backend, error};
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
        backend::PARSE_COMPLETE | backend::CLOSE_COMPLETE => completion(link, tag, front),
        backend::COPY_IN_RESPONSE => copy_in(session.is_some(), link, front),
        backend::COMMAND_COMPLETE => {
            if link.copy_in != CopyIn::Off {
                link.copy_in = CopyIn::Off;
                link.swallowed = 0;
            }
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
    session: Option<&mut Session>,
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
        link.application_name = value.into();
        return Verdict::Pass;
    }
    Arc::make_mut(&mut link.params).set(name, value);
    if let Some(session) = session {
        session.told = Arc::clone(&link.params);
    }
    Verdict::Pass
}

/// The completion of a Parse or Close: the client's, or the one that the proxy put in.
fn completion(link: &mut Link, tag: u8, front: Option<Expect>) -> Verdict {
    match front {
        Some(Expect::Extra { tag: ours, skip: 0 }) if ours == tag => {
            link.pop_front();
            Verdict::Drop
        }
        Some(Expect::Extra { tag: ours, skip }) if ours == tag => {
            link.pop_front();
            let skip = skip - 1;
            link.expected.push_front(Expect::Extra { tag, skip });
            Verdict::Pass
        }
        Some(Expect::Injected(_)) => Verdict::Kill(KillReason::OutOfStep),
        _ => Verdict::Pass,
    }
}

/// CopyInResponse. Syncs that were forwarded already are thrown away by the server, up to the end
/// of the data, if that was forwarded too.
fn copy_in(client: bool, link: &mut Link, front: Option<Expect>) -> Verdict {
    if !client {
        return Verdict::Kill(KillReason::ClientLost);
    }
    if matches!(front, Some(Expect::Injected(_))) {
        return Verdict::Kill(KillReason::ResetFailed);
    }
    link.copy_in = CopyIn::Active;
    let mut index = match front {
        Some(Expect::Query { extended, .. }) => {
            link.ambiguous |= extended;
            1
        }
        _ => 0,
    };
    let simple = index == 1;
    while let Some(next) = link.expected.get(index).copied() {
        match next {
            Expect::Sync { effects, .. } => {
                link.expected.remove(index);
                link.swallowed += 1;
                if !simple {
                    link.unsynced = true;
                    link.batch = effects.then(&link.batch);
                }
            }
            Expect::CopyEnd => {
                link.expected.remove(index);
                link.copy_in = CopyIn::Ending;
                break;
            }
            // The server fails the COPY over it, and whether it reads it again is its affair.
            _ => {
                link.ambiguous = true;
                index += 1;
            }
        }
    }
    if !simple && matches!(link.front(), Some(Expect::Sync { .. })) {
        link.unsynced = false;
    }
    Verdict::Pass
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
    if report.code == b"25006" {
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
        Some(Expect::Extra { .. }) => {
            link.pop_front();
        }
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
    if link.cutting && report.code == b"57014" && session.is_some() {
        return Verdict::Instead(fault(&texts::LOST));
    }
    Verdict::Pass
}

fn ready(session: Option<&mut Session>, link: &mut Link, body: &[u8]) -> Verdict {
    let status = body.first().copied().and_then(Status::of);
    let Some(status) = status else {
        return Verdict::Kill(KillReason::OutOfStep);
    };
    let owed = link.front();
    link.pop_front();
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
    /// After an error it isn't certain which unnamed statement the backend has.
    fn doubt_unnamed(&mut self, link: &mut Link) {
        if self.pin.is_none() && link.unnamed == Unnamed::Of(self.id) {
            link.unnamed = Unnamed::Stale;
            self.forget_unnamed();
        }
    }
}
