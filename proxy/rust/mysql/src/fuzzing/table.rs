//! A session, the backend it holds, and what came out.

use std::sync::Arc;

use dbproxy_engine::{
    CancelKey, CancelSecret, Killed, Leg, Link as _, Outcome, Payload, Release, Session as _, Step,
    Steps,
};

use crate::credential::Handover;
use crate::link::Link;
use crate::message::capability::*;
use crate::message::frame::{self, Peek};
use crate::params::{Params, Server};
use crate::statement::Memory;
use crate::{Ready, Session};

use super::view::View;
use super::{MARIADB, MYSQL};

/// Small, so that streaming begins early.
const LIMIT: usize = 512;
/// The most that a machine leaves lying of what a server says: what it must have whole.
const LONGEST: usize = (1 << 20) + frame::HEADER;
/// The most that a backend owes at once: one command of the client's, and what goes with it.
const OWED: usize = 16;

#[derive(Debug)]
pub(super) struct Table {
    first: u8,
    session: Session,
    pub(super) link: Option<Link>,
    view: View,
    client_input: Vec<u8>,
    server_input: Vec<u8>,
    pub(super) to_client: Vec<u8>,
    pub(super) to_server: Vec<u8>,
    /// Where in that the bytes for this backend begin, and how many there have been.
    pub(super) begun: usize,
    pub(super) backends: usize,
    pub(super) released: Vec<Release>,
    spoke_idle: bool,
    pub(super) closed: bool,
    memory: Unprinted,
}

/// It is long, and says nothing.
#[derive(Default)]
struct Unprinted(Memory);

impl std::fmt::Debug for Unprinted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Table {
    /// The first byte says what was agreed on.
    pub(super) fn new(first: u8) -> Self {
        let secret = CancelSecret::shown(&[1; 4]);
        let key = CancelKey { id: 1, secret };
        let agreed = agreed(first);
        let handover = Handover {
            capabilities: agreed,
            collation: 45,
            database: (first & 8 != 0).then(|| b"app"[..].into()),
            sequence: 2,
            certificate: None,
            scramble: crate::Scramble::draw(&mut |bytes| bytes.fill(7)),
            answered: false,
            failures: 0,
        };
        let link = fresh_link(first);
        Self {
            first,
            session: Session::welcome(&handover, link.template(), key, &mut Vec::new()),
            link: None,
            view: View::new(agreed),
            client_input: Vec::new(),
            server_input: Vec::new(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            begun: 0,
            backends: 0,
            released: Vec::new(),
            spoke_idle: false,
            closed: false,
            memory: Unprinted::default(),
        }
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.first & 4 != 0
    }

    pub(super) fn client(mut self, bytes: &[u8], piece: usize) -> Self {
        for chunk in bytes.chunks(piece) {
            if self.closed {
                break;
            }
            self.view.says(chunk);
            self.client_input.extend_from_slice(chunk);
            while !self.closed && !self.client_input.is_empty() && self.pump_client() {}
        }
        self
    }

    /// Whether there is more to do with the same bytes.
    fn pump_client(&mut self) -> bool {
        let input = std::mem::take(&mut self.client_input);
        let mut steps = Steps::new();
        let link = self.link.as_mut();
        let (session, memory) = (&mut self.session, &mut self.memory.0);
        let used = session.feed_client(&input, link, memory, LIMIT, &mut steps);
        assert!(used <= input.len());
        let asked = self.play(&input, used, steps);
        self.client_input = input.get(used..).unwrap_or_default().to_vec();
        if asked {
            assert!(self.link.is_none(), "asked for a second backend");
            let mut link = fresh_link(self.first);
            self.begun = self.to_server.len();
            self.backends += 1;
            let mut steps = Steps::new();
            self.session.attach(&mut link, &mut steps);
            self.link = Some(link);
            self.play(&[], 0, steps);
        }
        asked || used > 0
    }

    pub(super) fn server(mut self, bytes: &[u8], piece: usize) -> Self {
        for chunk in bytes.chunks(piece) {
            let Some(link) = self.link.as_mut().filter(|_| !self.closed) else {
                // To a backend that nobody holds, it speaks out of turn.
                self.spoke_idle = true;
                break;
            };
            self.server_input.extend_from_slice(chunk);
            let input = std::mem::take(&mut self.server_input);
            let mut steps = Steps::new();
            let used = Session::feed_server(Some(&mut self.session), link, &input, &mut steps);
            assert!(used <= input.len());
            assert!(link.owed.len() <= OWED, "{:?}", link.owed);
            self.server_input = input.get(used..).unwrap_or_default().to_vec();
            self.play(&input, used, steps);
            assert!(self.server_input.len() <= LONGEST, "the rest piles up");
            // What waited for an answer goes on.
            while !self.closed && !self.client_input.is_empty() && self.pump_client() {}
        }
        self
    }

    /// How many commands were answered.
    pub(super) fn answers(&self) -> usize {
        self.view.answered
    }

    pub(super) fn is_answered(&self) -> bool {
        self.view.is_answered()
    }

    /// Whether its backend is free and may be lent again.
    pub(super) fn is_fit(&self) -> bool {
        let last = self.released.last();
        !self.spoke_idle && last.is_some_and(|last| !matches!(last, Release::Kill(_)))
    }

    pub(super) fn lose(&mut self) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        let mut steps = Steps::new();
        let outcome = self.session.lost(&mut link, &mut steps);
        self.play(&[], 0, steps);
        self.closed |= matches!(outcome, Outcome::Closes(_));
        self.server_input.clear();
        // What it has asked and wasn't sent goes to the next one.
        while !self.closed && !self.client_input.is_empty() && self.pump_client() {}
    }

