//! The commands that name a prepared statement by its client's number: they go on with the backend's own, as long as
//! that has the statement, and what an execution may do is what its text may.
//!
//! Parameters that are sent ahead, and a cursor, are kept by the server: as long as there are any its statement is
//! nobody else's (`Numbers::held`), and the backend is held. `typing` gives it the types of parameters.

use dbproxy_engine::Steps;

use crate::link::{Link, Request};
use crate::message::frame::{self, Gathered, Peek, HEADER};
use crate::message::{command, status};
use crate::prepared::{Key, Known};

use super::forward::{Rewritten, Verdict};
use super::judge::Judged;
use super::preparing::Here;
use super::{texts, Session};

/// Kind and number.
pub(super) const HEAD: usize = 5;

/// What a command says of a statement, as far as it is there.
pub(super) struct Named<'a> {
    pub number: u32,
    /// What stands behind that.
    pub rest: &'a [u8],
}

/// Whether it names a statement.
pub(super) fn names(kind: u8) -> bool {
    is_mute(kind)
        || matches!(
            kind,
            command::STMT_EXECUTE | command::STMT_FETCH | command::STMT_RESET
        )
}

/// Whether nothing answers it.
fn is_mute(kind: u8) -> bool {
    matches!(kind, command::STMT_CLOSE | command::STMT_SEND_LONG_DATA)
}

/// The payload at the start of `rest`, if there is as much of it as anybody waits for.
pub(super) fn view(rest: &[u8], limit: usize) -> Option<&[u8]> {
    let more = frame::payload(rest, 0, frame::LONGEST) == Gathered::NeedMore;
    let waits = more && (rest.len() < limit || limit == 0);
    start(rest).filter(|_| !waits)
}

/// What is there of the payload of the packet at the start of `rest`.
pub(super) fn start(rest: &[u8]) -> Option<&[u8]> {
    match frame::peek(rest) {
        Peek::NeedMore => None,
        Peek::Packet { total, .. } => Some(frame::body(rest, total)),
    }
}

/// The command goes on with the backend's number in place of the client's.
pub(super) fn sends(id: u32, number: u32, judged: Judged, rest: &[u8]) -> Verdict {
    let head = rest.get(..=HEADER).unwrap_or_default();
    Verdict::Rewritten(Rewritten {
        number,
        judged,
        head: [head, &id.to_le_bytes()].concat(),
        skip: HEADER + HEAD,
    })
}

