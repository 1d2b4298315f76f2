//! The client's bytes while it holds no backend: waits for a whole command, though not for ever, then asks for
//! one. What needs no database is answered here.

use dbproxy_engine::{CloseReason, PinReason, Reasons, Step, Steps};

use crate::link::LASTING;
use crate::message::capability::QUERY_ATTRIBUTES;
use crate::message::frame::{self, Gathered, Peek, HEADER};
use crate::message::status::{IN_TRANS, IN_TRANS_READONLY};
use crate::message::{command, ok};
use crate::statement::{After, Memory};
use crate::texts::Fault;

use super::judge::Judged;
use super::killing::Kills;
use super::{executing, tell, texts, Session, ANSWER};

/// Answers of its own that one look at the input makes at most: what a client asks for without taking it must not
/// pile up. The rest of the input is looked at again.
const ANSWERS_AT_ONCE: usize = 128;

impl Session {
    pub(super) fn alone(
        &mut self,
        input: &[u8],
        memory: &mut Memory,
        limit: usize,
        out: &mut Steps,
    ) -> usize {
        let mut at = 0;
        while out.len() < ANSWERS_AT_ONCE && !self.closed {
            let rest = input.get(at..).unwrap_or_default();
            if self.swallowing > 0 || self.swallows_on {
                let some = self.swallow(rest);
                at += some;
                if some == 0 || self.swallowing > 0 {
                    return at;
                }
                continue;
            }
            if self.killing.is_some() {
                return at;
            }
            let Some(kind) = self.command(rest, out) else {
                return if self.closed { input.len() } else { at };
            };
            match self.by_itself(kind, rest, (memory, limit), out) {
                Some(true) => self.begin_to_swallow(rest),
                Some(false) => return at,
                None => {
                    out.push(Step::NeedBackend);
                    return at;
                }
            }
        }
        if self.closed {
            return input.len();
        }
        at
    }

    /// The kind of the command at the start of `rest`; `None`: it isn't there, or broken.
    pub(super) fn command(&mut self, rest: &[u8], out: &mut Steps) -> Option<u8> {
        let Peek::Packet {
            sequence, total, ..
        } = frame::peek(rest)
        else {
            return None;
        };
        if sequence != 0 {
            self.violation(Some(texts::out_of_order()), out);
            return None;
        }
        if total == HEADER {
            return Some(command::SLEEP);
        }
        rest.get(HEADER).copied()
    }

    /// Answers a command without a database, or says that it isn't all there (`false`); `None`: it needs one.
    fn by_itself(
        &mut self,
        kind: u8,
        rest: &[u8],
        at_most: (&mut Memory, usize),
        out: &mut Steps,
    ) -> Option<bool> {
        if let Some(error) = refused(kind) {
            self.says(error, out);
            return Some(true);
        }
        match kind {
            command::QUIT => self.close(CloseReason::ClientLeft, out),
            command::CHANGE_USER => return Some(!self.changes_user(out)),
            command::PING => {
                self.diagnostics.did_nothing();
                self.ok(out);
            }
            command::RESET_CONNECTION => {
                self.starts_anew(self.first_status, out);
                self.untold = false;
                self.ok(out);
            }
            command::STMT_CLOSE if executing::view(rest, at_most.1).is_none() => {
                return Some(false)
            }
            command::STMT_CLOSE => self.forgets(rest),
            _ => return self.asks(kind, rest, at_most, out),
        }
        Some(true)
    }

