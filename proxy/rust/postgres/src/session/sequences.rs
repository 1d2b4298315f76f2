//! A client is shown its own sequence values or none: before it could be shown another's, the
//! backend discards them all (and `currval` fails with 55000, as for who never called `nextval`).
//!
//! What it moves itself must not be discarded with them, so that is done before its first change
//! wherever more may follow on the same backend: when it begins a transaction, is pinned, or has
//! sent more. A change that stands alone costs nothing: its backend is let go behind it.

use std::sync::Arc;

use dbproxy_engine::{PinReason, Steps};

use crate::expect::{Injected, Statement};
use crate::link::{Link, Status};
use crate::message::{frontend, peek, Peek};
use crate::statement::{Class, State};

use super::forward::{replaces_unnamed, Verdict};
use super::run::Run;
use super::Session;

impl Session {
    /// Takes note of what a text means for the session and its backend, unless it can't be forwarded
    /// now: then it answers what is done instead. A text that asks for sequences can't be, of which
    /// others' values may be there, when it is too late to discard them.
    pub(super) fn judge(
        &mut self,
        link: &mut Link,
        class: &Class,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        if let Some(verdict) = self.turns_to(link, class, run, out) {
            return Some(verdict);
        }
        if let Some(reason) = class.pin.filter(|_| class.prepared) {
            if let Some(verdict) = self.own_names(link, reason, run, out) {
                return Some(verdict);
            }
        }
        self.batch.forgets |= class.forgets;
        let others = link.sequences.of_others(self.id) && link.status != Status::Failed;
        if others && self.keeps_apart(link, class, run) {
            let sure = link.reads_next();
            if !sure && !link.unsynced && link.expected.requests() > 0 {
                return Some(Verdict::Wait);
            }
            match self.before_batch(link, run) {
                Some(at) if class.sequences => self.discard(link, at, run, out),
                Some(at) if sure && at == run.at && self.spares_unnamed(link, run) => {
                    self.discard(link, at, run, out);
                }
                None if class.sequences => return Some(Verdict::GiveUp),
                _ => {}
            }
        }
        if let Some(verdict) = self.shows_channels(link, class, run, out) {
            return Some(verdict);
        }
        self.may_discard(class);
        if class.pins.has(PinReason::TemporaryObject) && !self.shadows {
            // The first of a session changes its search path; where a session before had some, the server
            // sees no change.
            self.shadows = true;
            link.prepared.doom_all();
        }
        for reason in class.pin.into_iter().chain(class.pins.iter()) {
            self.pin(reason, link, out);
        }
        // It may have made, and ended, what it binds for itself.
        self.pins.may_end(class.ends);
        link.notes(class, self.id);
        None
    }

    /// Whether what others moved must be gone before this text: it may ask for it, or what comes
    /// behind it on this backend may.
    fn keeps_apart(&self, link: &Link, class: &Class, run: &Run<'_>) -> bool {
        let begins = class.effects.from(State::Idle).end == State::Transaction;
        let pinned = self.pins.any() || class.pin.is_some();
        class.sequences
            || class.dirty
            || begins && link.status == Status::Idle
            || class.writes && (pinned || link.expected.requests() == 0 && goes_on(run.rest))
            || !link.unsynced && is_open(run.rest)
    }

    /// Whether a query of our own takes no unnamed statement that is used again: the text replaces
    /// it, or it can be replayed, as that of every session that isn't pinned.
    pub(super) fn spares_unnamed(&self, link: &Link, run: &Run<'_>) -> bool {
        let replayed = |one: &Arc<Statement>| !one.parse.is_empty();
        !self.pins.any()
            || replaces_unnamed(run.rest)
            || link.knows_unnamed() && self.unnamed.as_ref().is_none_or(replayed)
    }

    /// Where a query of our own can be put so that it runs before the batch at hand.
    pub(super) fn before_batch(&self, link: &Link, run: &Run<'_>) -> Option<usize> {
        if !link.unsynced {
            return Some(run.at);
        }
        let replayed = |one: &Arc<Statement>| !one.parse.is_empty();
        let spared = !self.batch.relies || self.unnamed.as_ref().is_some_and(replayed);
        run.batch.filter(|at| spared && run.holds(*at))
    }

    /// A part of the batch at hand is sent before the rest is looked at: whatever the rest asks for, what
    /// others moved must be gone before that, and the backend must listen to what its client does.
    pub(super) fn parts_batch(&mut self, link: &mut Link, run: &mut Run<'_>, out: &mut Steps) {
        let sure = link.reads_next() && self.spares_unnamed(link, run);
        let Some(at) = self.before_batch(link, run).filter(|_| sure) else {
            return;
        };
        if link.sequences.of_others(self.id) && link.status != Status::Failed {
            self.discard(link, at, run, out);
        }
        if self.has_channels_to_show(link) {
            self.shows_channels_at(at, link, run, out);
        }
    }

    /// Discards what others moved, there.
    fn discard(&mut self, link: &mut Link, at: usize, run: &mut Run<'_>, out: &mut Steps) {
        link.sequences.discarding(link.reads_next());
        self.inject_at(
            at,
            (Injected::Sequences, "DISCARD SEQUENCES"),
            link,
            run,
            out,
        );
    }

    /// Puts a query of our own there. What the batch at hand uses of the backend's is parsed again.
    pub(super) fn inject_at(
        &mut self,
        at: usize,
        (why, sql): (Injected, &str),
        link: &mut Link,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) {
        let mut bytes = Vec::new();
        link.inject(why, sql, &mut bytes);
        if let Some(own) = self.unnamed.clone().filter(|_| self.batch.relies) {
            bytes.extend_from_slice(&own.parse);
            link.expected.push_before_batch(self.replayed(own));
            self.pin(PinReason::UnnamedStatement, link, out);
        }
        run.insert(at, bytes, out);
    }
}

/// Whether a batch begins at the beginning of `rest` whose end isn't there.
fn is_open(mut rest: &[u8]) -> bool {
    while let Peek::Message { tag, total } = peek(rest, frontend::longest_body) {
        match tag {
            frontend::PARSE | frontend::BIND | frontend::DESCRIBE => {}
            frontend::EXECUTE | frontend::CLOSE => {}
            _ => return false,
        }
        rest = rest.get(total..).unwrap_or_default();
    }
    true
}

/// Whether another text stands behind the message at the beginning of `rest`, or another statement is
/// bound behind the one that it binds.
fn goes_on(mut rest: &[u8]) -> bool {
    let binds = rest.first() == Some(&frontend::BIND);
    let mut first = true;
    while let Peek::Message { tag, total } = peek(rest, frontend::longest_body) {
        let text = match tag {
            frontend::QUERY | frontend::PARSE | frontend::FUNCTION_CALL => true,
            frontend::BIND => binds,
            _ => false,
        };
        if text && !std::mem::replace(&mut first, false) {
            return true;
        }
        rest = rest.get(total..).unwrap_or_default();
    }
    false
}

/// What a call by number means. Those of libpq's large objects keep nothing beyond the transaction.
pub(super) fn called(function: u32) -> Class {
    const LARGE_OBJECTS: [u32; 14] = [
        715, 764, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172,
    ];
    let known = LARGE_OBJECTS.contains(&function);
    let mut class = Class {
        sequences: !known,
        writes: true,
        indelible: !known,
        ..Class::default()
    };
    if !known {
        class.pin(PinReason::Untracked);
    }
    class
}
