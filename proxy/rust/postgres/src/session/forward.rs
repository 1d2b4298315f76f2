//! The client's bytes while it holds a backend: whole messages go on unchanged, as few ranges as
//! possible; each one's effect on what the server owes is booked as it goes.

use dbproxy_engine::{CloseReason, KillReason, Link as _, PinReason, Release, Step, Steps};

use crate::expect::Expect;
use crate::link::{CopyIn, Link, Status};
use crate::message::{body, frontend, peek, Peek};
use crate::statement::{Class, Effects, Memory};

use super::run::{Run, Until};
use super::sequences::called;
use super::{Replaying, Session};

/// The client isn't read on while it has as many requests unanswered.
const MOST_UNANSWERED: usize = 1024;
/// The same for messages of any kind. A server answers a batch without end at least whenever its
/// buffer of 8 KiB is full, and each answer has 5 bytes.
const MOST_OWED: usize = 16 * 1024;

/// What is done with a message.
pub(super) enum Verdict {
    Forward,
    /// It is for nobody.
    Drop,
    /// It is looked at again when what precedes it is answered.
    Wait,
    /// The protocol doesn't allow it.
    Violation,
    /// The client says goodbye.
    Leave,
    /// It can't be run on this backend, and what precedes it can't be taken back.
    GiveUp,
    /// So many of its bytes were replaced by others that are put in already.
    Replaced(usize),
    /// It is looked at again when all that is sent is answered, what of ours was put in too.
    Hold,
}

impl Session {
    pub(super) fn forward(
        &mut self,
        link: &mut Link,
        input: &[u8],
        memory: &mut Memory,
        limit: usize,
        out: &mut Steps,
    ) -> usize {
        if link.cutting || link.closing {
            return 0;
        }
        if let Some(used) = self.refuse_unprepared(input, out) {
            return used;
        }
        if self.replaying == Replaying::Awaited {
            return 0;
        }
        self.reintroduce(link, input, out);
        let mut run = Run {
            start: 0,
            at: 0,
            rest: input,
            batch: None,
            inserted: None,
            memory,
        };
        if self.swallowing > 0 {
            run.at = self.swallowing.min(input.len());
            self.swallowing -= run.at;
            run.start = run.at;
        }
        let finishing = link.sending.is_some();
        loop {
            if self.streaming > 0 {
                let some = self.streaming.min(input.len() - run.at.min(input.len()));
                self.streaming -= some;
                run.at += some;
                if self.streaming > 0 {
                    break;
                }
                link.sending = None;
            }
            if link.wanted && self.may_pause(link) || self.goes_singly(link) {
                break;
            }
            let rest = input.get(run.at..).unwrap_or_default();
            run.rest = rest;
            let (tag, total) = match peek(rest, frontend::longest_body) {
                Peek::Message { tag, total } => (tag, total),
                Peek::NeedMore => break,
                Peek::Bad => return self.break_off(link, run, input, Verdict::Violation, out),
            };
            let whole = rest.len() >= total;
            if !whole && rest.len() < limit || full(link, tag) {
                break;
            }
            // A goodbye is read when what stands before it is answered.
            if tag == frontend::TERMINATE && link.owes() {
                break;
            }
            if self.waits.is_ahead(link) {
                break;
            }
            self.waits = Until::Now;
            let before = self.pins;
            let verdict = self.message(link, tag, (total, whole), &mut run, out);
            self.name_pin(before, link, (tag, body(rest, total)), out);
            match verdict {
                Verdict::Wait => {
                    self.waits = Until::Requests;
                    break;
                }
                Verdict::Hold => {
                    self.waits = Until::All;
                    break;
                }
                Verdict::Replaced(bytes) => {
                    run.start = run.at + bytes;
                    self.fresh = false;
                    self.streaming = total;
                    link.sending = Some(tag);
                }
                Verdict::Forward => {
                    self.fresh = false;
                    self.streaming = total;
                    link.sending = Some(tag);
                }
                Verdict::Drop => {
                    run.flush(run.at, out);
                    let here = total.min(rest.len());
                    run.at += here;
                    run.start = run.at;
                    self.swallowing = total - here;
                    if self.swallowing > 0 {
                        break;
                    }
                }
                _ => return self.break_off(link, run, input, verdict, out),
            }
        }
        run.flush(run.at, out);
        if finishing && self.may_release(link) {
            out.push(Step::Release(link.release()));
        }
        run.at
    }

