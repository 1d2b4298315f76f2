//! A scripted client of MySQL's.

use std::fmt;

use dbproxy_driver::sim::Random;

use super::judge::Judge;
use super::login::{Killer, Login};
use super::script::{Kind, Script};
use super::wire;
use crate::speaker::{Asked, File, LoggingIn};
use crate::witness::{Class, Witness, PER_CLIENT};

/// What a log-in may be refused with: no room, shutdown, nobody there.
const REFUSALS: [u16; 6] = [1040, 1053, 1105, 1203, 9501, 1159];

pub struct Speaker {
    id: u64,
    class: Class,
    login: Login,
    /// It may end its statement by another connection.
    may_kill: bool,
    judge: Judge,
    next_token: u64,
}

impl fmt::Debug for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.judge.fmt(f)
    }
}

impl crate::speaker::Speaker for Speaker {
    type Canceller = Killer;

    fn new(id: u64, class: Class) -> Self {
        // Whether it hears what changes in its session is its own matter.
        let login = Login::new(class, id & 1 == 0);
        Self {
            id,
            class,
            may_kill: true,
            judge: Judge::new(id, class.database, login.agreed),
            login,
            next_token: id * PER_CLIENT,
        }
    }

    fn begin(&mut self) {
        self.login.thread = None;
        self.may_kill = true;
        self.judge = Judge::new(self.id, self.class.database, self.login.agreed);
    }

    fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        wire::take_packet(buffer)
    }

    fn readable(&self, message: &[u8]) -> Option<String> {
        let first = wire::payload(message).first();
        let telling = matches!(first, Some(&(wire::OK | wire::EOF | wire::ERROR)));
        telling.then(|| wire::readable(message))
    }

    fn hello(&self) -> Vec<u8> {
        Vec::new()
    }

    fn log_in(&mut self, message: &[u8], witness: &mut Witness) -> LoggingIn {
        let payload = wire::payload(message);
        if payload.first() != Some(&wire::ERROR) {
            return self.login.hear(message);
        }
        let (code, text) = wire::error_fields(payload);
        witness.refused += 1;
        if !REFUSALS.contains(&code) {
            witness.violation(format!("client {}: log-in {code} {text}", self.id));
        }
        LoggingIn::Waits
    }

    fn ask(&mut self, random: &mut Random, only_reads: bool, _: &Witness) -> Asked {
        let script = Script {
            random,
            next_token: &mut self.next_token,
            writes: self.class.writes,
            several: self.login.agreed & wire::MULTI_STATEMENTS != 0,
            judge: &self.judge,
        };
        let (bytes, expect) = match only_reads {
            true => script.only_reads(),
            false => script.next(),
        };
        let asked = Asked {
            bytes,
            shown: format!("{:?} {:?}", expect.kind, expect.tokens.first()),
            sleeps: expect.kind == Kind::Sleep,
        };
        self.judge.ask(expect);
        asked
    }

    fn hear(&mut self, message: &[u8], witness: &mut Witness) -> bool {
        self.judge.hear(message, witness);
        false
    }

    fn file(&mut self, _: &mut Random, _: bool) -> Option<File> {
        None
    }

    fn owed(&self) -> usize {
        self.judge.owed()
    }

    fn is_idle(&self) -> bool {
        !self.judge.is_open()
    }

    fn goodbye(&self) -> Vec<u8> {
        wire::command(wire::QUIT, &[])
    }

    fn take_cancel(&mut self) -> Option<Killer> {
        let thread = self.login.thread?;
        let kills = std::mem::take(&mut self.may_kill);
        kills.then(|| Killer::new(self.class, thread))
    }

    fn cancelled(&mut self) {
        self.judge.cancelled();
    }

    fn cancel_over(&mut self) {
        self.judge.cancel_over();
    }

    fn small_requests(&self) -> Vec<Vec<u8>> {
        vec![wire::command(wire::PING, &[]), wire::query("DO 0")]
    }

    fn garble(&mut self, bytes: &mut Vec<u8>) {
        // No command has that number.
        bytes.resize(bytes.len().max(wire::HEADER), 0);
        bytes[3] = 7;
        self.judge.talked_nonsense();
    }

    fn closed(&mut self, logged_in: bool, excused: bool, witness: &mut Witness) {
        self.judge.closed(logged_in, excused, witness);
    }
}
