//! A logged-in client: its commands over backends that it holds for a transaction at a time.
//!
//! Driven by a worker through the [`Session`](dbproxy_engine::Session) trait. `alone` looks at the client's bytes
//! while it holds no backend, `forward` while it does, `replies` at the backend's; `changes` keeps what the server
//! reports of the session and says what of that its client is told, `diagnostics` what a statement has left for the
//! client to ask, `variables` what it has set by name, `holdings` how much it has of what binds it. `replay` gives a
//! backend what its client has, `preparing`, `executing` and `typing` the statements that it has prepared, `sending` the bytes;
//! `flow` is how far `replies` has come, `killing` answers KILL, `anew` resets a session, `own` asks a backend what it hasn't told,
//! `lost` decides what a client is told when its backend is gone, `judge` what a command may do. What the server still owes is
//! kept in the [`Link`], which outlives the client; here is what belongs to the client.

mod alone;
mod anew;
mod answers;
mod changes;
mod diagnostics;
mod executing;
mod flow;
mod forward;
mod holdings;
pub(crate) mod judge;
mod killing;
mod lost;
mod own;
mod preparing;
mod replay;
mod replies;
mod sending;
mod texts;
mod typing;
mod variables;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use dbproxy_engine::{
    Abandoned, CancelKey, CloseReason, Failure, KillReason, Killed, Note, Outcome, PinReason,
    Reasons, Release, Rules, Step, Steps, Traces,
};

use crate::credential::{Handover, Scramble};
use crate::link::{traces, Leave, Link, Settings, DEFAULT};
use crate::message::capability::{Capabilities, MULTI_STATEMENTS};
use crate::params::Params;
use crate::prepared::Numbers;
use crate::statement::{Charset, Dialect, Literal, Memory};
use crate::texts::Fault;

use answers::{say, tell};
use diagnostics::Diagnostics;
use holdings::{Holdings, OneShot};
use variables::Variables;

/// Its packets on the client's leg begin with that number.
const ANSWER: u8 = 1;

/// A logged-in client.
#[derive(Debug)]
pub struct Session {
    id: u32,
    /// What is spoken with the client.
    agreed: Capabilities,
    /// The collation of its log-in, and how often it has failed to log in again.
    collation: u8,
    failures: u8,
    /// What its proof was made for.
    scramble: Scramble,
    /// How its texts are read, as long as it has set nothing.
    dialect: Dialect,
    /// The character set that a reset leaves it with.
    own_charset: Charset,
    /// The lasting status flags that the client knows, and those of its log-in.
    status: u16,
    first_status: u16,
    /// The database that it is in; `None`: as a log-in leaves it.
    database: Option<Arc<[u8]>>,
    traces: Traces,
    /// What it has set, of what is followed.
    settings: Arc<Settings>,
    /// Its user variables, of what is followed; and what the command at hand makes of them.
    variables: Variables,
    assigns: Vec<(Arc<str>, Literal)>,
    /// What LAST_INSERT_ID() is for it.
    insert_id: u64,
    /// Another one was made in a transaction that was lost, and was never told.
    id_lost: bool,
    /// The backend at hand has that, or made another one for it.
    placed: bool,
    pins: Reasons,
    /// How much of what binds it has.
    holdings: Holdings,
    /// What is set for its next transaction only.
    one_shot: OneShot,
    /// What the statement before has left.
    diagnostics: Diagnostics,
    /// How many rows the statement before had may be asked next.
    calculated: bool,
    /// It is bound to the next backend that it gets: it asks for what doesn't outlast a hold.
    keeps: bool,
    /// It has set by command whether a query may be several statements, which no reset takes back.
    has_option: bool,
    /// With autocommit off: something was asked since the last transaction ended.
    begun: bool,
    /// It was told that a transaction is open, and not that none is.
    told_open: bool,
    /// Its transaction is gone, and it wasn't told yet.
    untold: bool,
    /// Its request at hand goes to another database, whatever became of its own.
    moves: bool,
    /// It has asked for a KILL.
    killing: Option<killing::Killing>,
    /// It was told to go; nothing more is looked at.
    closed: bool,
    /// A backend was attached and nothing of the client's was forwarded to it yet.
    fresh: bool,
    /// What it has can't be set again: its request gets this error.
    failed: Option<Fault>,
    /// The statements that it has prepared.
    numbers: Option<Box<Numbers>>,
    /// The one that its request executes can't be prepared: it gets this error.
    unprepared: Option<Fault>,
    /// It is in the middle of a request.
    reading: bool,
    /// Packets of the client's that are still to be thrown away: of the one at hand so many bytes, and
    /// whether its payload goes on.
    swallowing: usize,
    swallows_on: bool,
}