    /// After a reset of its settings a client that keeps its backend has its name again, as soon as a
    /// query of the proxy's own takes nothing from it: neither a portal nor the unnamed statement.
    fn reintroduce(&mut self, link: &mut Link, input: &[u8], out: &mut Steps) {
        let reads = link.settled() && link.status != Status::Failed;
        let spares = match link.status {
            Status::Idle => {
                replaces_unnamed(input) || link.unnamed.is_none() && self.unnamed.is_none()
            }
            // A portal lives as long as its transaction: a Parse doesn't replace it.
            _ => input.first() == Some(&frontend::QUERY),
        };
        if self.nameless && reads && spares {
            self.introduce(link, out);
        }
    }

    /// Sends what came before, then ends: the session, or its hold on the backend.
    fn break_off(
        &mut self,
        link: &Link,
        mut run: Run<'_>,
        input: &[u8],
        verdict: Verdict,
        out: &mut Steps,
    ) -> usize {
        run.flush(run.at, out);
        match verdict {
            Verdict::Leave => self.close(CloseReason::ClientLeft, out),
            Verdict::GiveUp => {
                out.push(Step::Release(Release::Kill(KillReason::Ambiguous)));
                return run.at;
            }
            _ => self.violation(link.partial.is_some_and(|part| part.to_client), out),
        }
        input.len()
    }

    /// Whether the backend can go back: nothing is owed, nothing is bound to it.
    pub(super) fn may_release(&self, link: &Link) -> bool {
        link.settled() && link.status == Status::Idle && !self.pins.any() && !self.fresh
    }

    /// Whether what the client sends next may wait until what it sent is answered, so that the backend
    /// can go to somebody else between the two.
    fn may_pause(&self, link: &Link) -> bool {
        !self.pins.any()
            && !self.fresh
            && link.status == Status::Idle
            && link.copy_in == CopyIn::Off
            && link.sending.is_none()
            && !link.unsynced
            && !link.expected.is_empty()
    }

    /// Books one message. Its body may be cut if it is larger than is waited for.
    fn message(
        &mut self,
        link: &mut Link,
        tag: u8,
        (total, whole): (usize, bool),
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let rest = run.rest;
        let body = body(rest, total);
        if !link.unsynced {
            run.batch = Some(run.at);
        }
        let raw = link.copy_in == CopyIn::Active || link.skips() || self.batch.broken;
        let understood = !whole || frontend::understood(tag, body);
        if !raw && understood {
            let waits = self.until_put_away(link, run, out);
            let waits = waits.or_else(|| self.until_named(link, (tag, body), run, out));
            if let Some(verdict) = waits {
                return verdict;
            }
        }
        match tag {
            frontend::COPY_DATA | frontend::COPY_DONE | frontend::COPY_FAIL => copy(link, tag),
            frontend::SYNC => self.sync(link, run, out),
            frontend::FLUSH if link.copy_in == CopyIn::Active => Verdict::Drop,
            frontend::TERMINATE => Verdict::Leave,
            _ if link.copy_in == CopyIn::Active => Verdict::Violation,
            _ if raw => Verdict::Forward,
            _ if !understood => self.broken(link, tag, out),
            frontend::FLUSH if link.unsynced => Verdict::Forward,
            frontend::FLUSH => Verdict::Drop,
            _ if self.waits_for_unnamed(link, tag, body) => Verdict::Wait,
            _ if link.unnames && !link.unsynced && link.expected.requests() > 0 => Verdict::Wait,
            frontend::QUERY => self.query(link, body, whole, run, out),
            frontend::FUNCTION_CALL => self.function_call(link, body, run, out),
            frontend::PARSE => self.parse(link, body, whole, run, out),
            frontend::BIND => self.bind(link, body, run, out),
            frontend::DESCRIBE => self.describe(link, body, run, out),
            frontend::EXECUTE => self.execute(link, body),
            _ => self.close_object(link, body, run, out),
        }
    }

    /// A message that the server is sure to refuse unread: its frame is whole, so that nothing is out
    /// of step, and the answer is the server's affair.
    fn broken(&mut self, link: &mut Link, tag: u8, out: &mut Steps) -> Verdict {
        let extended = !matches!(tag, frontend::QUERY | frontend::FUNCTION_CALL);
        link.expected.push(Expect::Broken { extended });
        link.unsynced = extended;
        if extended {
            self.batch.broken = true;
        } else {
            self.end_batch(link, out);
        }
        Verdict::Forward
    }