    /// A command that needs a backend, once it is there or can't be waited for.
    fn asks(
        &mut self,
        kind: u8,
        rest: &[u8],
        (memory, limit): (&mut Memory, usize),
        out: &mut Steps,
    ) -> Option<bool> {
        let body = match frame::payload(rest, 0, frame::LONGEST) {
            Gathered::Payload { body, .. } => body,
            Gathered::NeedMore if rest.len() < limit || limit == 0 => return Some(false),
            Gathered::NeedMore => Default::default(),
            Gathered::OutOfOrder => {
                self.violation(Some(texts::out_of_order()), out);
                return Some(true);
            }
            Gathered::TooLong => {
                let error = Fault::new(
                    1153,
                    b"08S01",
                    "Got a packet bigger than 'max_allowed_packet' bytes",
                );
                self.violation(Some(error), out);
                return Some(true);
            }
        };
        let judged = self.judged(kind, &body, memory);
        if self.untold && kind == command::STMT_SEND_LONG_DATA {
            self.spoils(rest, texts::lost());
            return Some(true);
        }
        if self.untold {
            self.untold = false;
            self.forgives(kind, rest);
            match kind == command::QUERY && is_rollback(self.text(&body)) {
                true => self.ok(out),
                false => self.says(texts::lost(), out),
            }
            return Some(true);
        }
        if executing::names(kind) && self.names_alone(kind, rest, out) {
            return Some(true);
        }
        if self.tells_itself(&judged, &body, None, out) {
            return Some(true);
        }
        if self.refuses_id(&judged, out) {
            return Some(true);
        }
        // Any backend tells that there are none.
        let none = judged.asks_warnings && self.diagnostics.is_empty();
        if judged.asks_before() && !none && !self.keeps {
            self.refuses_to_tell(out);
            return Some(true);
        }
        if let Some(kills) = judged.kills {
            return self.kills(kills, self.status, out).then_some(true);
        }
        self.moves = judged.moves;
        self.variables.named |= judged.names;
        None
    }

    /// What a command whose payload is that may do; an empty one isn't there whole.
    pub(super) fn judged(&self, kind: u8, body: &[u8], memory: &mut Memory) -> Judged {
        let whole = !body.is_empty();
        match kind {
            command::QUERY | command::STMT_PREPARE if !whole => {
                Judged::unknown(PinReason::StatementTooLarge)
            }
            command::STMT_PREPARE if self.shareable(body, memory).is_ok() => Judged {
                after: After::Unsure,
                ..Judged::harmless()
            },
            command::QUERY if self.has_attributes(body) => Judged::unknown(PinReason::Unclassified),
            command::QUERY => Judged::text(&memory.classify(self.text(body), self.dialect())),
            command::STMT_PREPARE => {
                let text = body.get(1..).unwrap_or_default();
                let judged = Judged::text(&memory.classify(text, self.dialect()));
                let pins = judged.pins.and(Reasons::of(&[PinReason::NamedStatement]));
                Judged {
                    pins: judged.lasts(pins),
                    calculates: false,
                    after: After::Unsure,
                    asks_warnings: false,
                    selects: false,
                    assigns: false,
                    next_only: false,
                    deed: None,
                    own: None,
                    commits_alone: false,
                    commits_inside: false,
                    writes: false,
                    moves: false,
                    kills: judged.kills.map(|_| Kills::Other),
                    ..judged
                }
            }
            command::STMT_EXECUTE => {
                let named = self.named(body);
                named.map_or(Judged::harmless(), |named| self.judged_of(named.number))
            }
            command::PROCESS_KILL => Judged {
                kills: Some(Kills::command(body)),
                ..Judged::harmless()
            },
            _ => Judged::command(kind),
        }
    }

    /// A command that names a statement; answers whether that needs no backend.
    fn names_alone(&mut self, kind: u8, rest: &[u8], out: &mut Steps) -> bool {
        let named = executing::start(rest).and_then(|payload| self.named(payload));
        if self.names_in_vain(kind, named.as_ref(), out) {
            return true;
        }
        // No backend has anything of it that is the client's own.
        let resets = kind == command::STMT_RESET;
        if resets {
            self.forgives(kind, rest);
            self.ok(out);
        }
        resets
    }

    /// A parameter comes ahead whose statement won't be executed: nothing answers it, so that is told then.
    fn spoils(&mut self, rest: &[u8], fault: Fault) {
        let named = executing::start(rest).and_then(|payload| self.named(payload));
        if let (Some(named), Some(numbers)) = (named, &mut self.numbers) {
            numbers.spoils(named.number, fault);
        }
    }

    /// The client is told, or gives it up.
    fn forgives(&mut self, kind: u8, rest: &[u8]) {
        let payload = executing::start(rest).filter(|_| executing::names(kind));
        let named = payload.and_then(|payload| self.named(payload));
        if let (Some(named), Some(numbers)) = (named, &mut self.numbers) {
            numbers.forgives(named.number);
        }
    }

