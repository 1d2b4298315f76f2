//! A scripted client of PostgreSQL's.

use std::fmt;

use dbproxy_driver::sim::Random;

use super::judge::Judge;
use super::script::{Kind, Mood, Names, Script};
use super::wire;
use crate::clients::PASSWORD;
use crate::speaker::{Asked, File, LoggingIn};
use crate::witness::{Class, Witness, PER_CLIENT};

/// What a log-in may be refused with: no room, shutdown, not up yet, a database that is gone.
const REFUSALS: [&str; 4] = ["53300", "57P01", "57P03", "08006"];

pub struct Speaker {
    id: u64,
    class: Class,
    judge: Judge,
    key: Option<(u32, u32)>,
    next_token: u64,
    names: Names,
}

impl fmt::Debug for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.judge.fmt(f)
    }
}

/// A connection that brings a CancelRequest.
pub struct Canceller(u32, u32);

impl crate::speaker::Canceller for Canceller {
    fn hello(&self) -> Vec<u8> {
        wire::cancel(self.0, self.1)
    }

    fn hear(&mut self, _: &[u8]) -> LoggingIn {
        LoggingIn::Waits
    }
}

impl crate::speaker::Speaker for Speaker {
    type Canceller = Canceller;

    fn new(id: u64, class: Class) -> Self {
        Self {
            id,
            class,
            judge: Judge::new(id),
            key: None,
            next_token: id * PER_CLIENT,
            names: Names::new(),
        }
    }

    fn begin(&mut self) {
        self.key = None;
        self.names.clear();
        self.judge.begin();
    }

    fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        wire::take_message(buffer)
    }

    fn readable(&self, message: &[u8]) -> Option<String> {
        // Rows would drown the rest.
        let drowns = matches!(message[0], b'D' | b'd' | b'T' | b'S');
        (!drowns).then(|| wire::readable(message))
    }

    fn hello(&self) -> Vec<u8> {
        wire::startup(self.class.user, self.class.database)
    }

    fn log_in(&mut self, message: &[u8], witness: &mut Witness) -> LoggingIn {
        let body = message.get(5..).unwrap_or_default();
        match message[0] {
            b'R' if body.get(..4) == Some(&[0, 0, 0, 5]) => {
                let answer = wire::md5_answer(self.class.user, PASSWORD, &body[4..8]);
                return LoggingIn::Says(wire::message(b'p', &wire::texts(&[&answer])));
            }
            b'K' => {
                let half = |from: usize| {
                    let bytes = body.get(from..from + 4).and_then(|b| b.try_into().ok());
                    u32::from_be_bytes(bytes.unwrap_or_default())
                };
                self.key = Some((half(0), half(4)));
            }
            b'Z' => return LoggingIn::Done,
            b'E' => {
                let (code, text) = wire::error_fields(message);
                witness.refused += 1;
                if !REFUSALS.contains(&code.as_str()) {
                    witness.violation(format!("client {}: log-in {code} {text}", self.id));
                }
            }
            _ => {}
        }
        LoggingIn::Waits
    }

    fn ask(&mut self, random: &mut Random, only_reads: bool, witness: &Witness) -> Asked {
        let (token, writes) = (&mut self.next_token, self.class.writes);
        let script = Script::new(random, token, writes, &mut self.names, &self.judge);
        let request = match only_reads {
            true => script.only_reads(),
            false => script.next(self.judge.mood()),
        };
        let first = request.expects.first();
        let first = first.map(|expect| (expect.kind, expect.tokens.first().copied()));
        let asked = Asked {
            bytes: request.bytes,
            shown: format!("{first:?} (+{})", request.expects.len() - 1),
            sleeps: request.expects.iter().any(|e| e.kind == Kind::Sleep),
        };
        self.judge.ask(request.expects, witness);
        asked
    }

    fn hear(&mut self, message: &[u8], witness: &mut Witness) -> bool {
        if message[0] == b'E' {
            // What was refused was not parsed.
            self.names.clear();
        }
        self.judge.hear(message, witness)
    }

    fn file(&mut self, random: &mut Random, may_leave: bool) -> Option<File> {
        let (token, fails) = self.judge.copying()?;
        let mut bytes = Vec::new();
        for row in 0..random.below(200) {
            let line = format!("t{token}\t{row}\n");
            bytes.extend(wire::message(b'd', line.as_bytes()));
        }
        let leaves = may_leave && random.one_in(4);
        if !leaves {
            bytes.extend(match fails {
                true => wire::message(b'f', b"no more\0"),
                false => wire::message(b'c', &[]),
            });
        }
        Some(File { bytes, leaves })
    }

    fn owed(&self) -> usize {
        self.judge.owed()
    }

    fn is_idle(&self) -> bool {
        self.judge.mood() == Mood::Idle
    }

    fn goodbye(&self) -> Vec<u8> {
        wire::message(b'X', &[])
    }

    fn take_cancel(&mut self) -> Option<Canceller> {
        self.key.take().map(|(pid, secret)| Canceller(pid, secret))
    }

    fn cancelled(&mut self) {
        self.judge.cancelled();
    }

    fn cancel_over(&mut self) {
        self.judge.cancel_over();
    }

    fn small_requests(&self) -> Vec<Vec<u8>> {
        vec![wire::sync(), wire::query(""), wire::message(b'H', &[])]
    }

    fn garble(&mut self, bytes: &mut Vec<u8>) {
        if let Some(first) = bytes.first_mut() {
            *first = b'!';
        }
        self.judge.talked_nonsense();
    }

    fn closed(&mut self, logged_in: bool, excused: bool, witness: &mut Witness) {
        self.judge.closed(logged_in, excused, witness);
    }
}