    fn play(&mut self, input: &[u8], used: usize, steps: Steps) -> bool {
        let mut asked = false;
        for step in steps {
            assert!(!asked, "NeedBackend ends the list");
            match step {
                Step::NeedBackend => asked = true,
                Step::Send(leg, payload) => {
                    let bytes = match payload {
                        Payload::Bytes(bytes) => bytes,
                        Payload::Range(range) => {
                            assert!(range.start <= range.end && range.end <= used);
                            input.get(range).unwrap_or_default().to_vec()
                        }
                    };
                    match leg {
                        Leg::Client => {
                            self.view.hears(&bytes);
                            self.to_client.extend(bytes);
                        }
                        Leg::Server => self.to_server.extend(bytes),
                    }
                }
                Step::Release(release) => {
                    assert!(self.link.is_some(), "released what it doesn't hold");
                    self.released.push(release);
                    match release {
                        Release::Kill(_) => self.lose(),
                        Release::Clean | Release::Reset => {
                            self.are_commands();
                            self.link = None;
                            self.server_input.clear();
                        }
                    }
                }
                Step::Note(_) => {}
                Step::Attend(_) => unreachable!("nobody listens"),
                Step::Kill(_) => {
                    let mut steps = Steps::new();
                    self.session.killed(Killed::Unknown, &mut steps);
                    self.play(&[], 0, steps);
                }
                // Who logs in again begins a session of its own.
                Step::Close(_) | Step::LogInAgain => self.closed = true,
            }
        }
        asked
    }

    /// Whoever gets the backend finds it between two commands: what it was sent are whole packets, each the
    /// first of its command, or of a file.
    fn are_commands(&self) {
        let mut rest = self.to_server.get(self.begun..).unwrap_or_default();
        while let Peek::Packet { total, .. } = frame::peek(rest) {
            assert!(total <= rest.len(), "sent in part: {self:?}");
            rest = rest.get(total..).unwrap_or_default();
        }
        assert!(rest.is_empty(), "sent in part: {self:?}");
    }
}

pub(super) fn agreed(first: u8) -> Capabilities {
    let mut agreed = PROTOCOL_41.with(SECURE_CONNECTION).with(LOCAL_FILES);
    for (bit, capability) in [
        (1, DEPRECATE_EOF),
        (2, SESSION_TRACK),
        (16, MULTI_STATEMENTS),
    ] {
        if first & bit != 0 {
            agreed = agreed.with(capability);
        }
    }
    agreed
}

fn fresh_link(first: u8) -> Link {
    let version = if first & 4 == 0 { MYSQL } else { MARIADB };
    Link::from(Ready {
        params: Arc::new(Params {
            version: version.into(),
            server: Server::new(version),
            collation: 255,
            status: 2,
            sql_mode: "".into(),
        }),
        thread_id: 7,
        capabilities: agreed(first).with(SESSION_TRACK),
        collation: 45,
        database: None,
        init_query: None,
    })
}
