//! Texts that do nothing but speak of one of the client's statements: `PREPARE`, `EXECUTE`, `DEALLOCATE`.
//!
//! The server has the last word on them, so they go on as they are. What they name stands on the backend
//! under that name for the time of the one request, and is put away behind it: on a backend of the pool
//! no statement is called as a client calls one. What PREPARE makes is described, and is shared from there
//! on as if a Parse had made it. What EXECUTE uses is parsed for it, and compared with what the client was
//! told.

use std::sync::Arc;

use dbproxy_engine::{PinReason, Reasons, Steps};

use crate::expect::Expect;
use crate::link::{Leave, Link, Status};
use crate::message::{build, frontend, peek, Peek};
use crate::prepared::{is_reserved, Known, Lent, LentState, Naming, Shared, Theirs};
use crate::statement::{is_plain, spoken, Effects, Spoken};

use super::aside::{sync, Aside};
use super::forward::Verdict;
use super::named::{class, Meant};
use super::run::Run;
use super::Session;

impl Session {
    /// What is done with a Query that does nothing but speak of one statement, or deallocates all; `None`
    /// if it is another, or nobody is sure.
    pub(super) fn speaks(
        &mut self,
        link: &mut Link,
        text: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        let dialect = link.dialect();
        let spoken = spoken(text, dialect)?;
        if is_reserved(spoken.name()) {
            return None;
        }
        match spoken {
            Spoken::DeallocatesAll => return self.deallocates(link, None, text, run, out),
            Spoken::Deallocates { name, sure: true } => {
                return self.deallocates(link, Some(name), text, run, out);
            }
            _ => {}
        }
        let outer = run.memory.classify(text, dialect);
        let more = outer.pins != Reasons::of(&[PinReason::SqlPrepare]);
        if more || link.unsynced || self.pins.names_are_own() {
            return None;
        }
        let waits = self.until_answered(link, run, out);
        waits.or_else(|| self.speaks_of(link, spoken, text, run, out))
    }

    /// The same of one statement, when everything is answered.
    fn speaks_of(
        &mut self,
        link: &mut Link,
        spoken: Spoken,
        text: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        if link.status == Status::Failed && link.prepared.lent.is_none() {
            // It is refused.
            return Some(self.asks(link, Effects::NONE, None, out));
        }
        let known = match self.meant(spoken.name()) {
            Some(Meant::Known(name, known)) => Some((name, known)),
            Some(Meant::Coming(..)) => return None,
            None => None,
        };
        match (spoken, known) {
            // The init query may have made it.
            (_, None) if link.initialised => None,
            (Spoken::Executes(_), Some(known)) => self.executes(link, known, run, out),
            (Spoken::Prepares { name, head }, None) => {
                self.prepares(link, name.into(), (text, head), run, out)
            }
            (Spoken::Prepares { .. }, Some((name, _))) => {
                Some(self.stands_in(link, &name, None, run, out))
            }
            (_, Some((name, _))) => {
                let naming = Naming::Deallocates(Arc::clone(&name));
                self.renaming = true;
                Some(self.stands_in(link, &name, Some(naming), run, out))
            }
            // The server hasn't it either.
            (_, None) if link.leave == Leave::Clean => {
                Some(self.asks(link, Effects::NONE, None, out))
            }
            (_, None) => None,
        }
    }

    /// A Query is forwarded that does nothing to settings, of which everything else is known.
    pub(super) fn asks(
        &mut self,
        link: &mut Link,
        effects: Effects,
        naming: Option<Naming>,
        out: &mut Steps,
    ) -> Verdict {
        link.expected.push(Expect::Query {
            effects,
            begins: false,
            acts: None,
            naming,
        });
        link.unsynced = false;
        self.end_batch(link, out);
        Verdict::Forward
    }

    fn prepares(
        &mut self,
        link: &mut Link,
        name: Arc<[u8]>,
        (text, head): (&[u8], usize),
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        if link.status == Status::Transaction {
            // Were the question what it made to fail, so would the transaction, of which nobody is told.
            return None;
        }
        let query = text.get(head..).unwrap_or_default();
        let class = run.memory.classify(query, link.dialect());
        if class.acts.is_some() || class.prepared {
            return None;
        }
        let under = self.shaping(link);
        let shared = self.shareable(link, Some((&name, text, b"")), &class, under)?;
        let shared = Arc::new(shared.behind(head));
        let message = whole(run.rest);
        let mut bytes = message.to_vec();
        self.asks(link, Effects::NONE, Some(Naming::Prepares), out);
        build::of_statement(&mut bytes, frontend::DESCRIBE, &name);
        let learn = Theirs::Learn(Arc::clone(&name), shared);
        link.expected.push(Expect::Theirs(learn));
        sync(link, &mut bytes);
        let state = LentState::Preparing;
        link.prepared.lent = Some(Lent { name, state });
        run.put(bytes, out);
        Some(Verdict::Replaced(message.len()))
    }

