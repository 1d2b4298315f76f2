//! The client's bytes while it holds a backend: one command at a time goes on unchanged, and what it may do is
//! booked with the answer that it will have.

use dbproxy_engine::{CloseReason, KillReason, Leg, Payload, PinReason, Release, Step, Steps};

use crate::link::{Leave, Link, Of, Ours, Owed, Request, Sent};
use crate::message::frame::{self, Gathered};
use crate::message::{command, status};
use crate::reply::Shape;
use crate::statement::{digest, Memory};

use super::alone::refused;
use super::judge::Judged;
use super::sending::Run;
use super::variables::literals;
use super::{executing, Session, ANSWER};

/// A command that goes on, with another head.
pub(super) struct Rewritten {
    /// The client's number of the statement that it names.
    pub number: u32,
    pub judged: Judged,
    /// What goes out in place of so many bytes of the client's.
    pub head: Vec<u8>,
    pub skip: usize,
}

/// What is done with a command.
pub(super) enum Verdict {
    Forward(Option<Shape>, Judged),
    Rewritten(Rewritten),
    /// It was answered: it is for nobody else.
    Answered,
    /// It isn't there whole, or is looked at again when what precedes it is answered.
    Wait,
    /// The client is done with.
    Over,
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
        if link.cutting || link.closing || link.is_replaying() || self.yields(link) {
            return 0;
        }
        if let Some(error) = self.failed.take() {
            let used = self.refuse_with(error, input, out);
            self.fresh = false;
            out.push(Step::Release(Release::Kill(KillReason::ResetFailed)));
            return used;
        }
        let mut run = Run {
            input,
            at: 0,
            start: 0,
        };
        while self.goes_on(link, &mut run, (memory, limit), out) {}
        if self.closed {
            return input.len();
        }
        run.flush(out);
        if self.may_release(link) && run.at > 0 && !self.asks_first(link, out) {
            out.push(Step::Release(link.release()));
        }
        run.at
    }

    /// Takes one step; `false`: there is none to take now.
    fn goes_on(
        &mut self,
        link: &mut Link,
        run: &mut Run<'_>,
        at_most: (&mut Memory, usize),
        out: &mut Steps,
    ) -> bool {
        let rest = run.input.get(run.at..).unwrap_or_default();
        if let Some(sending) = link.sending {
            return self.send_on(link, sending, rest, run, out);
        }
        if let Some(number) = link.file {
            return self.file(link, number, rest, out);
        }
        if self.swallowing > 0 || self.swallows_on {
            let some = self.swallow(rest);
            run.drop(some, out);
            return some > 0;
        }
        if link.is_asked() || self.killing.is_some() {
            return false;
        }
        let Some(kind) = self.command(rest, out) else {
            return false;
        };
        // What is sent before it stands behind all others.
        run.flush(out);
        match self.look_at(kind, link, rest, at_most, out) {
            Verdict::Forward(shape, judged) => {
                self.book(link, kind, shape, (judged, 0));
                self.begins(link, rest, 0, Sent::Command);
                true
            }
            Verdict::Rewritten(rewritten) => {
                self.rewrite(link, kind, rewritten, run, out);
                true
            }
            Verdict::Answered => {
                self.fresh = false;
                self.begin_to_swallow(rest);
                true
            }
            Verdict::Wait | Verdict::Over => false,
        }
    }

    fn look_at(
        &mut self,
        kind: u8,
        link: &mut Link,
        rest: &[u8],
        (memory, limit): (&mut Memory, usize),
        out: &mut Steps,
    ) -> Verdict {
        if kind == command::QUIT {
            self.close(CloseReason::ClientLeft, out);
            return Verdict::Over;
        }
        if kind == command::CHANGE_USER {
            return match self.changes_user(out) {
                true => Verdict::Over,
                false => Verdict::Answered,
            };
        }
        if let Some(error) = refused(kind) {
            self.says(error, out);
            return Verdict::Answered;
        }
        if executing::names(kind) {
            return self.name(kind, link, (rest, limit), out);
        }
        let body = match frame::payload(rest, 0, frame::LONGEST) {
            Gathered::Payload { body, .. } => body,
            Gathered::NeedMore if rest.len() < limit || limit == 0 => return Verdict::Wait,
            // The server says what is wrong with it.
            _ => Default::default(),
        };
        let Some(shape) = Shape::of(kind) else {
            return Verdict::Forward(None, Judged::harmless());
        };
        let prepares = kind == command::STMT_PREPARE;
        if prepares && self.settles_first(link, out) {
            return Verdict::Wait;
        }
        let judged = self.judged(kind, &body, memory);
        let left = judged.asks_before();
        if left && !link.owed.is_empty() {
            // It is being asked for that itself, or else of what it has left there is something of ours behind.
            return Verdict::Wait;
        }
        // Perhaps it has another one by now.
        if self.id_lost && judged.names_id && self.settles_first(link, out) {
            return Verdict::Wait;
        }
        if self.refuses_id(&judged, out) {
            return Verdict::Answered;
        }
        let here = left && self.diagnostics.is_at_hand(&judged);
        if !here && self.tells_itself(&judged, &body, Some(link), out) {
            return Verdict::Answered;
        }
        if let Some(kills) = judged.kills {
            if self.kills(kills, link.status, out) {
                return Verdict::Answered;
            }
        }
        if left && !here {
            // What is there was left by somebody else.
            if !judged.asks_warnings || !self.diagnostics.is_empty() {
                self.refuses_to_tell(out);
                return Verdict::Answered;
            }
            self.place(Ours::Place, true, link, out);
        }
        if judged.names && self.sends_strangers_away(kind, link, &body, out) {
            return Verdict::Wait;
        }
        if self.places(link, &judged, out) {
            return Verdict::Wait;
        }
        self.binds(kind, link, (&judged, &body), out);
        if judged.assigns {
            let class = memory.classify(self.text(&body), self.dialect());
            self.assigns = literals(&class);
            link.has_variables = true;
        }
        if prepares {
            let draft = self.drafts(&body, memory);
            if let Some(fault) = self.has_too_many(draft.size()) {
                self.says(fault, out);
                return Verdict::Answered;
            }
            self.numbers().coming = Some(draft);
        }
        Verdict::Forward(Some(shape), judged)
    }

    /// Sends what must precede an execution, and books what it binds; `None`: it may go.
    pub(super) fn hinders(
        &mut self,
        kind: u8,
        link: &mut Link,
        (judged, body): (&Judged, &[u8]),
        out: &mut Steps,
    ) -> Option<Verdict> {
        if judged
            .kills
            .is_some_and(|kills| self.kills(kills, link.status, out))
        {
            return Some(Verdict::Answered);
        }
        if self.places(link, judged, out) {
            return Some(Verdict::Wait);
        }
        self.binds(kind, link, (judged, body), out);
        None
    }

    /// Gives the backend the client's LAST_INSERT_ID() before it may ask for it or make another one; answers
    /// whether the command has to wait for that.
    fn places(&mut self, link: &mut Link, judged: &Judged, out: &mut Steps) -> bool {
        // A statement of ours takes away what the one before has left.
        // Any other one may ask for it, by a view or a function of the user's.
        let needs = judged.asks_id || !judged.asks_before();
        if self.placed || !needs {
            return false;
        }
        let why = match judged.asks_id {
            true => Ours::Replay,
            false => Ours::Place,
        };
        self.place(why, link.is_soiled(), link, out);
        judged.asks_id
    }

    /// The same; `empties`: with no warnings left from before.
    fn place(&mut self, why: Ours, empties: bool, link: &mut Link, out: &mut Steps) {
        self.placed = true;
        link.insert_id = Some(self.insert_id);
        let sql = match empties {
            // Only a statement with a table takes MariaDB's warnings away.
            true => format!(
                "SET last_insert_id = (SELECT {} FROM (SELECT 1) t)",
                self.insert_id
            ),
            false => format!("SET last_insert_id = {}", self.insert_id),
        };
        link.warned = false;
        let mut bytes = Vec::new();
        link.ask(why, command::QUERY, sql.as_bytes(), &mut bytes);
        out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
    }

    fn binds(
        &mut self,
        kind: u8,
        link: &mut Link,
        (judged, body): (&Judged, &[u8]),
        out: &mut Steps,
    ) {
        // Amid a transaction it ends that, and leaves to the next one what was set for it alone.
        let leaves = judged.switches && (self.begun || link.in_trans());
        if judged.dirty || leaves {
            link.left(Leave::Dirty);
        }
        self.holdings.takes(judged);
        for reason in judged.pins.without(self.pins).iter() {
            let shown = self.shown(kind, body);
            self.pin_by(reason, shown, link, out);
        }
        if self.keeps {
            self.pin(PinReason::Diagnostics, link, out);
        }
        self.has_option |= kind == command::SET_OPTION;
        if judged.stains || kind == command::SET_OPTION {
            link.left(Leave::Indelible);
        }
    }

    /// The text of a command without its values, for who reads why it binds.
    fn shown(&self, kind: u8, body: &[u8]) -> Box<str> {
        match kind {
            command::QUERY => digest(self.text(body), self.dialect()).into(),
            command::STMT_PREPARE => {
                digest(body.get(1..).unwrap_or_default(), self.dialect()).into()
            }
            command::STMT_EXECUTE => {
                let named = self.named(body);
                let text = named.and_then(|named| self.text_of(named.number));
                text.map_or(Box::default(), |text| digest(text, self.dialect()).into())
            }
            _ => Box::default(),
        }
    }

    /// Takes note of a command that is forwarded.
    pub(super) fn book(
        &mut self,
        link: &mut Link,
        kind: u8,
        shape: Option<Shape>,
        (judged, statement): (Judged, u32),
    ) {
        let Some(shape) = shape else {
            return;
        };
        if !judged.asks_warnings && matches!(kind, command::QUERY | command::STMT_EXECUTE) {
            self.calculated = judged.calculates;
        }
        link.used |= matches!(kind, command::QUERY | command::STMT_EXECUTE);
        if judged.writes || judged.dirty {
            // A variable that is there from now on may be its own.
            self.variables.strangers = None;
        }
        self.begun |= judged.begins && link.status & status::AUTOCOMMIT == 0;
        let request = Request {
            command: kind,
            statement,
            judged,
        };
        link.owed.push_back(Owed {
            shape,
            first: ANSWER,
            of: Of::Client(request),
        });
    }
}
