//! A client that says anything, and a server that answers as a server does: it holds what sessions
//! hold, and forgets it with the transaction.

use dbproxy_engine::{KillReason, Release};

use super::Table;

/// What a client may say, and what of it outlives its transaction.
const TEXTS: [&str; 24] = [
    "SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1/0",
    "SELECT 1; SELECT 1/0",
    "",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "INSERT INTO t VALUES (1)",
    "SET work_mem TO '3MB'",
    "SET LOCAL work_mem TO '5MB'",
    "RESET ALL",
    "DISCARD ALL",
    "SET my.tenant TO '5'",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_unlock_all()",
    "LISTEN a",
    "UNLISTEN *",
    "CREATE TEMP TABLE t (a int)",
    "DROP TABLE t",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "CLOSE ALL",
];
/// A dialogue that doesn't end is one whose sides wait for each other.
const LONGEST: usize = 2000;

/// Two bytes a step: what is said, and how.
pub fn dialogue(input: &[u8]) {
    let whole = Dialogue::run(input, usize::MAX);
    let dripped = Dialogue::run(input, 1);
    for one in [&whole, &dripped] {
        let lost = one.table.closed || one.cut;
        assert!(lost || one.table.answers() == one.asked, "{one:?}");
        let out_of_step = Release::Kill(KillReason::OutOfStep);
        assert!(!one.table.released.contains(&out_of_step), "{one:?}");
    }
}

#[derive(Debug)]
struct Dialogue {
    table: Table,
    server: Server,
    /// How much of what went to servers was read; how many there were, and were let go.
    read: usize,
    backends: usize,
    let_go: usize,
    /// Requests that are to be answered.
    asked: usize,
    cut: bool,
}

impl Dialogue {
    fn run(input: &[u8], piece: usize) -> Self {
        let mut dialogue = Self {
            table: Table::new(),
            server: Server::default(),
            read: 0,
            backends: 0,
            let_go: 0,
            asked: 0,
            cut: false,
        };
        let mut said = Vec::new();
        for step in input.chunks_exact(2) {
            let [what, how] = *step else { continue };
            let text = TEXTS.get(usize::from(what) % TEXTS.len()).unwrap_or(&"");
            dialogue.asked += 1;
            said.extend(if how & 1 == 0 {
                message(b'Q', &[text.as_bytes(), b"\0"].concat())
            } else {
                batch(text)
            });
            // Some come together with what follows.
            if how & 6 != 0 {
                dialogue.say(&std::mem::take(&mut said), piece);
            }
            if how & 0xf0 == 0xf0 {
                dialogue.table.lose();
                dialogue.answer(piece);
            }
        }
        dialogue.say(&said, piece);
        dialogue
    }

    fn say(&mut self, bytes: &[u8], piece: usize) {
        self.with_table(|table| table.client(bytes, piece.min(bytes.len().max(1))));
        self.answer(piece);
    }

    /// The server answers whatever it is asked, until it is asked nothing more.
    fn answer(&mut self, piece: usize) {
        for _ in 0..LONGEST {
            if self.table.backends > self.backends {
                (self.read, self.server) = (self.table.begun, Server::default());
                self.backends = self.table.backends;
            }
            let unread = self.table.to_server.get(self.read..).unwrap_or_default();
            let Some((tag, body, length)) = first(unread) else {
                return;
            };
            let reply = self.server.reply(tag, body);
            self.read += length;
            if self.table.link.is_some() {
                self.with_table(|table| table.server(&reply, piece.min(reply.len().max(1))));
            }
            if self.table.released.len() > self.let_go {
                self.let_go = self.table.released.len();
                self.check_release();
            }
        }
        unreachable!("neither side comes to an end: {self:?}");
    }

    /// Nobody else gets a connection that holds something of this client's. One that listens is cleaned
    /// before.
    fn check_release(&self) {
        let last = self.table.released.last();
        let shared = !matches!(last, Some(Release::Kill(_)));
        if shared && !self.table.closed {
            let [locks, cursor, listens, temporary] = self.server.holds;
            let listens = listens && last != Some(&Release::Reset);
            assert_eq!([locks, cursor, listens, temporary], [false; 4], "{self:?}");
            assert_eq!(self.server.status, b'I', "{self:?}");
        }
    }

    fn with_table(&mut self, change: impl FnOnce(Table) -> Table) {
        let table = std::mem::replace(&mut self.table, Table::new());
        self.table = change(table);
    }
}

/// A server's end of one connection.
#[derive(Debug)]
struct Server {
    status: u8,
    /// Extended messages are thrown away up to the next Sync.
    skips: bool,
    text: Vec<u8>,
    /// An advisory lock, a held cursor, a LISTEN, a temporary object: what it has, and had before the
    /// transaction.
    holds: [bool; 4],
    before: [bool; 4],
    implicit: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            status: b'I',
            skips: false,
            text: Vec::new(),
            holds: [false; 4],
            before: [false; 4],
            implicit: false,
        }
    }
}