impl Session {
    /// A new session, and the OK that ends its log-in.
    pub fn welcome(
        handover: &Handover,
        params: &Arc<Params>,
        key: CancelKey,
        out: &mut Vec<u8>,
    ) -> Self {
        if !handover.answered {
            params.welcome(handover, out);
        }
        Self {
            id: key.id,
            agreed: handover.capabilities,
            collation: handover.collation,
            failures: handover.failures,
            scramble: handover.scramble,
            dialect: Dialect {
                charset: Charset::of_collation(handover.collation.into()),
                multi_statements: handover.capabilities.has(MULTI_STATEMENTS),
                ..Dialect::of_version(&params.version).under(&params.sql_mode)
            },
            own_charset: Charset::of_collation(params.collation.into()),
            status: params.status,
            first_status: params.status,
            traces: traces(handover.database.is_some()),
            database: handover.database.clone(),
            settings: Arc::default(),
            variables: Variables::default(),
            assigns: Vec::new(),
            insert_id: 0,
            id_lost: false,
            placed: false,
            pins: Reasons::NONE,
            holdings: Holdings::default(),
            one_shot: OneShot::None,
            diagnostics: Diagnostics::default(),
            calculated: false,
            keeps: false,
            has_option: false,
            begun: false,
            told_open: false,
            untold: false,
            moves: false,
            killing: None,
            closed: false,
            fresh: false,
            failed: None,
            numbers: None,
            unprepared: None,
            reading: false,
            swallowing: 0,
            swallows_on: false,
        }
    }

    fn close(&mut self, reason: CloseReason, out: &mut Steps) {
        self.closed = true;
        out.push(Step::Close(reason));
    }

    /// The client broke the protocol; `error` says how, where it isn't in the middle of an answer.
    fn violation(&mut self, error: Option<Fault>, out: &mut Steps) {
        if let Some(error) = error {
            // A server numbers this as if nothing had been said.
            say(error, 0, out);
        }
        self.close(CloseReason::ProtocolViolation, out);
    }

    fn pin(&mut self, reason: PinReason, link: &mut Link, out: &mut Steps) {
        self.pin_by(reason, Box::default(), link, out);
    }

    /// The same, by a statement without its values.
    fn pin_by(&mut self, reason: PinReason, by: Box<str>, link: &mut Link, out: &mut Steps) {
        link.left(Leave::Dirty);
        if !self.pins.has(reason) {
            self.pins = self.pins.and(Reasons::of(&[reason]));
            out.push(Step::Note(Note::Pinned(reason, by)));
        }
    }

    /// How a server reads its texts now, whose own `sql_mode` is that of its log-in.
    fn dialect(&self) -> Dialect {
        let dialect = match self.settings.value("sql_mode") {
            Some(mode) => self.dialect.under(mode),
            None => self.dialect,
        };
        match self.settings.value("character_set_client") {
            Some(DEFAULT) => Dialect {
                charset: self.own_charset,
                ..dialect
            },
            Some(name) => Dialect {
                charset: Charset::of_name(name),
                ..dialect
            },
            None => dialect,
        }
    }

