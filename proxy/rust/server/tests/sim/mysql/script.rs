//! What a scripted client of MySQL's may ask for next, and what it must be told.

use dbproxy_driver::sim::Random;

use super::judge::Judge;
use super::wire;
use crate::clients::NAMES;
use crate::witness::Token;

/// What one answer is an answer to.
#[derive(Clone, Debug)]
pub struct Expect {
    pub tokens: Vec<Token>,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Read,
    Write,
    /// It is rolled back with its transaction.
    Deadlock,
    Begin,
    Commit,
    Rollback,
    Sleep,
    /// A procedure that commits one token, sleeps, and commits the other.
    Call,
    /// Gives one of two variables that token as its value, or none.
    Set(usize),
    Unset(usize),
    Use(&'static str),
    Autocommit(bool),
    /// Sets a user variable, and asks for it.
    Assign,
    Recall,
    /// Takes a lock of the user's, gives it back.
    Lock,
    Unlock,
    /// Prepares a statement, or executes it.
    Prepare(usize),
    Execute(usize),
    Ping,
    ResetConnection,
    /// Fails on purpose.
    Broken,
}

/// What is prepared: the same by all clients, so that they may share it. Only the last one writes.
const PREPARED: [&str; 3] = [
    "SELECT ?",
    "SELECT LAST_INSERT_ID(), ?",
    "INSERT INTO t VALUES (?)",
];

impl Kind {
    /// What it does, whether prepared or not.
    pub fn plain(self) -> Self {
        match self {
            Self::Execute(which) if which + 1 == PREPARED.len() => Self::Write,
            Self::Execute(_) => Self::Read,
            other => other,
        }
    }

    /// The command by which it is asked for.
    pub fn command(self) -> u8 {
        match self {
            Self::Prepare(_) => wire::STMT_PREPARE,
            Self::Execute(_) => wire::STMT_EXECUTE,
            _ => wire::QUERY,
        }
    }
}

/// The two variables.
const VARIABLES: [&str; 2] = ["time_zone", "wait_timeout"];

pub struct Script<'a> {
    pub random: &'a mut Random,
    pub next_token: &'a mut Token,
    pub writes: bool,
    /// A query of its may have several statements.
    pub several: bool,
    pub judge: &'a Judge,
}