impl Server {
    fn reply(&mut self, tag: u8, body: &[u8]) -> Vec<u8> {
        match tag {
            b'Q' => {
                let text = body.strip_suffix(b"\0").unwrap_or(body).to_vec();
                let mut out = self.run(&text);
                if out.is_empty() {
                    out = message(b'I', b"");
                }
                self.end(out)
            }
            b'S' => {
                self.skips = false;
                self.end(Vec::new())
            }
            _ if self.skips => Vec::new(),
            b'P' => {
                let mut parts = body.splitn(3, |byte| *byte == 0);
                self.text = parts.nth(1).unwrap_or_default().to_vec();
                if self.text.contains(&b';') {
                    self.skips = true;
                    return self.fail("42601");
                }
                message(b'1', b"")
            }
            b'B' => message(b'2', b""),
            b'C' => message(b'3', b""),
            b'E' => {
                let text = std::mem::take(&mut self.text);
                let out = self.run(&text);
                self.skips = out.first() == Some(&b'E');
                if out.is_empty() {
                    return message(b'I', b"");
                }
                out
            }
            _ => Vec::new(),
        }
    }

    /// Ends a request, and with it what was not in a transaction of its own.
    fn end(&mut self, mut out: Vec<u8>) -> Vec<u8> {
        self.implicit = false;
        out.extend(message(b'Z', &[self.status]));
        out
    }

    fn run(&mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for statement in text.split(|byte| *byte == b';') {
            let statement = String::from_utf8_lossy(statement);
            if statement.trim().is_empty() {
                continue;
            }
            match self.statement(statement.trim()) {
                Ok(tag) => out.extend(message(b'C', &[tag.as_bytes(), b"\0"].concat())),
                Err(code) => {
                    out.extend(self.fail(code));
                    break;
                }
            }
        }
        out
    }

    /// An error undoes all but a lock.
    fn fail(&mut self, code: &str) -> Vec<u8> {
        if self.status == b'I' {
            self.undo();
        } else {
            self.status = b'E';
        }
        let fields = format!("SERROR\0VERROR\0C{code}\0Mno\0\0");
        message(b'E', fields.as_bytes())
    }

    fn undo(&mut self) {
        let lock = self.holds;
        self.holds = self.before;
        if let (Some(now), [locked, ..]) = (self.holds.first_mut(), lock) {
            *now = locked;
        }
    }

    fn statement(&mut self, text: &str) -> Result<String, &'static str> {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if !self.implicit && self.status == b'I' {
            self.before = self.holds;
        }
        self.implicit = true;
        let ends = matches!((first, second), ("ROLLBACK" | "COMMIT", _));
        if self.status == b'E' && !ends {
            return Err("25P02");
        }
        let tag = match (first, second) {
            ("BEGIN", _) => {
                self.status = b'T';
                "BEGIN"
            }
            ("ROLLBACK", "TO") => return Err("3B001"),
            ("ROLLBACK" | "COMMIT", _) => {
                let undone = first == "ROLLBACK" || self.status == b'E';
                if undone && self.status != b'I' {
                    self.undo();
                }
                self.status = b'I';
                self.before = self.holds;
                if undone {
                    "ROLLBACK"
                } else {
                    "COMMIT"
                }
            }
            ("SAVEPOINT", _) if self.status == b'I' => return Err("25P01"),
            ("DISCARD", "ALL") if self.status == b'T' => return Err("25001"),
            ("SELECT", "1/0") => return Err("22012"),
            _ => return Ok(self.holding(first, second, text)),
        };
        Ok(tag.to_owned())
    }

    /// What a statement takes, gives back or asks for; its command tag.
    fn holding(&mut self, first: &str, second: &str, text: &str) -> String {
        let [lock, cursor, listen, table] = &mut self.holds;
        let rows = |held: &bool| if *held { "SELECT 1" } else { "SELECT 0" };
        match (first, second) {
            ("SELECT", "pg_advisory_lock(1)") => *lock = true,
            ("SELECT", "pg_advisory_unlock_all()") => *lock = false,
            ("LISTEN", _) => *listen = true,
            ("UNLISTEN", _) => *listen = false,
            ("CREATE", _) => *table = true,
            ("DROP", _) => *table = false,
            ("DECLARE", _) => *cursor = true,
            ("CLOSE", _) => *cursor = false,
            ("DISCARD", "ALL") => self.holds = [false; 4],
            _ => {}
        }
        let [lock, cursor, listen, table] = &self.holds;
        let tag = match (first, second) {
            ("SELECT", "FROM") if text.contains("pg_lock_status") => rows(lock),
            ("SELECT", "FROM") if text.contains("pg_cursor") => rows(cursor),
            ("SELECT", "FROM") if text.contains("pg_listening") => rows(listen),
            ("SELECT", "FROM") => rows(table),
            ("SELECT", _) => "SELECT 1",
            ("CREATE", _) => "CREATE TABLE",
            ("DROP", _) => "DROP TABLE",
            ("DECLARE", _) => "DECLARE CURSOR",
            ("CLOSE", _) => "CLOSE CURSOR ALL",
            ("INSERT", _) => "INSERT 0 1",
            ("DISCARD", "ALL") => "DISCARD ALL",
            ("DISCARD", _) => "DISCARD SEQUENCES",
            _ => first,
        };
        tag.to_owned()
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag][..], &length, body].concat()
}

fn batch(text: &str) -> Vec<u8> {
    let parse = message(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat());
    let bind = message(b'B', &[0; 8]);
    let execute = message(b'E', &[0; 5]);
    [parse, bind, execute, message(b'S', b"")].concat()
}

/// The first message: its tag and body, and how long all of it is.
fn first(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (tag, rest) = bytes.split_first()?;
    let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    Some((*tag, rest.get(4..length)?, length + 1))
}