impl Session {
    /// Reads whom a command names; `None`: it is too short for that.
    pub(super) fn named<'a>(&self, payload: &'a [u8]) -> Option<Named<'a>> {
        let (&[kind, a, b, c, d], rest) = payload.split_first_chunk()?;
        let least = match kind {
            command::STMT_EXECUTE => 5,
            command::STMT_FETCH => 4,
            command::STMT_SEND_LONG_DATA => 2,
            _ => 0,
        };
        let number = u32::from_le_bytes([a, b, c, d]);
        let meant = self.numbers.as_ref().filter(|_| self.dialect.is_mariadb());
        let number = meant.map_or(number, |numbers| numbers.meant(number));
        (rest.len() >= least).then_some(Named { number, rest })
    }

    pub(super) fn known(&self, number: u32) -> Option<&Known> {
        self.numbers.as_ref()?.get(number)
    }

    /// The text of a statement, if it is kept.
    pub(super) fn text_of(&self, number: u32) -> Option<&[u8]> {
        self.known(number)?.statement.text.as_deref()
    }

    /// What executing a statement may do.
    pub(super) fn judged_of(&self, number: u32) -> Judged {
        self.known(number)
            .map_or(Judged::harmless(), |known| known.statement.judged)
    }

    /// Deals with what needs no server: answers whether it has.
    pub(super) fn names_in_vain(
        &mut self,
        kind: u8,
        named: Option<&Named<'_>>,
        out: &mut Steps,
    ) -> bool {
        let mariadb = self.dialect.is_mariadb();
        let fault = match named {
            None => Some(texts::too_short(mariadb)),
            Some(named) if self.known(named.number).is_none() => {
                Some(texts::no_statement(kind, named.number, mariadb))
            }
            Some(named) => {
                let number = named.number;
                let numbers = self.numbers();
                match kind {
                    command::STMT_SEND_LONG_DATA if numbers.is_spoilt(number) => return true,
                    command::STMT_EXECUTE | command::STMT_FETCH => {
                        let open = numbers.held(number).is_some_and(|held| held.cursor);
                        let lost = numbers.forgives(number);
                        let fetches = kind == command::STMT_FETCH && !open;
                        lost.or_else(|| fetches.then(|| texts::no_cursor(number, mariadb)))
                    }
                    _ => None,
                }
            }
        };
        let vain = fault.is_some();
        if let Some(fault) = fault.filter(|_| !is_mute(kind)) {
            self.says(fault, out);
        }
        vain
    }

    /// A command that names a statement, while a backend is held.
    pub(super) fn name(
        &mut self,
        kind: u8,
        link: &mut Link,
        (rest, limit): (&[u8], usize),
        out: &mut Steps,
    ) -> Verdict {
        let Some(payload) = view(rest, limit) else {
            return Verdict::Wait;
        };
        let named = self.named(payload);
        if self.names_in_vain(kind, named.as_ref(), out) {
            return Verdict::Answered;
        }
        let Some(named) = named else {
            return Verdict::Answered;
        };
        match kind {
            command::STMT_CLOSE => self.closes(named.number, link, out),
            command::STMT_RESET => self.resets(named.number, link, rest, out),
            command::STMT_FETCH => self.fetches(named.number, rest, out),
            command::STMT_SEND_LONG_DATA => self.sends_ahead(named.number, link, rest, out),
            _ => self.executes(&named, link, (rest, payload), out),
        }
    }

    fn closes(&mut self, number: u32, link: &mut Link, out: &mut Steps) -> Verdict {
        if let Some(own) = self.numbers().removes(number) {
            link.closes(own.id, out);
            link.status &= !(status::CURSOR_EXISTS | status::LAST_ROW_SENT);
        }
        Verdict::Answered
    }

    fn resets(&mut self, number: u32, link: &Link, rest: &[u8], out: &mut Steps) -> Verdict {
        let numbers = self.numbers();
        numbers.forgives(number);
        if let Some(held) = numbers.held(number) {
            return sends(held.own.id, number, Judged::harmless(), rest);
        }
        self.ok_of(link.status, out);
        Verdict::Answered
    }

    fn fetches(&mut self, number: u32, rest: &[u8], out: &mut Steps) -> Verdict {
        if let Some(held) = self.numbers().held(number) {
            return sends(held.own.id, number, Judged::harmless(), rest);
        }
        let mariadb = self.dialect.is_mariadb();
        self.says(texts::no_cursor(number, mariadb), out);
        Verdict::Answered
    }

    /// A parameter, or a piece of one, comes before the others.
    fn sends_ahead(
        &mut self,
        number: u32,
        link: &mut Link,
        rest: &[u8],
        out: &mut Steps,
    ) -> Verdict {
        // With what it will be executed isn't known yet.
        let Some(key) = self.key_of(number) else {
            return Verdict::Answered;
        };
        match self.has_here(number, &key, link, out) {
            Here::Soon => return Verdict::Wait,
            Here::No(fault) => {
                self.numbers().spoils(number, fault);
                return Verdict::Answered;
            }
            Here::Yes => {}
        }
        self.takes(number, &key, link);
        let Some(held) = self.numbers().held(number) else {
            return Verdict::Answered;
        };
        held.ahead = true;
        sends(held.own.id, number, Judged::harmless(), rest)
    }

    fn key_of(&self, number: u32) -> Option<Key> {
        Some(self.key(&self.known(number)?.statement))
    }

    /// The backend's own is the client's alone.
    fn takes(&mut self, number: u32, key: &Key, link: &mut Link) {
        if self.numbers().held(number).is_some() {
            return;
        }
        if let Some(own) = link.statements.takes(key) {
            self.numbers().takes(number, key.clone(), own);
        }
    }

    fn executes(
        &mut self,
        named: &Named<'_>,
        link: &mut Link,
        (rest, payload): (&[u8], &[u8]),
        out: &mut Steps,
    ) -> Verdict {
        let number = named.number;
        let judged = self.judged_of(number);
        if self.settles_first(link, out) {
            return Verdict::Wait;
        }
        if self.refuses_id(&judged, out) {
            return Verdict::Answered;
        }
        self.ends_cursor(number, link, out);
        let Some((bound, key)) = self.binding(named, link) else {
            self.says(texts::no_types(), out);
            return Verdict::Answered;
        };
        match self.has_here(number, &key, link, out) {
            Here::Soon => return Verdict::Wait,
            Here::No(fault) => {
                self.says(fault, out);
                return Verdict::Answered;
            }
            Here::Yes => {}
        }
        if let Some(verdict) = self.hinders(command::STMT_EXECUTE, link, (&judged, payload), out) {
            return verdict;
        }
        if bound.is_none_or(|bound| bound.cursor) {
            self.takes(number, &key, link);
        }
        let cursor = bound.is_some_and(|bound| bound.cursor) && !link.is_mariadb();
        if let Some(held) = self.numbers().held(number) {
            // See `ends_cursor`.
            held.spent |= cursor;
            held.cursor = false;
            // Others don't know what the server makes of it after several kinds of executions.
            held.spent |= bound.is_none() || held.key.bound.is_some() && held.key != key;
            held.key = key.clone();
        }
        self.types(
            number,
            bound.map(|bound| bound.types),
            judged,
            (link, key),
            rest,
            out,
        )
    }

    /// A cursor of it that is open ends with another execution, and so does what the server had of it: MySQL 8.0.31
    /// loses its step over one that had a cursor and is executed without.
    fn ends_cursor(&mut self, number: u32, link: &mut Link, out: &mut Steps) {
        let Some((known, Some(held))) = self.numbers().both(number) else {
            return;
        };
        if held.ahead || !held.cursor || !known.statement.is_shared() {
            return;
        }
        if let Some(held) = self.numbers().frees(number) {
            link.closes(held.own.id, out);
            link.status &= !(status::CURSOR_EXISTS | status::LAST_ROW_SENT);
        }
    }

    /// An answer is over: what was bound to the statement may be free again.
    pub(super) fn named_done(
        &mut self,
        request: &Request,
        erred: bool,
        link: &mut Link,
        out: &mut Steps,
    ) {
        if !names(request.command) {
            return;
        }
        let number = request.statement;
        let executed = request.command == command::STMT_EXECUTE;
        let Some((known, Some(held))) = self.numbers().both(number) else {
            return;
        };
        if executed && !erred {
            held.own.types = known.types.clone();
        }
        let resets = request.command == command::STMT_RESET;
        held.ahead &= !executed && !resets;
        held.cursor &= !resets;
        let shared = known.statement.is_shared();
        let fetched = request.command == command::STMT_FETCH;
        let idle = !held.ahead && !held.cursor;
        if !shared || !(idle || erred && !fetched) {
            return;
        }
        let Some(held) = self.numbers().frees(number) else {
            return;
        };
        // What a server keeps of an execution that failed is its own affair.
        match erred || held.spent {
            true => link.closes(held.own.id, out),
            false => link.shares(held.key, held.own, out),
        }
    }

    /// What a server says of cursors in its answer.
    pub(super) fn named_says(&mut self, request: &Request, flags: u16) {
        if !matches!(request.command, command::STMT_EXECUTE | command::STMT_FETCH) {
            return;
        }
        if let Some(held) = self.numbers().held(request.statement) {
            let open = flags & (status::CURSOR_EXISTS | status::LAST_ROW_SENT);
            held.cursor |= open == status::CURSOR_EXISTS;
            held.cursor &= flags & status::LAST_ROW_SENT == 0;
        }
    }
}
