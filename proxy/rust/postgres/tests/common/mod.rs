//! A client, its session and one backend without a network: bytes go in on either side, and what
//! the machines said is kept for the test to look at.
#![allow(dead_code)] // Each test file uses its own part of this.

pub mod asking;
mod attending;
pub mod door;
pub mod heard;
pub mod prepared;
pub mod sets;
mod shown;

use dbproxy_engine::{
    Attention, BackendLogin, BackendProgress, CancelKey, CancelSecret, CloseReason, Engine, Leg,
    Link as _, Note, Outcome, Payload, Release, Session as _, Step, Steps,
};
use dbproxy_postgres::{BackendAsk, Connecting, Handover, Link, Memory, Postgres, Session};

pub use asking::*;
pub use shown::show;

pub const LIMIT: usize = 4096;

/// One message: tag, length, body.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub fn concat(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(
        b'B',
        format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes(),
    )
}

pub fn execute(portal: &str) -> Vec<u8> {
    message(b'E', format!("{portal}\0\0\0\0\0").as_bytes())
}

pub fn describe(what: &str) -> Vec<u8> {
    message(b'D', format!("{what}\0").as_bytes())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub fn flush() -> Vec<u8> {
    message(b'H', b"")
}

/// Parse, Bind, Execute of the unnamed statement.
pub fn run(sql: &str) -> Vec<u8> {
    concat(&[parse("", sql), bind("", ""), execute("")])
}

pub fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

/// The answer to a batch that parses, binds and executes one statement.
pub fn reply(status: u8) -> Vec<u8> {
    concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1"), ready(status)])
}

pub fn report(name: &str, value: &str) -> Vec<u8> {
    message(b'S', format!("{name}\0{value}\0").as_bytes())
}

pub fn error(severity: &str, code: &str) -> Vec<u8> {
    message(
        b'E',
        format!("S{severity}\0V{severity}\0C{code}\0Mtext\0\0").as_bytes(),
    )
}

pub fn row(value: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1];
    body.extend_from_slice(&(value.len() as u32).to_be_bytes());
    body.extend_from_slice(value);
    message(b'D', &body)
}

/// ParseComplete, BindComplete and the like.
pub fn bare(tag: u8) -> Vec<u8> {
    message(tag, b"")
}

/// A backend that has logged in without a password.
pub fn link_with(reports: &[(&str, &str)]) -> Link {
    logged_in(ask(), reports)
}

/// One that ran an init query.
pub fn initialised_link(sql: &str) -> Link {
    let init_query = Some(sql.into());
    logged_in(
        BackendAsk {
            init_query,
            ..ask()
        },
        &[],
    )
}

fn logged_in(ask: BackendAsk, reports: &[(&str, &str)]) -> Link {
    let mut out = Vec::new();
    let runs = ask.init_query.is_some();
    let mut login = Connecting::start(ask, &mut sevens, &mut out);
    let mut input = message(b'R', &[0, 0, 0, 0]);
    for (name, value) in reports {
        input.extend(report(name, value));
    }
    input.extend(message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]));
    input.extend(ready(b'I'));
    if runs {
        input.extend(concat(&[complete("SET"), ready(b'I')]));
    }
    match login.feed(&input, None, &mut out) {
        (used, BackendProgress::Ready(link)) if used == input.len() => link,
        other => panic!("{other:?}"),
    }
}

pub fn link() -> Link {
    link_with(&[
        ("standard_conforming_strings", "on"),
        ("client_encoding", "UTF8"),
    ])
}

pub struct Bench {
    pub session: Session,
    /// The one that is attached.
    pub link: Option<Link>,
    /// Those that can be.
    pub idle: Vec<Link>,
    pub refusing: bool,
    pub client_input: Vec<u8>,
    pub server_input: Vec<u8>,
    pub to_client: Vec<u8>,
    pub to_server: Vec<u8>,
    /// Every `Send`, to tell one write from many.
    pub sends: usize,
    pub notes: Vec<Note>,
    pub released: Vec<Release>,
    pub outcomes: Vec<Outcome>,
    pub closed: Option<CloseReason>,
    /// Nobody else can listen for it.
    pub alone: bool,
    /// What it said that it waits for, last.
    pub attention: Option<Attention>,
    /// Bytes are shown one at a time.
    pub drip: bool,
    pub memory: Memory,
}

impl Bench {
    pub fn new() -> Self {
        Self::named("", 1)
    }

