//! One session of the model PostgreSQL: just enough of its semantics for what the scripts send.
//!
//! Every row carries the session's name, the request's token, who last changed the session's state, and
//! the value of its one setting, so that a client can tell another's rows or state from its own.

mod channels;
mod holding;
mod prepared;
mod statements;

use channels::Channels;
use holding::Holding;
pub use statements::INIT_QUERY;

use std::collections::{BTreeMap, VecDeque};

use dbproxy_driver::Time;

use crate::notes::Note;
use crate::postgres::wire;
use crate::witness::{Token, Witness};

/// The columns of every result.
const COLUMNS: [&str; 4] = ["session", "token", "owner", "setting"];
const PID_BASE: u32 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Status {
    Idle,
    Transaction,
    Failed,
}

impl Status {
    fn letter(self) -> u8 {
        match self {
            Status::Idle => b'I',
            Status::Transaction => b'T',
            Status::Failed => b'E',
        }
    }
}

pub struct Session {
    /// What is to be sent.
    pub out: Vec<u8>,
    database: usize,
    /// Which of the server's doors it came through.
    door: usize,
    /// The database name that was logged in to.
    database_name: String,
    number: u64,
    secret: u32,
    inbox: Vec<u8>,
    status: Status,
    /// Its transaction said that it only reads.
    reads_only: bool,
    /// Inserted, not committed.
    writes: Vec<Token>,
    /// Who last changed this session's state.
    owner: String,
    /// The setting, and what a ROLLBACK makes it again.
    setting: String,
    committed: String,
    /// What the end of its transaction makes it again, and what a savepoint keeps.
    outside: Option<String>,
    savepoint: Option<(String, Option<String>)>,
    channels: Channels,
    /// What it has notified since it was asked last, and by which process.
    pub published: Vec<(u32, Note)>,
    /// A request has begun that isn't answered.
    answering: bool,
    holding: Holding,
    /// Whose insert moved the sequence of the table last.
    sequence: Option<Token>,
    /// The init query ran since the last DISCARD.
    initialised: bool,
    statements: BTreeMap<String, prepared::Statement>,
    /// Clients aren't told of what is bound.
    aside: bool,
    portal: Option<(String, Option<String>)>,
    /// After an error in the extended protocol.
    skipping: bool,
    copying_in: Option<Token>,
    /// The answer since the last ReadyForQuery, and whose it is.
    batch: Vec<u8>,
    batch_token: Option<Token>,
    /// Statements of the current Query that are still to run.
    pending: VecDeque<String>,
    sleeping: Option<(Time, Token)>,
    /// What a procedure that sleeps between two commits inserts then.
    calling: Option<Token>,
    /// How many statements it was asked to describe that were made by SQL, and which takes its time.
    described: u64,
    describing: Option<String>,
    /// Sends rows until it is cancelled.
    endless: Option<Token>,
    cancelled: bool,
}

impl Session {
    pub fn new(
        (database, door): (usize, usize),
        database_name: String,
        number: u64,
        secret: u32,
    ) -> Self {
        Self {
            out: Vec::new(),
            database,
            door,
            database_name,
            number,
            secret,
            inbox: Vec::new(),
            status: Status::Idle,
            reads_only: false,
            writes: Vec::new(),
            owner: "-".into(),
            setting: "-".into(),
            committed: "-".into(),
            outside: None,
            savepoint: None,
            channels: Channels::default(),
            published: Vec::new(),
            answering: false,
            holding: Holding::default(),
            sequence: None,
            initialised: false,
            statements: BTreeMap::new(),
            aside: false,
            portal: None,
            skipping: false,
            copying_in: None,
            batch: Vec::new(),
            batch_token: None,
            pending: VecDeque::new(),
            sleeping: None,
            calling: None,
            described: 0,
            describing: None,
            endless: None,
            cancelled: false,
        }
    }

    pub fn welcome(&mut self, standby: bool) -> Vec<u8> {
        let mut bytes = wire::message(b'R', &[0, 0, 0, 0]);
        for (name, value) in [
            ("in_hot_standby", if standby { "on" } else { "off" }),
            ("server_version", "17.0"),
            ("client_encoding", "UTF8"),
            ("standard_conforming_strings", "on"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("integer_datetimes", "on"),
        ] {
            bytes.extend(wire::message(b'S', &wire::texts(&[name, value])));
        }
        let key = [self.pid().to_be_bytes(), self.secret.to_be_bytes()].concat();
        bytes.extend(wire::message(b'K', &key));
        bytes.extend(wire::ready(b'I'));
        bytes
    }

    fn pid(&self) -> u32 {
        PID_BASE + self.number as u32
    }

    pub fn is(&self, pid: u32, secret: u32) -> bool {
        (self.pid(), self.secret) == (pid, secret)
    }

    pub fn busy_until(&self) -> Option<Time> {
        self.sleeping.map(|(until, _)| until)
    }

    /// Says whether something was running.
    pub fn cancel(&mut self) -> bool {
        if self.endless.take().is_some() {
            self.give_up();
            return true;
        }
        self.cancelled = self.sleeping.is_some();
        if let Some((until, _)) = &mut self.sleeping {
            *until = Time(0);
        }
        self.cancelled
    }

    /// Takes in bytes and time; false when the session is over.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        now: Time,
        read_only: bool,
        witness: &mut Witness,
    ) -> bool {
        self.inbox.extend(bytes);
        let goes_on = self.go_on(now, read_only, witness);
        if let Some(token) = self.batch_token {
            witness.partial.insert(token, self.batch.clone());
        }
        goes_on
    }

