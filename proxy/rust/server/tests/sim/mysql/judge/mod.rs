//! One client's judgement: whether what it hears is what it must hear.

mod errors;
mod state;

use std::collections::VecDeque;

use super::answer::{self, Answer, Said};
use super::script::{Expect, Kind};
use super::wire::{self, Done};
use crate::cancels::Cancels;
use crate::witness::{Token, Witness};
use state::{Prepared, State};

/// An error's number and text.
type Failure = (u16, String);

#[derive(Debug)]
pub struct Judge {
    id: u64,
    expects: VecDeque<Expect>,
    answer: Answer,
    /// The number of the next packet of the answer.
    next: u8,
    /// What was heard of the answer, as far as it must be what the database said.
    heard: Vec<u8>,
    /// What it has set, and where it is.
    state: State,
    /// A transaction is open.
    open: bool,
    /// With autocommit off something was asked that may begin one, for all that the proxy knows: an error doesn't say.
    unsure: bool,
    /// What was written in it, and where it runs.
    transaction: Vec<Token>,
    backend: Option<String>,
    /// Which session its last row is from.
    session: String,
    cancels: Cancels,
    nonsense: bool,
    /// It was told that the connection ends.
    over: bool,
}

impl Judge {
    pub fn new(id: u64, database: &'static str, agreed: u32) -> Self {
        Self {
            id,
            expects: VecDeque::new(),
            answer: Answer::of_who_speaks(agreed),
            next: 1,
            heard: Vec::new(),
            state: State::new(database),
            open: false,
            unsure: false,
            transaction: Vec::new(),
            backend: None,
            session: String::new(),
            cancels: Cancels::default(),
            nonsense: false,
            over: false,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn is_locking(&self) -> bool {
        self.state.is_locking()
    }

    pub fn prepared(&self, which: usize) -> Option<Prepared> {
        self.state.prepared(which)
    }

    pub fn is_autocommit(&self) -> bool {
        self.state.autocommit
    }

    pub fn ask(&mut self, expect: Expect) {
        self.expects.push_back(expect);
    }

    pub fn cancelled(&mut self) {
        self.cancels.begin();
    }

    /// A cancel was confirmed: it strikes nothing that is asked from here on.
    pub fn cancel_over(&mut self) {
        self.cancels.end(self.expects.len());
    }

    pub fn talked_nonsense(&mut self) {
        self.nonsense = true;
    }

    /// Answers that are owed.
    pub fn owed(&self) -> usize {
        self.expects.len()
    }

    fn fault(&self, witness: &mut Witness, text: String) {
        witness.violation(format!("client {}: {text}", self.id));
    }

    /// Takes in a packet.
    pub fn hear(&mut self, packet: &[u8], witness: &mut Witness) {
        let payload = wire::payload(packet);
        let number = packet[3];
        let Some(expect) = self.expects.front().cloned() else {
            return self.unasked(number, payload, witness);
        };
        if number != self.next && !self.nonsense && !self.is_unasked(number, payload) {
            let due = self.next;
            self.fault(
                witness,
                format!("{expect:?}: packet {number}, due was {due}"),
            );
        }
        self.next = self.next.wrapping_add(1);
        match self.answer.take(expect.kind.command(), payload) {
            Said::Part => self.heard.extend(payload),
            Said::Row(values) => {
                self.heard.extend(payload);
                self.row(&values, &expect, witness);
            }
            Said::Done { done, last } => {
                match wire::is_eof(payload) {
                    true => self.heard.extend(payload),
                    false => self.heard.extend(answer::essence(&done)),
                }
                if last {
                    self.ended(&Ok(done), witness);
                }
            }
            Said::Prepared(number) => self.is_prepared(number, witness),
            Said::Failed { code, text } => {
                if text.starts_with("db:") {
                    self.heard.extend(payload);
                }
                self.ended(&Err((code, text)), witness);
            }
        }
    }

    fn row(&mut self, values: &[String], expect: &Expect, witness: &mut Witness) {
        let [session, token, database, settings, inserted, variable] = values else {
            return self.fault(witness, format!("a strange row: {values:?}"));
        };
        let number = token.strip_prefix('t').and_then(|t| t.parse().ok());
        if !number.is_some_and(|n| expect.tokens.contains(&n)) {
            self.fault(witness, format!("a row of {token}, expected {expect:?}"));
        }
        let recalls = expect.kind == Kind::Recall;
        let variable = recalls.then_some(variable.as_str());
        let inserted = inserted.parse().unwrap_or(u64::MAX);
        let wrong = self
            .state
            .contradicts(database, settings, inserted, variable);
        if let Some(text) = wrong {
            self.fault(witness, format!("{expect:?}: {text}"));
        }
        if let Some(text) = self.state.lock_contradicts(session) {
            self.fault(witness, format!("{expect:?}: {text}"));
        }
        witness.unpinned += u64::from(self.state.was_unpinned(session));
        self.session.clone_from(session);
        if self.open {
            match &self.backend {
                Some(before) if before != session => {
                    let text = format!("transaction moved from {before} to {session}");
                    self.fault(witness, text);
                }
                _ => self.backend = Some(session.clone()),
            }
        }
    }

    /// The answer at the front is over.
    fn ended(&mut self, end: &Result<Done, Failure>, witness: &mut Witness) {
        let Some(expect) = self.expects.pop_front() else {
            return;
        };
        self.next = 1;
        witness.answered += 1;
        let heard = std::mem::take(&mut self.heard);
        self.compare(&expect, &heard, end.as_ref().err(), witness);
        match end {
            Ok(done) => self.succeeded(&expect, done, witness),
            Err((code, text)) if text.starts_with("db:") => {
                self.failed_there(&expect, *code, witness);
            }
            Err((code, text)) => self.failed_here(&expect, *code, text, witness),
        }
        self.cancels.answered();
        if !self.open {
            self.transaction.clear();
            self.backend = None;
        }
    }

    /// What was heard is exactly what the database produced; the proxy's own error may cut it short.
    fn compare(
        &self,
        expect: &Expect,
        heard: &[u8],
        error: Option<&Failure>,
        witness: &mut Witness,
    ) {
        let Some(token) = expect.tokens.first() else {
            return;
        };
        let own_error = error.is_some_and(|(_, text)| !text.starts_with("db:"));
        let produced = witness.produced.get(token).map(|p| p.bytes.as_slice());
        let fits = match produced {
            Some(bytes) if own_error => bytes.starts_with(heard),
            Some(bytes) => bytes == heard,
            // Its goodbye is nobody's answer.
            None => own_error || error.is_some_and(|(code, _)| matches!(code, 1053 | 1040)),
        };
        if !fits {
            let lengths = (heard.len(), produced.map(<[u8]>::len));
            let text = format!("{expect:?}: heard and produced differ: {lengths:?} {error:?}");
            self.fault(witness, text);
        }
    }

    /// A statement was prepared.
    fn is_prepared(&mut self, number: u32, witness: &mut Witness) {
        self.next = 1;
        self.heard.clear();
        self.cancels.answered();
        witness.answered += 1;
        let kind = self.expects.pop_front().map(|expect| expect.kind);
        let Some(Kind::Prepare(which)) = kind else {
            return self.fault(witness, format!("{kind:?} has prepared something"));
        };
        if let Some(text) = self.state.prepares(which, number) {
            self.fault(witness, text);
        }
    }

    /// What an answer without an error says.
    fn succeeded(&mut self, expect: &Expect, done: &Done, witness: &mut Witness) {
        let was_autocommit = self.state.autocommit;
        self.state.answered(expect, &self.session);
        let kind = expect.kind.plain();
        let switched_on = kind == Kind::Autocommit(true) && !was_autocommit;
        let open = match kind {
            Kind::Begin => true,
            Kind::Commit | Kind::Rollback | Kind::ResetConnection | Kind::Call => false,
            _ if switched_on => false,
            _ => self.open || begins(kind) && !was_autocommit,
        };
        let flags = |flag: u16| done.status & flag != 0;
        let told = (flags(wire::AUTOCOMMIT), flags(wire::IN_TRANS));
        // Whose server went is told at its next statement that its transaction is gone, whether or not it had one.
        let open_still = kind == Kind::Ping && self.unsure && told == (false, true);
        if told != (self.state.autocommit, open) && !open_still && !self.over {
            let due = (self.state.autocommit, open);
            let text = format!("{expect:?}: autocommit and transaction {told:?}, not {due:?}");
            self.fault(witness, text);
        }
        let here = |token: Option<&Token>| {
            let produced = token.and_then(|token| witness.produced.get(token));
            produced.map_or(0, |produced| produced.database)
        };
        let place = here(self.transaction.first());
        match kind {
            Kind::Write if open => self.transaction.extend(&expect.tokens),
            Kind::Write | Kind::Call => {
                let here = here(expect.tokens.first());
                witness.acknowledge(here, &expect.tokens);
            }
            Kind::Begin | Kind::Commit => witness.acknowledge(place, &self.transaction),
            Kind::Rollback | Kind::ResetConnection => {
                witness.deny(&self.transaction);
                if kind == Kind::Rollback {
                    self.state.unsettled();
                }
            }
            _ if switched_on => witness.acknowledge(place, &self.transaction),
            _ => {}
        }
        if kind == Kind::Begin {
            self.transaction.clear();
        }
        self.open = open;
        let ends = matches!(kind, Kind::Commit | Kind::Rollback | Kind::ResetConnection);
        self.unsure |= kind == Kind::Unlock;
        self.unsure &= !ends && !self.state.autocommit;
        if !open {
            self.state.settled();
        }
    }

    /// It was ended amid its work, which leaves open what it has begun.
    fn interrupted(&mut self, expect: &Expect) {
        self.open |= begins(expect.kind.plain()) && !self.state.autocommit;
    }

    /// The transaction is gone, and what was asked for last did nothing.
    fn undone(&mut self, expect: &Expect, witness: &mut Witness) {
        witness.deny(&self.transaction);
        // Nobody knows how far a procedure came.
        if expect.kind != Kind::Call {
            witness.deny(&expect.tokens);
        }
        self.transaction.clear();
        self.open = false;
        self.unsure = false;
        self.state.unsettled();
    }

    /// The connection ended without the client's doing.
    pub fn closed(&mut self, logged_in: bool, excused: bool, witness: &mut Witness) {
        let asked = !self.expects.is_empty();
        if excused || self.nonsense || !logged_in || self.over || asked {
            return;
        }
        self.fault(witness, "an idle client was closed without a word".into());
    }
}

/// Whether a transaction begins with it, where none ends by itself.
fn begins(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Read | Kind::Write | Kind::Sleep | Kind::Recall | Kind::Lock
    )
}
