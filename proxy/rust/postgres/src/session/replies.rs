//! The backend's bytes: headers are scanned, bodies looked at only where they change a decision,
//! everything that answers the client goes on unchanged and in as few ranges as possible.
//!
//! What answers the proxy's own requests is dropped. A backend that sends what it can't owe is
//! killed: never guessed about.

use dbproxy_engine::{CloseReason, KillReason, Leg, Payload, Release, Step, Steps};

use crate::link::{Link, Partial};
use crate::message::{backend, body, peek, Peek};

use super::judge::{judge, Verdict};
use super::{named_replies, say, Session};

/// As much of an ErrorResponse is waited for; severity and code stand in front.
const ERROR_HEAD: usize = 8 * 1024;

/// The input while it is being gone through.
struct Flow<'a> {
    input: &'a [u8],
    /// What from here to `at` goes to the client.
    start: usize,
    at: usize,
}

impl Flow<'_> {
    fn flush(&mut self, out: &mut Steps) {
        if self.at > self.start {
            let range = self.start..self.at;
            out.push(Step::Send(Leg::Client, Payload::Range(range)));
        }
        self.start = self.at;
    }

    fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn drop(&mut self, bytes: usize, out: &mut Steps) {
        self.flush(out);
        self.at += bytes;
        self.start = self.at;
    }
}

pub(super) fn replies(
    mut session: Option<&mut Session>,
    link: &mut Link,
    input: &[u8],
    out: &mut Steps,
) -> usize {
    let mut flow = Flow {
        input,
        start: 0,
        at: 0,
    };
    loop {
        if !stream(session.is_some(), link, &mut flow, out) {
            break;
        }
        let rest = flow.input.get(flow.at..).unwrap_or_default();
        let (tag, total) = match peek(rest, backend::longest_body) {
            Peek::Message { tag, total } => (tag, total),
            Peek::NeedMore => break,
            Peek::Bad => return kill(KillReason::OutOfStep, flow, out),
        };
        if rest.len() < needed(link, tag, total) {
            break;
        }
        let body = body(rest, total);
        match judge(session.as_deref_mut(), link, tag, body, out) {
            Verdict::Pass => begin(link, total, session.is_some()),
            Verdict::Drop => begin(link, total, false),
            Verdict::Instead(bytes) => {
                flow.flush(out);
                say(bytes, out);
                begin(link, total, false);
            }
            Verdict::Ready(to_client) => {
                if to_client {
                    flow.pass(total);
                } else {
                    flow.drop(total, out);
                }
                if let Some(release) = settle(session.as_deref_mut(), link, out) {
                    flow.flush(out);
                    let release = behind(link, &flow, out).map_or(release, Release::Kill);
                    out.push(Step::Release(release));
                    return flow.at;
                }
            }
            Verdict::Attend => {
                flow.drop(total, out);
                let Some(session) = session.as_deref_mut() else {
                    continue;
                };
                session.survey(link, out);
                let free = session.may_release(link);
                if free {
                    out.push(Step::Release(link.release()));
                }
                out.push(session.attention(link));
                if free {
                    // What stands behind it is for whoever has it next.
                    return flow.at;
                }
            }
            Verdict::Replayed => {
                flow.drop(total, out);
                match session.as_deref_mut() {
                    Some(session) => session.prepared(link, out),
                    None if link.settled() => {
                        let release = link.release();
                        let release = behind(link, &flow, out).map_or(release, Release::Kill);
                        out.push(Step::Release(release));
                        return flow.at;
                    }
                    None => {}
                }
            }
            Verdict::Fatal => {
                flow.pass(total.min(rest.len()));
                flow.flush(out);
                if let Some(session) = session {
                    session.close(CloseReason::BackendFatal, out);
                }
                return flow.at;
            }
            Verdict::Kill(reason) => {
                flow.drop(total.min(rest.len()), out);
                return kill(reason, flow, out);
            }
        }
    }
    flow.flush(out);
    flow.at
}

/// How much of a message must be there before it is judged.
fn needed(link: &Link, tag: u8, total: usize) -> usize {
    match tag {
        backend::ROW_DESCRIPTION | backend::PARAMETER_DESCRIPTION => {
            named_replies::needed(link, total)
        }
        backend::DATA_ROW
        | backend::COPY_DATA
        | backend::NOTICE_RESPONSE
        | backend::FUNCTION_CALL_RESPONSE => 0,
        backend::ERROR_RESPONSE => total.min(ERROR_HEAD),
        _ => total,
    }
}

/// What the backend said behind its last answer, where it owes nothing: a goodbye, or a report that
/// came out of turn. It is nobody's then, so nobody is told, and nobody gets such a backend.
fn behind(link: &mut Link, flow: &Flow<'_>, out: &mut Steps) -> Option<KillReason> {
    let rest = flow.input.get(flow.at..).filter(|rest| !rest.is_empty())?;
    if let Peek::Message { tag, total } = peek(rest, backend::longest_body) {
        if rest.len() >= needed(link, tag, total) {
            if let Verdict::Kill(reason) = judge(None, link, tag, body(rest, total), out) {
                return Some(reason);
            }
        }
    }
    Some(KillReason::SpokeWhileIdle)
}

fn kill(reason: KillReason, mut flow: Flow<'_>, out: &mut Steps) -> usize {
    flow.flush(out);
    out.push(Step::Release(Release::Kill(reason)));
    flow.at
}

/// Goes on with a message whose header was judged. `false`: more of it is to come.
fn stream(to_client: bool, link: &mut Link, flow: &mut Flow<'_>, out: &mut Steps) -> bool {
    let Some(partial) = &mut link.partial else {
        return true;
    };
    let here = partial.remaining.min(flow.input.len() - flow.at);
    partial.remaining -= here;
    if partial.to_client && to_client {
        flow.pass(here);
    } else {
        flow.drop(here, out);
    }
    if partial.remaining > 0 {
        return false;
    }
    link.partial = None;
    true
}

fn begin(link: &mut Link, total: usize, to_client: bool) {
    link.partial = Some(Partial {
        remaining: total,
        to_client,
    });
}

/// After a ReadyForQuery: whether the backend is let go, and how.
fn settle(session: Option<&mut Session>, link: &mut Link, out: &mut Steps) -> Option<Release> {
    if link.ambiguous {
        return Some(Release::Kill(KillReason::Ambiguous));
    }
    if !link.settled() {
        return None;
    }
    let Some(session) = session else {
        let reset = std::mem::replace(&mut link.resetting, false);
        return Some(match link.release() {
            Release::Reset if reset => Release::Kill(KillReason::ResetFailed),
            release => release,
        });
    };
    session.survey(link, out);
    if link.cutting || session.may_release(link) {
        return Some(link.release());
    }
    None
}