    fn go_on(&mut self, now: Time, read_only: bool, witness: &mut Witness) -> bool {
        loop {
            if let Some((until, token)) = self.sleeping {
                if until > now {
                    return true;
                }
                self.wake_up(token, witness);
            }
            while let Some(sql) = self.pending.pop_front() {
                self.simple(&sql, now, read_only, witness);
                if self.sleeping.is_some() || self.copying_in.is_some() || self.is_endless() {
                    break;
                }
                if self.pending.is_empty() {
                    self.ready(witness);
                }
            }
            if self.sleeping.is_some() {
                continue;
            }
            if self.is_endless() {
                return true;
            }
            let Some(message) = wire::take_message(&mut self.inbox) else {
                return true;
            };
            if !self.handle(&message, now, read_only, witness) {
                return false;
            }
        }
    }

    fn wake_up(&mut self, token: Token, witness: &mut Witness) {
        self.sleeping = None;
        if let Some(name) = self.describing.take() {
            let cancelled = std::mem::take(&mut self.cancelled);
            return self.describe_at_last(&name, cancelled);
        }
        let second = self.calling.take();
        if std::mem::take(&mut self.cancelled) {
            return self.give_up();
        }
        if let Some(second) = second {
            self.writes.push(second);
            self.commit(witness);
            self.complete("CALL");
        } else {
            self.rows(token, 1, true);
            self.complete("SELECT 1");
        }
        // Its ReadyForQuery follows as after any other Query.
        if self.pending.is_empty() {
            self.pending.push_back(String::new());
        }
    }

    /// The statement that runs was cancelled.
    fn give_up(&mut self) {
        self.fail("57014", "db: canceling statement due to user request");
        self.pending.clear();
        self.pending.push_back(String::new());
    }

    pub fn is_endless(&self) -> bool {
        self.endless.is_some()
    }

    /// The next rows of a result without an end.
    pub fn more_rows(&self) -> Vec<u8> {
        let token = format!("t{}", self.endless.unwrap_or_default());
        let row = wire::data_row(&[&self.name(), &token, &self.owner, &self.setting]);
        row.repeat(200)
    }

    fn handle(
        &mut self,
        message: &[u8],
        now: Time,
        read_only: bool,
        witness: &mut Witness,
    ) -> bool {
        let body = message.get(5..).unwrap_or_default();
        self.answering = true;
        match message[0] {
            b'X' => return false,
            b'Q' => {
                self.skipping = false;
                let parts = wire::text_at(body).split(';').map(str::trim);
                self.pending = parts
                    .filter(|sql| !sql.is_empty())
                    .map(Into::into)
                    .collect();
                if self.pending.is_empty() {
                    self.emit(wire::message(b'I', &[]));
                    self.ready(witness);
                }
            }
            b'S' if self.copying_in.is_none() => {
                self.skipping = false;
                if self.status == Status::Idle {
                    self.commit(witness);
                }
                self.ready(witness);
            }
            b'd' | b'c' | b'f' => self.copy_data(message, witness),
            _ if self.skipping || self.copying_in.is_some() => {}
            b'P' => {
                self.parse(body, witness);
            }
            b'C' => {
                if body.first() == Some(&b'S') {
                    self.statements.remove(wire::text_at(&body[1..]));
                }
                self.out.extend(wire::message(b'3', &[]));
            }
            b'B' => self.bind(body, witness),
            b'D' if body.first() == Some(&b'S') => {
                self.describe(wire::text_at(&body[1..]), now);
            }
            b'D' => self.emit(wire::row_description(&COLUMNS)),
            b'E' => self.execute(now, read_only, witness),
            b'H' => {}
            other => {
                witness.violation(format!("db{} got a message {other:?}", self.database));
                return false;
            }
        }
        true
    }

    fn execute(&mut self, now: Time, read_only: bool, witness: &mut Witness) {
        let Some((sql, parameter)) = self.portal.clone() else {
            self.skipping = true;
            self.fail("34000", "db: no such portal");
            return;
        };
        let sql = prepared::with(&sql, parameter.as_deref());
        let told = self.batch.len();
        if !self.run(&sql, false, now, read_only, witness) {
            self.skipping = true;
        }
        if self.aside {
            self.batch.truncate(told);
        }
    }

    /// A statement of a Query; without an explicit transaction each commits by itself.
    fn simple(&mut self, sql: &str, now: Time, read_only: bool, witness: &mut Witness) {
        if sql.is_empty() {
            return;
        }
        let before = self.status;
        if !self.run(sql, true, now, read_only, witness) {
            self.pending.clear();
        } else if self.status == Status::Idle && before == Status::Idle && self.pending.is_empty() {
            self.commit(witness);
        }
    }

    fn begin(&mut self, token: Option<Token>, witness: &mut Witness) {
        if let Some(token) = token {
            let place = (self.database, self.door);
            witness.executed(place, token, &self.database_name);
            if witness.initialised && !self.initialised {
                let session = self.name();
                witness.violation(format!("t{token} ran in {session} before the init query"));
            }
            self.batch_token.get_or_insert(token);
        }
    }

    fn emit(&mut self, bytes: Vec<u8>) {
        self.out.extend(&bytes);
        self.batch.extend(bytes);
    }

    fn ready(&mut self, witness: &mut Witness) {
        let bytes = std::mem::take(&mut self.batch);
        if let Some(token) = self.batch_token.take() {
            witness.answered_by(self.database, token, bytes);
        }
        if self.status == Status::Idle {
            self.tell_heard();
        }
        self.answering = false;
        self.out.extend(wire::ready(self.status.letter()));
    }
}
