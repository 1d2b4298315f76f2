//! What a scripted client may ask for next, and what it must be told.

use std::collections::BTreeMap;

use dbproxy_driver::sim::Random;

use crate::postgres::holding::Holding;
use crate::postgres::judge::Judge;
use crate::postgres::prepared::Prepared;
use crate::postgres::wire;
use crate::witness::Token;

/// What one answer, up to its ReadyForQuery, is an answer to.
#[derive(Clone, Debug)]
pub struct Expect {
    pub tokens: Vec<Token>,
    pub kind: Kind,
    /// Parse messages in the request.
    pub parses: usize,
}

/// What a client calls its statements, and what it had set when it parsed them.
pub type Names = BTreeMap<&'static str, Option<String>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Read,
    Write,
    /// Reads a view that writes.
    Pop,
    Begin,
    Commit,
    Rollback,
    CopyIn {
        fails: bool,
    },
    CopyOut,
    Sleep,
    /// A procedure that commits one token, sleeps, and commits the other.
    Call,
    /// Listens to a channel, ends that for one or all, notifies one.
    Listen(&'static str),
    Unlisten(&'static str),
    Notify(&'static str),
    /// Gives its setting that token as its value, or none.
    Set,
    Reset,
    /// The same for the transaction only.
    SetLocal,
    /// Asks what its own last insert moved the sequence to.
    Sequence,
    /// What binds it to its session, and what may unbind it.
    Lock,
    TryLock,
    Unlock,
    Declare,
    Fetch,
    Close,
    /// Prepares, uses, or deallocates a statement by SQL. `shaped`: it has a literal.
    Prepare {
        name: &'static str,
        shaped: bool,
    },
    Execute(&'static str),
    Deallocate(&'static str),
    DeallocateAll,
    /// Fails on purpose.
    Broken,
}

/// One turn of a script: bytes, and the answers they must get.
pub struct Request {
    pub bytes: Vec<u8>,
    pub expects: Vec<Expect>,
}

/// What the client is in the middle of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    Idle,
    Transaction,
    Failed,
}

pub struct Script<'a> {
    pub random: &'a mut Random,
    pub next_token: &'a mut Token,
    pub writes: bool,
    /// What was parsed, so far as nothing was refused.
    pub names: &'a mut Names,
    /// What the client has set.
    pub setting: &'a str,
    /// What the client holds.
    pub holding: &'a Holding,
    /// What it has prepared by SQL.
    pub prepared: &'a Prepared,
    /// Made by a request that isn't answered: if it is refused, the client has what it had.
    pub unsure: Vec<&'static str>,
    parses: usize,
    pub bytes: Vec<u8>,
    expects: Vec<Expect>,
}

impl<'a> Script<'a> {
    pub fn new(
        random: &'a mut Random,
        next_token: &'a mut Token,
        writes: bool,
        names: &'a mut Names,
        judge: &'a Judge,
    ) -> Self {
        let (bytes, expects) = (Vec::new(), Vec::new());
        Self {
            random,
            next_token,
            writes,
            names,
            setting: judge.setting(),
            holding: judge.holding(),
            prepared: judge.prepared(),
            unsure: Vec::new(),
            parses: 0,
            bytes,
            expects,
        }
    }

    /// The next request of a client in that mood.
    pub fn next(mut self, mood: Mood) -> Request {
        match (mood, self.random.below(100)) {
            (Mood::Failed, 0..=19) => self.read(),
            (Mood::Failed, 20..=59) => self.plain("COMMIT", Kind::Commit),
            (Mood::Failed, _) => self.plain("ROLLBACK", Kind::Rollback),
            (Mood::Transaction, 0..=34) => self.plain("COMMIT", Kind::Commit),
            (Mood::Transaction, 35..=44) => self.plain("ROLLBACK", Kind::Rollback),
            (Mood::Transaction, 45..=49) => self.broken(),
            (Mood::Transaction, 50..=59) => self.copy_in(),
            (Mood::Transaction, 60..=69) => self.write(),
            (Mood::Transaction, 70..=76) => self.listening(),
            (Mood::Transaction, 77..=81) => self.last_value(),
            (Mood::Transaction, 82..=84) => self.set(),
            (Mood::Transaction, 85..=87) => self.set_local(),
            (Mood::Transaction, 88..=93) => self.named(),
            (Mood::Transaction, 94..=97) => self.hold(mood),
            (Mood::Transaction, _) => self.read(),
            (Mood::Idle, 0..=24) => self.plain("BEGIN", Kind::Begin),
            (Mood::Idle, 25..=39) => self.write(),
            (Mood::Idle, 40..=44) => self.copy_in(),
            (Mood::Idle, 45..=49) => self.copy_out(),
            (Mood::Idle, 50..=54) => self.broken(),
            (Mood::Idle, 55..=59) => self.sleep(),
            (Mood::Idle, 60..=62) => self.big(),
            (Mood::Idle, 63..=64 | 87..=92) => self.listening(),
            (Mood::Idle, 65..=67 | 85..=86) => self.named(),
            (Mood::Idle, 93..=96) => self.hold(mood),
            (Mood::Idle, 68) => self.last_value(),
            (Mood::Idle, 69..=71) => self.call(),
            (Mood::Idle, 72..=79) => {
                for _ in 0..self.random.between(2, 6) {
                    match self.random.below(6) {
                        0 => self.write(),
                        1 => self.broken(),
                        2 => self.named(),
                        3 => self.listening(),
                        _ => self.read(),
                    }
                }
            }
            (Mood::Idle, 80..=84) => self.set(),
            (Mood::Idle, _) => self.read(),
        }
        Request {
            bytes: self.bytes,
            expects: self.expects,
        }
    }

    /// A request of a client that does nothing else.
    pub fn only_reads(mut self) -> Request {
        self.read();
        Request {
            bytes: self.bytes,
            expects: self.expects,
        }
    }

    pub fn token(&mut self) -> Token {
        *self.next_token += 1;
        *self.next_token
    }

    pub fn simple(&mut self, sql: &str) {
        self.bytes.extend(wire::query(sql));
    }

    pub fn sync(&mut self) {
        self.bytes.extend(wire::sync());
    }

    pub fn expect(&mut self, tokens: Vec<Token>, kind: Kind) {
        let parses = std::mem::take(&mut self.parses);
        self.expects.push(Expect {
            tokens,
            kind,
            parses,
        });
    }

    fn plain(&mut self, sql: &str, kind: Kind) {
        if self.random.one_in(3) {
            self.extended(sql, false);
            self.sync();
        } else {
            self.simple(sql);
        }
        self.expect(Vec::new(), kind);
    }

    pub fn extended(&mut self, sql: &str, rows: bool) {
        self.parse("", sql);
        self.bytes.extend(wire::bind("", None));
        if rows {
            self.bytes.extend(wire::describe_portal());
        }
        self.bytes.extend(wire::execute());
    }

    fn read(&mut self) {
        let token = self.token();
        let sql = format!("SELECT 't{token}'");
        if self.random.one_in(2) {
            self.simple(&sql);
        } else {
            self.extended(&sql, true);
            self.sync();
        }
        self.expect(vec![token], Kind::Read);
    }

    fn write(&mut self) {
        if !self.writes {
            return self.read();
        }
        if self.random.one_in(5) {
            return self.pop();
        }
        let insert = |token| format!("INSERT INTO t VALUES ('t{token}') RETURNING session");
        let mut tokens = vec![self.token()];
        match self.random.below(3) {
            0 => self.simple(&insert(tokens[0])),
            1 => {
                tokens.push(self.token());
                let both: Vec<String> = tokens.iter().map(|token| insert(*token)).collect();
                self.simple(&both.join("; "));
            }
            _ => {
                for _ in 0..self.random.below(3) {
                    tokens.push(self.token());
                }
                for token in &tokens {
                    self.extended(&insert(*token), true);
                }
                self.sync();
            }
        }
        self.expect(tokens, Kind::Write);
    }

    fn pop(&mut self) {
        let token = self.token();
        let sql = format!("SELECT * FROM pops WHERE t = 't{token}'");
        if self.random.one_in(2) {
            self.simple(&sql);
        } else {
            self.extended(&sql, true);
            self.sync();
        }
        self.expect(vec![token], Kind::Pop);
    }

    fn broken(&mut self) {
        let token = self.token();
        let sql = format!("SELECT x FROM nowhere WHERE t = 't{token}'");
        if self.random.one_in(2) {
            self.simple(&sql);
        } else {
            self.extended(&sql, true);
            // Skipped, since the first one fails.
            self.extended(&format!("SELECT 't{token}'"), true);
            self.sync();
        }
        self.expect(vec![token], Kind::Broken);
    }

    fn big(&mut self) {
        let token = self.token();
        self.simple(&format!("SELECT * FROM big WHERE t = 't{token}'"));
        self.expect(vec![token], Kind::Read);
    }

    fn sleep(&mut self) {
        let token = self.token();
        self.simple(&format!("SELECT pg_sleep(1), 't{token}'"));
        self.expect(vec![token], Kind::Sleep);
    }

    fn set(&mut self) {
        let token = self.token();
        let (sql, kind) = match self.random.one_in(4) {
            true => (format!("RESET geqo_threshold /* t{token} */"), Kind::Reset),
            false => (format!("SET geqo_threshold = 't{token}'"), Kind::Set),
        };
        if self.random.one_in(2) {
            self.simple(&sql);
        } else {
            self.extended(&sql, false);
            self.sync();
        }
        self.expect(vec![token], kind);
    }

    fn set_local(&mut self) {
        let token = self.token();
        self.simple(&format!("SET LOCAL geqo_threshold = 't{token}'"));
        self.expect(vec![token], Kind::SetLocal);
    }

    fn call(&mut self) {
        if !self.writes {
            return self.sleep();
        }
        let tokens = vec![self.token(), self.token()];
        self.simple(&format!("CALL twice('t{}', 't{}')", tokens[0], tokens[1]));
        self.expect(tokens, Kind::Call);
    }

    fn last_value(&mut self) {
        let token = self.token();
        let sql = format!("SELECT lastval(), 't{token}'");
        if self.random.one_in(2) {
            self.simple(&sql);
        } else {
            self.extended(&sql, true);
            self.sync();
        }
        self.expect(vec![token], Kind::Sequence);
    }

    pub fn parse(&mut self, name: &str, sql: &str) {
        self.parses += 1;
        self.bytes.extend(wire::parse(name, sql));
    }

    fn copy_in(&mut self) {
        if !self.writes {
            return self.read();
        }
        let token = self.token();
        self.simple(&format!("COPY t{token} FROM STDIN"));
        let fails = self.random.one_in(4);
        self.expect(vec![token], Kind::CopyIn { fails });
    }

    fn copy_out(&mut self) {
        let token = self.token();
        self.simple(&format!("COPY (SELECT 't{token}') TO STDOUT"));
        self.expect(vec![token], Kind::CopyOut);
    }
}