    pub fn named(application_name: &str, id: u32) -> Self {
        let link = link();
        let mut welcome = Vec::new();
        let secret = CancelSecret::shown(&id.to_be_bytes());
        let key = CancelKey { id, secret };
        let handover = Handover {
            application_name: Some(application_name.as_bytes().into()),
            ..Handover::default()
        };
        let session = Postgres::welcome(handover, link.template(), key, &mut welcome);
        Self {
            session,
            link: None,
            idle: vec![link],
            refusing: false,
            client_input: Vec::new(),
            server_input: Vec::new(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            sends: 0,
            notes: Vec::new(),
            released: Vec::new(),
            outcomes: Vec::new(),
            closed: None,
            alone: false,
            attention: None,
            drip: false,
            memory: Memory::default(),
        }
    }

    /// A client in a transaction.
    pub fn in_transaction() -> Self {
        let mut bench = Self::new();
        bench.client(&query("BEGIN"));
        bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
        bench.told();
        bench
    }

    /// Others wait for the backend that is attached, or not.
    pub fn wanted(&mut self, wanted: bool) {
        let link = self.link.as_mut();
        link.expect("a backend").is_wanted(wanted);
    }

    /// The client sends bytes; answers what went to the server because of them.
    pub fn client(&mut self, bytes: &[u8]) -> String {
        self.to_server.clear();
        if self.drip {
            for byte in bytes {
                self.client_input.push(*byte);
                self.pump_client();
            }
        } else {
            self.client_input.extend_from_slice(bytes);
            self.pump_client();
        }
        show(&self.to_server)
    }

    /// The server sends bytes; answers what went to the client because of them.
    pub fn server(&mut self, bytes: &[u8]) -> String {
        self.to_client.clear();
        if self.drip {
            for byte in bytes {
                self.server_input.push(*byte);
                self.pump_server();
            }
        } else {
            self.server_input.extend_from_slice(bytes);
            self.pump_server();
        }
        show(&self.to_client)
    }

    /// What has gone to the client since the last look.
    pub fn told(&mut self) -> String {
        let text = show(&self.to_client);
        self.to_client.clear();
        text
    }

    fn pump_client(&mut self) {
        loop {
            let mut steps = Steps::new();
            let held = self.link.is_some();
            let input = std::mem::take(&mut self.client_input);
            let (link, memory) = (self.link.as_mut(), &mut self.memory);
            let used = self
                .session
                .feed_client(&input, link, memory, LIMIT, &mut steps);
            let asked = self.play(&input, used, steps);
            self.client_input = input[used..].to_vec();
            if self.closed.is_some() {
                return;
            }
            if !asked {
                // What the backend's loss left over is looked at again.
                if held && self.link.is_none() && !self.client_input.is_empty() {
                    continue;
                }
                return;
            }
            let Some(mut link) = self.idle.pop() else {
                return;
            };
            let mut steps = Steps::new();
            self.session.attach(&mut link, &mut steps);
            self.link = Some(link);
            self.play(&[], 0, steps);
        }
    }

    fn pump_server(&mut self) {
        let Some(link) = self.link.as_mut() else {
            panic!("the server spoke while nobody held it");
        };
        let mut steps = Steps::new();
        let input = std::mem::take(&mut self.server_input);
        let used = Session::feed_server(Some(&mut self.session), link, &input, &mut steps);
        self.play(&input, used, steps);
        self.server_input = input[used..].to_vec();
        if !self.client_input.is_empty() && self.closed.is_none() {
            self.pump_client();
        }
    }

    fn play(&mut self, input: &[u8], used: usize, steps: Steps) -> bool {
        let mut asked = false;
        let attends = steps.iter().any(|step| matches!(step, Step::Attend(_)));
        for step in steps {
            match step {
                Step::Release(_) if attends && self.alone => {}
                Step::Attend(attention) => self.attend(*attention),
                Step::NeedBackend => asked = true,
                Step::Send(leg, payload) => {
                    self.sends += 1;
                    let to = match leg {
                        Leg::Client => &mut self.to_client,
                        Leg::Server => &mut self.to_server,
                    };
                    match payload {
                        Payload::Bytes(bytes) => to.extend(bytes),
                        Payload::Range(range) => {
                            assert!(range.end <= used, "sent and not consumed");
                            to.extend(&input[range]);
                        }
                    }
                }
                Step::Release(release) => self.release(release),
                Step::Note(note) => self.notes.push(note),
                Step::Kill(_) => panic!("nobody is ended by number"),
                Step::LogInAgain => panic!("nobody logs in again"),
                Step::Close(reason) => self.closed = Some(reason),
            }
        }
        asked
    }

    fn release(&mut self, release: Release) {
        self.released.push(release);
        match release {
            Release::Kill(_) => {
                self.lose();
            }
            Release::Clean | Release::Reset => {
                self.idle.extend(self.link.take());
            }
        }
    }

    /// The backend is gone.
    pub fn lose(&mut self) -> Outcome {
        let mut link = self.link.take().expect("a backend to lose");
        let mut steps = Steps::new();
        let outcome = self.session.lost(&mut link, &mut steps);
        self.play(&[], 0, steps);
        self.server_input.clear();
        self.outcomes.push(outcome);
        outcome
    }

    pub fn pin(&self) -> Option<dbproxy_engine::PinReason> {
        self.notes.iter().find_map(|note| match note {
            Note::Pinned(reason, _) => Some(*reason),
            Note::WriterDoubted | Note::Unpinned(_) => None,
        })
    }
}