    fn is_pinned(&self) -> bool {
        !self.pins.is_empty()
    }

    /// It is in this database from here on.
    fn enters(&mut self, database: Option<Arc<[u8]>>) {
        self.traces = traces(database.is_some());
        self.database = database;
    }

    /// Whether its next command waits for what the proxy asks of its backend before that goes to somebody who
    /// has waited longer. Its commands come one by one: between any two of them it may go.
    fn yields(&self, link: &Link) -> bool {
        let asked = !link.owed.is_empty() && !link.is_asked() && link.sending.is_none();
        link.wanted && asked && self.is_unbound(link)
    }

    /// Whether the backend can go back: nothing is owed, nothing is bound to it.
    fn may_release(&self, link: &Link) -> bool {
        link.settled() && self.is_unbound(link)
    }
}

impl dbproxy_engine::Session for Session {
    type Link = Link;
    type Memory = Memory;

    fn rule(memory: &mut Memory, rules: Rules) {
        memory.rules = rules;
    }

    fn feed_client(
        &mut self,
        input: &[u8],
        link: Option<&mut Link>,
        memory: &mut Memory,
        request_limit: usize,
        out: &mut Steps,
    ) -> usize {
        if self.closed {
            return input.len();
        }
        let used = match link {
            Some(link) => self.forward(link, input, memory, request_limit, out),
            None => self.alone(input, memory, request_limit, out),
        };
        self.reading = used < input.len() || self.swallowing > 0 || self.swallows_on;
        used
    }

    fn attach(&mut self, link: &mut Link, out: &mut Steps) {
        self.fresh = true;
        self.diagnostics.moves();
        self.unprepared = None;
        let renewed = self.meets_strangers(link, out);
        self.placed = link.insert_id == Some(self.insert_id) && !link.is_soiled();
        // Else as soon as that is done.
        if !renewed {
            self.replay(link, out);
        }
    }

    fn feed_server(
        session: Option<&mut Self>,
        link: &mut Link,
        input: &[u8],
        out: &mut Steps,
    ) -> usize {
        replies::replies(session, link, input, out)
    }

    fn abandon(&mut self, link: &mut Link) -> Abandoned {
        self.closed = true;
        if self.begun || self.holds() {
            link.left(Leave::Dirty);
        }
        if link.closing {
            return Abandoned::Free(Release::Kill(KillReason::ServerClosed));
        }
        if link.sending.is_some() || link.file.is_some() {
            return Abandoned::Free(Release::Kill(KillReason::ClientLost));
        }
        match link.settled() {
            true => Abandoned::Free(link.release()),
            false => Abandoned::Running,
        }
    }

    fn lost(&mut self, link: &mut Link, out: &mut Steps) -> Outcome {
        lost::lost(self, link, out)
    }

    fn refuse(&mut self, failure: Failure, input: &[u8], out: &mut Steps) -> usize {
        let used = self.refuse_with(crate::texts::failure(failure), input, out);
        self.reading = used < input.len() || self.swallowing > 0 || self.swallows_on;
        used
    }

    // Nobody listens in this protocol: no session says `Attend`, so none is told of its end.

    fn attended(&mut self, _: bool, _: &mut Steps) {}

    fn listens_itself(&mut self, _: &mut Link, _: &mut Steps) {}

    fn killed(&mut self, outcome: Killed, out: &mut Steps) {
        self.answers_kill(outcome, out);
    }

    fn farewell(&self, failure: Failure, out: &mut Vec<u8>) {
        crate::texts::failure(failure).write(0, out);
    }

    fn at_boundary(&self) -> bool {
        !self.begun && !self.untold && !self.reading && self.killing.is_none()
    }

    fn is_held(&self) -> bool {
        false
    }

    fn pinned(&self) -> bool {
        self.is_pinned()
    }

    fn traces(&self) -> &Traces {
        &self.traces
    }
}