impl Script<'_> {
    /// The next request.
    pub fn next(mut self) -> (Vec<u8>, Expect) {
        let draw = self.random.below(100);
        if self.judge.is_open() {
            return match draw {
                0..=34 => self.plain("COMMIT", Kind::Commit),
                35..=44 => self.plain("ROLLBACK", Kind::Rollback),
                45..=49 => self.broken(),
                50..=64 => self.write(),
                65..=69 => self.set(),
                70..=74 => self.go(),
                75 => self.deadlock(),
                76..=77 => self.recall(),
                86..=87 => self.lock(),
                88..=93 => self.prepared(),
                78..=80 => self.ping(),
                81 => self.autocommit(),
                82 => self.reset(),
                83..=85 => self.sleep(),
                _ => self.read(),
            };
        }
        match draw {
            0..=19 => self.plain("BEGIN", Kind::Begin),
            20..=39 => self.write(),
            40..=44 => self.broken(),
            45..=49 => self.sleep(),
            50..=51 => self.big(),
            52..=61 => self.set(),
            62..=69 => self.go(),
            70..=72 => self.call(),
            73 => self.recall(),
            84..=86 => self.lock(),
            87..=93 => self.prepared(),
            74..=76 => self.autocommit(),
            77..=79 => self.ping(),
            80..=81 => self.reset(),
            82..=83 => self.plain("COMMIT", Kind::Commit),
            _ => self.read(),
        }
    }

    /// A request of a client that does nothing else.
    pub fn only_reads(mut self) -> (Vec<u8>, Expect) {
        self.read()
    }

    fn token(&mut self) -> Token {
        *self.next_token += 1;
        *self.next_token
    }

    fn plain(&mut self, sql: &str, kind: Kind) -> (Vec<u8>, Expect) {
        let expect = Expect {
            tokens: Vec::new(),
            kind,
        };
        (wire::query(sql), expect)
    }

    /// In the statement a `?` stands for the token.
    fn about(&mut self, sql: &str, kind: Kind) -> (Vec<u8>, Expect) {
        let token = self.token();
        let expect = Expect {
            tokens: vec![token],
            kind,
        };
        let sql = sql.replace('?', &format!("t{token}"));
        (wire::query(&sql), expect)
    }

    fn read(&mut self) -> (Vec<u8>, Expect) {
        match self.random.one_in(4) {
            true => self.about("SELECT LAST_INSERT_ID(), '?'", Kind::Read),
            false => self.about("SELECT '?'", Kind::Read),
        }
    }

    fn write(&mut self) -> (Vec<u8>, Expect) {
        if !self.writes {
            return self.read();
        }
        let insert = |token| format!("INSERT INTO t VALUES ('t{token}')");
        let mut tokens = vec![self.token()];
        let mut sql = insert(tokens[0]);
        if self.several && self.random.one_in(3) {
            tokens.push(self.token());
            sql = format!("{sql}; {}", insert(tokens[1]));
        }
        let kind = Kind::Write;
        (wire::query(&sql), Expect { tokens, kind })
    }

    fn deadlock(&mut self) -> (Vec<u8>, Expect) {
        match self.writes {
            true => self.about("INSERT INTO deadlock VALUES ('?')", Kind::Deadlock),
            false => self.read(),
        }
    }

    fn broken(&mut self) -> (Vec<u8>, Expect) {
        self.about("SELECT x FROM nowhere WHERE t = '?'", Kind::Broken)
    }

    fn big(&mut self) -> (Vec<u8>, Expect) {
        self.about("SELECT * FROM big WHERE t = '?'", Kind::Read)
    }

    fn sleep(&mut self) -> (Vec<u8>, Expect) {
        self.about("SELECT SLEEP(1), '?'", Kind::Sleep)
    }

    fn call(&mut self) -> (Vec<u8>, Expect) {
        if !self.writes || !self.judge.is_autocommit() {
            return self.sleep();
        }
        let tokens = vec![self.token(), self.token()];
        let sql = format!("CALL twice('t{}', 't{}')", tokens[0], tokens[1]);
        let kind = Kind::Call;
        (wire::query(&sql), Expect { tokens, kind })
    }

    fn set(&mut self) -> (Vec<u8>, Expect) {
        let which = self.random.index(VARIABLES.len());
        let name = VARIABLES[which];
        if self.random.one_in(4) {
            let sql = format!("SET {name} = DEFAULT /* ? */");
            return self.about(&sql, Kind::Unset(which));
        }
        match which {
            0 => self.about(&format!("SET {name} = '?'"), Kind::Set(which)),
            // It is a number.
            _ => {
                let number = *self.next_token + 1;
                let sql = format!("SET SESSION {name} = {number} /* ? */");
                self.about(&sql, Kind::Set(which))
            }
        }
    }

    fn go(&mut self) -> (Vec<u8>, Expect) {
        let name = NAMES[self.random.index(NAMES.len())];
        if self.random.one_in(2) {
            return self.about(&format!("USE {name} /* ? */"), Kind::Use(name));
        }
        let expect = Expect {
            tokens: Vec::new(),
            kind: Kind::Use(name),
        };
        (wire::command(wire::INIT_DB, name.as_bytes()), expect)
    }

    fn autocommit(&mut self) -> (Vec<u8>, Expect) {
        let on = !self.judge.is_autocommit();
        let sql = format!("SET autocommit = {} /* ? */", u8::from(on));
        self.about(&sql, Kind::Autocommit(on))
    }

    fn recall(&mut self) -> (Vec<u8>, Expect) {
        match self.random.one_in(2) {
            true => self.about("SET @a = '?'", Kind::Assign),
            false => self.about("SELECT @a, '?'", Kind::Recall),
        }
    }

    fn lock(&mut self) -> (Vec<u8>, Expect) {
        match self.judge.is_locking() {
            true => self.about("DO RELEASE_ALL_LOCKS() /* ? */", Kind::Unlock),
            false => self.about("SELECT GET_LOCK('l', 1), '?'", Kind::Lock),
        }
    }

    fn prepared(&mut self) -> (Vec<u8>, Expect) {
        let known = PREPARED.len() - usize::from(!self.writes);
        let which = self.random.index(known);
        let Some(statement) = self.judge.prepared(which) else {
            let expect = Expect {
                tokens: Vec::new(),
                kind: Kind::Prepare(which),
            };
            let text = PREPARED[which].as_bytes();
            return (wire::command(wire::STMT_PREPARE, text), expect);
        };
        let token = self.token();
        let mut body = statement.number.to_le_bytes().to_vec();
        body.extend([0, 1, 0, 0, 0, 0]);
        match statement.executed && self.random.one_in(2) {
            true => body.push(0),
            false => body.extend([1, 0xfd, 0]),
        }
        wire::put_text(&mut body, format!("t{token}").as_bytes());
        let expect = Expect {
            tokens: vec![token],
            kind: Kind::Execute(which),
        };
        (wire::command(wire::STMT_EXECUTE, &body), expect)
    }

    fn ping(&mut self) -> (Vec<u8>, Expect) {
        let expect = Expect {
            tokens: Vec::new(),
            kind: Kind::Ping,
        };
        (wire::command(wire::PING, &[]), expect)
    }

    fn reset(&mut self) -> (Vec<u8>, Expect) {
        let expect = Expect {
            tokens: Vec::new(),
            kind: Kind::ResetConnection,
        };
        (wire::command(wire::RESET_CONNECTION, &[]), expect)
    }
}