    /// The client is done with a statement.
    fn forgets(&mut self, rest: &[u8]) {
        let named = executing::start(rest).and_then(|payload| self.named(payload));
        if let (Some(named), Some(numbers)) = (named, &mut self.numbers) {
            numbers.removes(named.number);
        }
    }

    /// Whether a query has attributes in front of its text: those aren't read.
    fn has_attributes(&self, body: &[u8]) -> bool {
        self.agreed.has(QUERY_ATTRIBUTES) && !matches!(body, [_, 0, 1, ..])
    }

    /// The text of a query.
    pub(super) fn text<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        let head = if self.agreed.has(QUERY_ATTRIBUTES) {
            3
        } else {
            1
        };
        body.get(head..).unwrap_or_default()
    }

    /// Throws the command at the start of `rest` away.
    pub(super) fn begin_to_swallow(&mut self, rest: &[u8]) {
        if let Peek::Packet {
            total, continues, ..
        } = frame::peek(rest)
        {
            self.swallowing = total;
            self.swallows_on = continues;
        }
    }

    /// Throws away what is here of what is to be thrown away; answers how much.
    pub(super) fn swallow(&mut self, rest: &[u8]) -> usize {
        if self.swallowing == 0 {
            match frame::peek(rest) {
                Peek::NeedMore => return 0,
                Peek::Packet {
                    total, continues, ..
                } => {
                    self.swallowing = total;
                    self.swallows_on = continues;
                }
            }
        }
        let here = self.swallowing.min(rest.len());
        self.swallowing -= here;
        here
    }

    /// An OK of its own.
    pub(super) fn ok(&self, out: &mut Steps) {
        // Of what is lost it wasn't told yet.
        let open = if self.untold { IN_TRANS } else { 0 };
        self.ok_of(self.status & LASTING | open, out);
    }

    /// The same in that state.
    pub(super) fn ok_of(&self, status: u16, out: &mut Steps) {
        let ok = ok::Ok {
            status: status & (LASTING | IN_TRANS | IN_TRANS_READONLY),
            ..ok::Ok::default()
        };
        let mut bytes = Vec::new();
        frame::packets(&mut bytes, ANSWER, |out| {
            ok.write(ok::TAG, self.agreed, out)
        });
        tell(bytes, out);
    }

    /// Answers the first command of the input with an error; answers how much of it is done with.
    pub(super) fn refuse_with(&mut self, error: Fault, input: &[u8], out: &mut Steps) -> usize {
        match input.get(HEADER) {
            Some(&command::STMT_SEND_LONG_DATA) => self.spoils(input, error),
            _ => self.says(error, out),
        }
        self.begin_to_swallow(input);
        let mut at = 0;
        while self.swallowing > 0 || self.swallows_on {
            let some = self.swallow(input.get(at..).unwrap_or_default());
            at += some;
            if some == 0 || self.swallowing > 0 {
                break;
            }
        }
        at
    }
}

/// The error that a command gets which isn't for clients of a proxy, or not yet, or that nobody knows.
pub(super) fn refused(kind: u8) -> Option<Fault> {
    Some(match kind {
        command::BINLOG_DUMP | command::BINLOG_DUMP_GTID | command::TABLE_DUMP => {
            texts::unsupported("COM_BINLOG_DUMP")
        }
        command::REGISTER_SLAVE => texts::unsupported("COM_REGISTER_SLAVE"),
        command::DEBUG => texts::unsupported("COM_DEBUG"),
        command::SHUTDOWN => texts::unsupported("COM_SHUTDOWN"),
        command::REFRESH => texts::unsupported("COM_REFRESH"),
        command::CLONE | command::SUBSCRIBE_GROUP_REPLICATION_STREAM => {
            texts::unsupported("COM_CLONE")
        }
        command::QUIT | command::PING | command::RESET_CONNECTION | command::STMT_CLOSE => {
            return None
        }
        command::STMT_SEND_LONG_DATA | command::CHANGE_USER => return None,
        kind if crate::reply::Shape::of(kind).is_some() => return None,
        _ => texts::unknown_command(),
    })
}

/// Whether a text is a plain ROLLBACK: what was lost is rolled back.
fn is_rollback(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii_end();
    text.eq_ignore_ascii_case(b"ROLLBACK")
}