    fn query(
        &mut self,
        link: &mut Link,
        body: &[u8],
        whole: bool,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let text = frontend::text(body).filter(|_| whole);
        if let Some(verdict) = text.and_then(|text| self.speaks(link, text, run, out)) {
            return verdict;
        }
        let class = match text {
            Some(text) => run.memory.classify(text, link.dialect()),
            None => Class::unknown(PinReason::StatementTooLarge),
        };
        if let Some(verdict) = self.judge(link, &class, run, out) {
            return verdict;
        }
        if let Some(script) = &class.acts {
            link.expects(script);
        }
        link.expected.push(Expect::Query {
            effects: class.effects,
            begins: begins(body),
            acts: class.acts,
            naming: self.takes_away(text, link.dialect()),
        });
        link.unsynced = false;
        self.end_batch(link, out);
        Verdict::Forward
    }

    fn function_call(
        &mut self,
        link: &mut Link,
        body: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let class = match frontend::function(body) {
            Some(function) => called(function),
            None => Class::unknown(PinReason::StatementTooLarge),
        };
        if let Some(verdict) = self.judge(link, &class, run, out) {
            return verdict;
        }
        link.expected.push(Expect::FunctionCall);
        link.unsynced = false;
        self.end_batch(link, out);
        Verdict::Forward
    }

    /// A Sync. During COPY the server throws it away, unless it has ended the COPY already.
    fn sync(&mut self, link: &mut Link, run: &mut Run<'_>, out: &mut Steps) -> Verdict {
        if link.copy_in == CopyIn::Active {
            link.swallowed += 1;
            return Verdict::Forward;
        }
        if !self.batch.used && !link.skips() {
            self.keep_unnamed(link, run, out);
        }
        let empty = !std::mem::replace(&mut link.unsynced, false);
        link.expected.push(Expect::Sync { empty });
        self.end_batch(link, out);
        Verdict::Forward
    }

    /// What comes next belongs to no batch yet. A portal that sets something, and wasn't executed, may be
    /// later.
    pub(super) fn end_batch(&mut self, link: &mut Link, out: &mut Steps) {
        let leaves = self.leaves_portal(link);
        let batch = std::mem::take(&mut self.batch);
        self.renaming |= batch.forgets || !batch.names.is_empty();
        if leaves {
            self.loses_settings(link, out);
        }
    }
}

/// Whether a text is a plain BEGIN.
fn begins(body: &[u8]) -> bool {
    let text = body.strip_suffix(b"\0").unwrap_or(body).trim_ascii();
    let text = text.strip_suffix(b";").unwrap_or(text);
    let plain: [&[u8]; 4] = [
        b"begin",
        b"begin transaction",
        b"begin work",
        b"start transaction",
    ];
    plain.iter().any(|words| text.eq_ignore_ascii_case(words))
}

/// Whether a message is a Query, or a Parse whose name is empty.
pub(super) fn replaces_unnamed(message: &[u8]) -> bool {
    matches!(
        message,
        [frontend::QUERY, ..] | [frontend::PARSE, _, _, _, _, 0, ..]
    )
}

/// Whether a message must wait until one before it is answered. Data never do: the server may wait
/// for them.
fn full(link: &Link, tag: u8) -> bool {
    let asks = matches!(
        tag,
        frontend::QUERY | frontend::SYNC | frontend::FUNCTION_CALL
    );
    let full = asks && link.expected.requests() >= MOST_UNANSWERED;
    (full || link.expected.len() >= MOST_OWED) && link.copy_in != CopyIn::Active
}

fn copy(link: &mut Link, tag: u8) -> Verdict {
    let ends = tag != frontend::COPY_DATA;
    match link.copy_in {
        CopyIn::Active if ends => link.copy_in = CopyIn::Ending,
        CopyIn::Active => {}
        CopyIn::Off if !link.unsynced && link.expected.is_empty() => return Verdict::Drop,
        // The server may be about to ask for it, perhaps in a COPY behind the one that ends.
        CopyIn::Off | CopyIn::Ending => {
            if ends {
                link.expected.push_copy_end();
            }
        }
    }
    Verdict::Forward
}

/// Whether a portal of an earlier batch may still do something that must be known of.
pub(super) fn acts_later(effects: &Effects) -> bool {
    use crate::statement::State;
    effects.from(State::Transaction).may_commit || effects.forgets
}