    fn executes(
        &mut self,
        link: &mut Link,
        (name, known): (Arc<[u8]>, Known),
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        let shared = Arc::clone(&known.shared);
        let class = class(&Meant::Known(Arc::clone(&name), known), link, run);
        let plain = shared.sql().is_some() || is_plain(shared.text(), link.dialect());
        if !plain || class.acts.is_some() || class.prepared || class.effects.steers() {
            return None;
        }
        let state = link.prepared.lent.as_ref().map(|lent| lent.state.clone());
        if state == Some(LentState::There) {
            if let Some(verdict) = self.judge(link, &class, run, out) {
                return Some(verdict);
            }
        }
        let mut bytes = Vec::new();
        link.prepared.lent = None;
        match state {
            None => {
                self.lends(link, &name, &shared, &mut bytes)?;
                run.put(bytes, out);
                run.seal();
                Some(Verdict::Hold)
            }
            Some(LentState::There) => {
                let message = whole(run.rest);
                bytes.extend_from_slice(message);
                self.asks(link, class.effects, None, out);
                put_away(&name, link, &mut bytes);
                run.put(bytes, out);
                Some(Verdict::Replaced(message.len()))
            }
            Some(LentState::Refused(said)) => {
                put_away(&name, link, &mut bytes);
                run.put(bytes, out);
                Some(self.asks(link, Effects::NONE, Some(Naming::Misses(said)), out))
            }
            Some(_) => Some(Verdict::GiveUp),
        }
    }

    /// Makes a statement under the client's own name.
    fn lends(
        &mut self,
        link: &mut Link,
        name: &Arc<[u8]>,
        shared: &Arc<Shared>,
        bytes: &mut Vec<u8>,
    ) -> Option<()> {
        let mut aside = Aside::of(link, shared.under(), false)?;
        aside.alone = true;
        aside.around(link, bytes, |link, bytes| {
            build::parse(bytes, name, &shared.source(), shared.types());
            build::of_statement(bytes, frontend::DESCRIBE, name);
            link.expected.push(Expect::Theirs(Theirs::Lend));
            let compare = Theirs::Compare(Arc::clone(shared));
            link.expected.push(Expect::Theirs(compare));
        });
        link.prepared.lent = Some(Lent {
            name: Arc::clone(name),
            state: LentState::Making,
        });
        // As before, nothing of the client's is under way.
        self.fresh |= !self.pins.any() && link.status == Status::Idle;
        Some(())
    }

    /// The text finds an empty statement in place of the one that it names: it can't make it then, or
    /// deallocates that.
    fn stands_in(
        &mut self,
        link: &mut Link,
        name: &Arc<[u8]>,
        naming: Option<Naming>,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let mut bytes = Vec::new();
        build::parse(&mut bytes, name, b"", b"");
        link.expected.push(Expect::Theirs(Theirs::Lend));
        sync(link, &mut bytes);
        let message = whole(run.rest);
        bytes.extend_from_slice(message);
        self.asks(link, Effects::NONE, naming, out);
        put_away(name, link, &mut bytes);
        run.put(bytes, out);
        Verdict::Replaced(message.len())
    }

    /// What is done instead of forwarding a message while the client's PREPARE is being looked at, or
    /// what stands for its statements is still there.
    pub(super) fn until_put_away(
        &mut self,
        link: &mut Link,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        let lent = link.prepared.lent.as_ref();
        if !lent.is_some_and(Lent::is_made_by_client) && !self.has_stand_ins() {
            return None;
        }
        if !link.expected.is_empty() {
            return Some(Verdict::Hold);
        }
        if let Some(bytes) = self.puts_away(link, out) {
            run.put(bytes, out);
        }
        None
    }

    /// Everything is answered: puts away what a PREPARE made, if it is known what that is; otherwise the
    /// client keeps it there.
    pub(super) fn puts_away(&mut self, link: &mut Link, out: &mut Steps) -> Option<Vec<u8>> {
        if let Some(bytes) = self.removes_stand_ins(link) {
            return Some(bytes);
        }
        let lent = link
            .prepared
            .lent
            .take_if(|lent| lent.is_made_by_client())?;
        match lent.state {
            LentState::Learned => {
                let mut bytes = Vec::new();
                put_away(&lent.name, link, &mut bytes);
                Some(bytes)
            }
            LentState::Prepared => {
                self.pin(PinReason::SqlPrepare, link, out);
                None
            }
            _ => None,
        }
    }
}

/// The Query at the beginning of the input.
fn whole(rest: &[u8]) -> &[u8] {
    match peek(rest, frontend::longest_body) {
        Peek::Message { total, .. } => rest.get(..total).unwrap_or_default(),
        _ => b"",
    }
}

/// Closes what was there for one request.
pub(super) fn put_away(name: &[u8], link: &mut Link, bytes: &mut Vec<u8>) {
    build::of_statement(bytes, frontend::CLOSE, name);
    link.expected.push(Expect::Theirs(Theirs::PutAway));
    sync(link, bytes);
}
