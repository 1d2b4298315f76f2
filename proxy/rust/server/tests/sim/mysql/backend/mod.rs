//! One session of the model MySQL: just enough of its semantics for what the scripts send, and the proxy.
//!
//! Every row carries the session's name, the request's token, the database that it is in, its settings, its
//! LAST_INSERT_ID(), and a user variable, so that a client can tell another's rows or state from its own.

mod prepared;
mod reports;
mod statements;

use std::collections::{BTreeMap, VecDeque};

use dbproxy_driver::Time;

pub use statements::INIT_QUERY;

use super::wire::{self, Done};
use crate::peer::{Around, Seat};
use crate::witness::{token_in, Token, Witness};

/// The columns of every result.
pub const COLUMNS: [&str; 6] = [
    "session", "token", "database", "settings", "inserted", "variable",
];

/// How a statement ended, or that it didn't yet.
enum End {
    Done {
        affected: u64,
        insert_id: u64,
    },
    Rows(u64),
    /// A result of the proxy's own: its columns, and a row of it.
    Table(&'static [&'static str], Option<Vec<String>>),
    /// Until then; a procedure inserts that afterwards.
    Sleeps(Time, Option<Token>),
    Failed(u16, &'static str, &'static str),
}

/// An OK without anything.
const DONE: End = End::Done {
    affected: 0,
    insert_id: 0,
};

/// A statement that takes its time.
struct Running {
    until: Time,
    /// What a procedure inserts then, after what it has committed before.
    second: Option<Token>,
}

pub struct Session {
    /// The server's number, and through which of its doors it was reached.
    place: (usize, usize),
    name: String,
    agreed: u32,
    inbox: Vec<u8>,
    /// It was asked for something that isn't part of a log-in.
    served: bool,
    /// The init query ran since the last reset.
    initialised: bool,
    /// It reports what changes, and what it has not told yet.
    tracks: bool,
    changes: Vec<u8>,
    told_transaction: [u8; 8],
    statements: u64,
    database: Option<String>,
    autocommit: bool,
    /// A transaction is open: begun by name (`T`), or as autocommit is off (`I`).
    open: Option<u8>,
    /// Inserted, not committed.
    writes: Vec<Token>,
    /// System variables that aren't as at first.
    variables: BTreeMap<String, String>,
    /// The one user variable.
    variable: String,
    inserted: u64,
    /// The error of its last statement.
    failure: Option<(String, &'static str)>,
    /// Statements of the query at hand that are still to run.
    pending: VecDeque<String>,
    prepared: BTreeMap<u32, prepared::Statement>,
    last_statement: u32,
    /// The rows at hand are those of a prepared statement.
    binary: bool,
    running: Option<Running>,
    cancelled: bool,
    /// The answer at hand: the number of its next packet, whose it is, and what of it counts.
    next: u8,
    token: Option<Token>,
    essence: Vec<u8>,
    out: Vec<u8>,
}

impl Session {
    pub fn new(seat: &Seat, agreed: u32) -> Self {
        Self {
            place: seat.place,
            name: format!("db{}-{}", seat.place.0, seat.number),
            agreed,
            inbox: Vec::new(),
            served: false,
            initialised: false,
            tracks: false,
            changes: Vec::new(),
            told_transaction: reports::NO_TRANSACTION,
            statements: 0,
            database: None,
            autocommit: true,
            open: None,
            writes: Vec::new(),
            variables: BTreeMap::new(),
            variable: "-".into(),
            inserted: 0,
            failure: None,
            pending: VecDeque::new(),
            prepared: BTreeMap::new(),
            last_statement: 0,
            binary: false,
            running: None,
            cancelled: false,
            next: 0,
            token: None,
            essence: Vec::new(),
            out: Vec::new(),
        }
    }

    pub fn has_served(&self) -> bool {
        self.served
    }

    /// The number that a packet has which isn't asked for, or that answers what runs.
    pub fn next_number(&self) -> u8 {
        match self.running {
            Some(_) => self.next,
            None => 0,
        }
    }

    pub fn busy_until(&self) -> Option<Time> {
        self.running.as_ref().map(|running| running.until)
    }

    /// Says whether something was running.
    pub fn cancel(&mut self) -> bool {
        if let Some(running) = &mut self.running {
            running.until = Time(0);
            self.cancelled = true;
        }
        self.cancelled
    }

    /// Takes in bytes and time; false when the session is over.
    pub fn feed(&mut self, bytes: &[u8], around: &mut Around<'_>) -> bool {
        self.inbox.extend(bytes);
        let goes_on = self.go_on(around);
        around.out = std::mem::take(&mut self.out);
        goes_on
    }

    fn go_on(&mut self, around: &mut Around<'_>) -> bool {
        loop {
            if let Some(running) = self.running.take() {
                if running.until > around.now {
                    self.running = Some(running);
                    return true;
                }
                self.wake_up(&running, around.witness);
            }
            while let Some(sql) = self.pending.pop_front() {
                let end = self.run(&sql, around);
                self.end(end, around.witness);
                if self.running.is_some() {
                    break;
                }
            }
            if self.running.is_some() {
                continue;
            }
            let Some(packet) = wire::take_packet(&mut self.inbox) else {
                return true;
            };
            if !self.command(&packet, around) {
                return false;
            }
        }
    }

    fn wake_up(&mut self, running: &Running, witness: &mut Witness) {
        if std::mem::take(&mut self.cancelled) {
            let text = "db: Query execution was interrupted";
            return self.end(End::Failed(1317, "70100", text), witness);
        }
        let end = match running.second {
            Some(second) => {
                self.writes.push(second);
                self.commit(witness);
                DONE
            }
            None => End::Rows(1),
        };
        self.end(end, witness);
    }

