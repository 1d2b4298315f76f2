//! A client that says anything, and a server that answers as a server does: each command is answered once, and
//! nobody else gets a backend that has something of this client's.

use dbproxy_engine::{KillReason, Release};

use crate::message::capability::SESSION_TRACK;
use crate::message::command;
use crate::message::frame::{self, Peek};

use super::server::Server;
use super::table::Table;
use super::view::packet;

/// What a client may say.
const TEXTS: [&str; 24] = [
    "SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT nonsense",
    "SELECT 1; SELECT nonsense; SELECT 1",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "INSERT INTO t VALUES (1)",
    "SET time_zone = '+01:00'",
    "SET time_zone = DEFAULT",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET @a = 1",
    "SELECT GET_LOCK('a', 0)",
    "SELECT RELEASE_ALL_LOCKS()",
    "CREATE TEMPORARY TABLE t (a int)",
    "DROP TEMPORARY TABLE t",
    "LOCK TABLES t READ",
    "UNLOCK TABLES",
    "PREPARE a FROM 'SELECT 1'",
    "DEALLOCATE PREPARE a",
    "SELECT LAST_INSERT_ID()",
    "SHOW WARNINGS",
    "CALL p()",
];
/// Besides texts.
const COMMANDS: [&[u8]; 6] = [
    &[command::PING],
    &[command::RESET_CONNECTION],
    &[command::STATISTICS],
    &[command::INIT_DB, b'a'],
    &[command::SHUTDOWN],
    &[],
];
/// A dialogue that doesn't end is one whose sides wait for each other.
const LONGEST: usize = 2000;

/// The first byte chooses what was agreed on. Two bytes a step: what is said, and how.
pub fn dialogue(input: &[u8]) {
    let (first, steps) = input.split_first().unwrap_or((&0, &[]));
    // Several statements are an error elsewhere.
    let first = first | 16;
    let whole = Dialogue::run(first, steps, usize::MAX);
    let dripped = Dialogue::run(first, steps, 1);
    for one in [&whole, &dripped] {
        let answered = one.table.is_answered() && one.table.answers() == one.asked;
        assert!(one.table.closed || answered, "{one:?}");
        let out_of_step = Release::Kill(KillReason::OutOfStep);
        let stepped_out = one.table.released.contains(&out_of_step);
        assert!(one.babbled || !stepped_out, "{one:?}");
    }
}

#[derive(Debug)]
struct Dialogue {
    first: u8,
    table: Table,
    server: Server,
    /// How much of what went to servers was read; how many there were, and were let go.
    read: usize,
    backends: usize,
    let_go: usize,
    /// Commands that are to be answered.
    asked: usize,
    /// The server says one packet more than it owes.
    babbles: bool,
    /// It has done so.
    babbled: bool,
}

impl Dialogue {
    fn run(first: u8, steps: &[u8], piece: usize) -> Self {
        let mut dialogue = Self {
            first,
            table: Table::new(first),
            server: Server::default(),
            read: 0,
            backends: 0,
            let_go: 0,
            asked: 0,
            babbles: false,
            babbled: false,
        };
        for step in steps.chunks_exact(2) {
            let [what, how] = *step else { continue };
            dialogue.babbles = how & 0xe0 == 0xe0;
            dialogue.say(&command(what), piece);
            if how & 0x1c == 0x1c {
                dialogue.table.lose();
                dialogue.answer(piece);
            }
        }
        dialogue
    }

    fn say(&mut self, bytes: &[u8], piece: usize) {
        if self.table.closed {
            return;
        }
        self.asked += 1;
        let held = self.table.link.is_some();
        self.with_table(|table| table.client(bytes, piece.min(bytes.len().max(1))));
        if held {
            self.check_release(false);
        }
        // Those that it had since and let go again heard nothing.
        self.let_go = self.table.released.len();
        self.answer(piece);
    }

    /// The server answers whatever it is asked, until it is asked nothing more.
    fn answer(&mut self, piece: usize) {
        for _ in 0..LONGEST {
            if self.table.backends > self.backends {
                let agreed = super::table::agreed(self.first).with(SESSION_TRACK);
                self.server = Server::new(self.table.is_mariadb(), agreed);
                (self.read, self.backends) = (self.table.begun, self.table.backends);
            }
            let unread = self.table.to_server.get(self.read..).unwrap_or_default();
            let Peek::Packet {
                sequence, total, ..
            } = frame::peek(unread)
            else {
                return;
            };
            let Some((kind, body)) = frame::body(unread, total).split_first() else {
                return;
            };
            let reply = self.server.reply(*kind, body, sequence);
            self.read += total;
            if self.table.link.is_none() {
                continue;
            }
            let mut reply = reply;
            // Else it would be the answer to what is asked behind.
            let is_last = self.table.to_server.len() == self.read;
            let babbles = is_last && std::mem::take(&mut self.babbles) && !reply.is_empty();
            if babbles {
                self.babbled = true;
                reply.extend(packet(1, &[0; 7]));
            }
            self.with_table(|table| table.server(&reply, piece.min(reply.len().max(1))));
            self.check_release(babbles && piece > 1);
            self.let_go = self.table.released.len();
        }
        unreachable!("neither side comes to an end: {self:?}");
    }

    /// Nobody else gets a connection that has something of this client's, or that is out of step.
    fn check_release(&self, babbled: bool) {
        let Some(release) = self.table.released.get(self.let_go) else {
            return;
        };
        let shared = !matches!(release, Release::Kill(_));
        assert!(!(shared && babbled), "{self:?}");
        // A reset takes all the rest.
        if *release == Release::Clean && !self.table.closed {
            assert_eq!(self.server.holds, [false; 4], "{self:?}");
            assert!(!self.server.in_transaction(), "{self:?}");
        }
    }

    fn with_table(&mut self, change: impl FnOnce(Table) -> Table) {
        let table = std::mem::replace(&mut self.table, Table::new(self.first));
        self.table = change(table);
    }
}

fn command(what: u8) -> Vec<u8> {
    let what = usize::from(what) % (TEXTS.len() + COMMANDS.len());
    match TEXTS.get(what) {
        Some(text) => packet(0, &[&[command::QUERY], text.as_bytes()].concat()),
        None => packet(
            0,
            COMMANDS
                .get(what - TEXTS.len())
                .copied()
                .unwrap_or_default(),
        ),
    }
}