    fn command(&mut self, packet: &[u8], around: &mut Around<'_>) -> bool {
        let payload = wire::payload(packet);
        let (kind, body) = payload.split_first().unwrap_or((&0, &[]));
        if packet[3] != 0 {
            let text = format!("{} got a command numbered {}", self.name, packet[3]);
            around.witness.violation(text);
            return false;
        }
        self.next = 1;
        self.binary = false;
        let text = String::from_utf8_lossy(body).into_owned();
        match *kind {
            wire::QUIT => return false,
            wire::PING => self.end(DONE, around.witness),
            wire::INIT_DB => {
                self.enter(&text);
                self.end(DONE, around.witness);
            }
            wire::RESET_CONNECTION => {
                self.reset();
                self.end(DONE, around.witness);
            }
            wire::SET_OPTION => {
                let payload = match self.agreed & wire::DEPRECATE_EOF {
                    0 => wire::eof(self.status()),
                    _ => self.done(0, 0).write(wire::EOF, self.agreed),
                };
                self.say(payload);
            }
            wire::STMT_PREPARE => {
                self.served = true;
                self.prepare(&text, around.witness);
            }
            wire::STMT_EXECUTE => self.execute(body, around),
            wire::STMT_CLOSE => self.close_statement(body),
            wire::QUERY => {
                let parts = text.split(';').map(str::trim);
                let parts = parts.filter(|sql| !sql.is_empty()).map(Into::into);
                self.pending = parts.collect();
                self.arrived(&text, around.witness);
            }
            other => {
                let text = format!("{} got a command {other}", self.name);
                around.witness.violation(text);
                return false;
            }
        }
        true
    }

    /// A query came. What the proxy sets again is no request of anybody's.
    fn arrived(&mut self, text: &str, witness: &mut Witness) {
        self.token = token_in(text).filter(|_| !statements::is_replay(text));
        self.served |= !statements::is_of_log_in(text);
        let Some(token) = self.token else {
            return;
        };
        witness.arrived(self.place, token);
        if witness.initialised && !self.initialised {
            let name = &self.name;
            witness.violation(format!("t{token} ran in {name} before the init query"));
        }
    }

    fn status(&self) -> u16 {
        let flag = |is: bool, flag: u16| if is { flag } else { 0 };
        flag(self.autocommit, wire::AUTOCOMMIT)
            | flag(self.open.is_some(), wire::IN_TRANS)
            | flag(!self.pending.is_empty(), wire::MORE_RESULTS)
    }

    fn done(&mut self, affected: u64, insert_id: u64) -> Done {
        Done {
            affected,
            insert_id,
            status: self.status(),
            warnings: 0,
            changes: self.report(),
        }
    }

    fn say(&mut self, payload: Vec<u8>) {
        self.out.extend(wire::packet(self.next, &payload));
        self.next = self.next.wrapping_add(1);
    }

    /// Says it, and that it counts.
    fn tell(&mut self, payload: Vec<u8>) {
        self.essence.extend(&payload);
        self.say(payload);
    }

    fn tell_done(&mut self, first: u8, done: &Done) {
        self.essence.extend(super::answer::essence(done));
        self.say(done.write(first, self.agreed));
    }

    /// Answers the statement at hand; the whole answer is written down with the last one.
    fn end(&mut self, end: End, witness: &mut Witness) {
        self.statements += 1;
        match end {
            End::Sleeps(until, second) => {
                self.running = Some(Running { until, second });
                return;
            }
            End::Done {
                affected,
                insert_id,
            } => {
                let done = self.done(affected, insert_id);
                self.tell_done(wire::OK, &done);
            }
            End::Rows(count) => self.rows(count),
            End::Table(columns, row) => {
                let row = row.map(|values| {
                    let values: Vec<&str> = values.iter().map(String::as_str).collect();
                    wire::row(&values)
                });
                self.table(columns, row.into_iter().collect());
            }
            End::Failed(code, state, text) => {
                self.pending.clear();
                self.failure = Some((code.to_string(), text));
                self.tell(wire::error(code, state, text));
            }
        }
        if self.pending.is_empty() {
            let bytes = std::mem::take(&mut self.essence);
            if let Some(token) = self.token.take() {
                witness.answered_by(self.place.0, token, bytes);
            }
        }
    }

    fn rows(&mut self, count: u64) {
        let token = format!("t{}", self.token.unwrap_or_default());
        let inserted = self.inserted.to_string();
        let settings = self.settings();
        let values = [
            self.name.as_str(),
            &token,
            self.database.as_deref().unwrap_or("-"),
            &settings,
            &inserted,
            &self.variable,
        ];
        let row = match self.binary {
            true => wire::binary_row(&values),
            false => wire::row(&values),
        };
        self.table(&COLUMNS, vec![row; count as usize]);
    }

    fn table(&mut self, columns: &[&str], rows: Vec<Vec<u8>>) {
        self.tell(vec![columns.len() as u8]);
        columns
            .iter()
            .for_each(|name| self.tell(wire::column(name)));
        let keeps_eof = self.agreed & wire::DEPRECATE_EOF == 0;
        if keeps_eof {
            self.tell(wire::eof(self.status()));
        }
        rows.into_iter().for_each(|row| self.tell(row));
        if keeps_eof {
            self.tell(wire::eof(self.status()));
        } else {
            let done = self.done(0, 0);
            self.tell_done(wire::EOF, &done);
        }
    }

    fn commit(&mut self, witness: &mut Witness) {
        self.open = None;
        for token in self.writes.drain(..) {
            witness.commit(self.place.0, token);
        }
    }

    fn roll_back(&mut self) {
        self.open = None;
        self.writes.clear();
    }
}
