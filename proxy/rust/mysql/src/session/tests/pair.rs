//! A session and its backend, driven as a worker drives them.

use crate::link::Link;
use crate::message::capability::*;
use crate::message::frame::{self, Peek, HEADER};
use crate::message::session_track::Change;
use crate::message::{command, ok};
use crate::params::Server;
use crate::Ready;
use dbproxy_engine::{CancelSecret, Kill, Leg, Link as _, Payload, Session as _, CLIENT_IDS};

use super::*;

pub const MYSQL: &str = "8.0.31";
/// The number that the client has.
pub const OWN_ID: u32 = CLIENT_IDS.start + 77;
pub const MARIADB: &str = "5.5.5-10.11.19-MariaDB";

pub struct Pair {
    pub session: Session,
    /// The one that is attached, and one that may be.
    pub link: Option<Link>,
    pub spare: Option<Link>,
    pub client: Vec<u8>,
    pub server: Vec<u8>,
    pub released: Vec<Release>,
    pub closed: Option<CloseReason>,
    pub notes: Vec<Note>,
    pub kills: Vec<Kill>,
    /// It logs in again.
    pub again: bool,
    pub rules: Rules,
    client_in: Vec<u8>,
    server_in: Vec<u8>,
}

pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| *digit != ' ').collect();
    let pairs = digits.chunks(2);
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    pairs.map(byte).collect()
}

pub fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::packets(&mut out, sequence, |out| out.extend_from_slice(payload));
    out
}

pub fn query(text: &str) -> Vec<u8> {
    packet(0, &[&[command::QUERY], text.as_bytes()].concat())
}

/// A command without arguments.
pub fn bare(kind: u8) -> Vec<u8> {
    packet(0, &[kind])
}

pub fn link(version: &str, agreed: Capabilities) -> Link {
    Link::from(Ready {
        params: Arc::new(Params {
            version: version.into(),
            server: Server::new(version),
            collation: 255,
            status: 2,
            sql_mode: "".into(),
        }),
        thread_id: 7,
        capabilities: agreed.with(SESSION_TRACK),
        collation: 45,
        database: None,
        init_query: None,
    })
}

/// An OK that reports changes.
pub fn reported(status: u16, changes: &[Change<'_>]) -> Vec<u8> {
    let mut written = Vec::new();
    changes.iter().for_each(|change| change.write(&mut written));
    let ok = ok::Ok {
        status,
        changes: Some(&written),
        ..ok::Ok::default()
    };
    let mut out = Vec::new();
    frame::packets(&mut out, 1, |out| ok.write(ok::TAG, SESSION_TRACK, out));
    out
}

/// What the payloads of packets are.
pub fn payloads(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while let Peek::Packet { total, .. } = frame::peek(rest) {
        all.push(rest[HEADER..total].to_vec());
        rest = &rest[total..];
    }
    all
}

impl Pair {
    /// A client that agreed on that, and a server of that version; the OK of its log-in is taken.
    pub fn new(version: &str, agreed: Capabilities) -> Self {
        Self::inside(version, agreed, None)
    }

    pub fn inside(version: &str, agreed: Capabilities, database: Option<&str>) -> Self {
        let link = link(version, agreed);
        let handover = Handover {
            capabilities: agreed,
            collation: 45,
            database: database.map(|name| name.as_bytes().into()),
            sequence: 2,
            certificate: None,
            scramble: crate::Scramble::draw(&mut |bytes| bytes.fill(7)),
            answered: false,
            failures: 0,
        };
        let key = CancelKey {
            id: OWN_ID,
            secret: CancelSecret::shown(&[0; 4]),
        };
        let mut out = Vec::new();
        let session = Session::welcome(&handover, link.template(), key, &mut out);
        assert_eq!(payloads(&out)[0][0], ok::TAG);
        Self {
            session,
            link: None,
            spare: Some(link),
            client: Vec::new(),
            server: Vec::new(),
            released: Vec::new(),
            closed: None,
            notes: Vec::new(),
            kills: Vec::new(),
            again: false,
            rules: Rules::default(),
            client_in: Vec::new(),
            server_in: Vec::new(),
        }
    }

    pub fn mysql() -> Self {
        Self::new(MYSQL, DEPRECATE_EOF)
    }

    /// The client sends that; answers what the server gets.
    pub fn says(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.client_in.extend_from_slice(bytes);
        self.pump();
        std::mem::take(&mut self.server)
    }

    /// The same of a query; answers the texts that the server is asked.
    pub fn asks(&mut self, text: &str) -> Vec<String> {
        let bytes = self.says(&query(text));
        texts(&bytes)
    }

    /// The server sends that; answers what the client gets.
    pub fn answers(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.server_in.extend_from_slice(bytes);
        self.pump();
        std::mem::take(&mut self.client)
    }

    /// The same in hexadecimal digits, of one packet numbered 1.
    pub fn gives(&mut self, payload: &str) -> Vec<u8> {
        self.answers(&packet(1, &hex(payload)))
    }

    /// The server's OK says that it changed so.
    pub fn reports(&mut self, status: u16, changes: &[Change<'_>]) -> Vec<u8> {
        self.answers(&reported(status, changes))
    }

    /// The server says what LAST_INSERT_ID() is; answers what the client gets.
    pub fn tells_id(&mut self, value: &[u8]) -> Vec<u8> {
        self.server.clear();
        let open = self.link.as_ref().is_some_and(Link::in_trans);
        let name = b"last_insert_id";
        self.reports(2 | u16::from(open), &[Change::Variable { name, value }])
    }

    /// What became of the KILL that it has asked for; answers what the client gets.
    pub fn killed(&mut self, outcome: Killed) -> Vec<u8> {
        let mut steps = Steps::new();
        self.session.killed(outcome, &mut steps);
        self.carry(steps, &[], &[]);
        self.pump();
        std::mem::take(&mut self.client)
    }

    /// What the server is asked from here on.
    pub fn asked(&mut self) -> Vec<String> {
        texts(&std::mem::take(&mut self.server))
    }

    /// The client has said all that it will.
    pub fn is_free(&self) -> bool {
        self.link.is_none() && self.released.last() == Some(&Release::Clean)
    }

    pub fn pinned(&self) -> Option<PinReason> {
        self.session.pins.iter().next()
    }

    /// The number and the text of the error that the client got.
    pub fn error(bytes: &[u8]) -> (u16, String) {
        let payload = payloads(bytes).remove(0);
        let report = crate::message::error::parse(&payload, SSL).expect("an error");
        (report.code, String::from_utf8_lossy(report.message).into())
    }

    pub fn lost(&mut self) -> (Outcome, Vec<u8>) {
        let mut link = self.link.take().expect("a backend");
        let mut steps = Steps::new();
        let outcome = self.session.lost(&mut link, &mut steps);
        self.carry(steps, &[], &[]);
        self.server_in.clear();
        (outcome, std::mem::take(&mut self.client))
    }

    fn pump(&mut self) {
        loop {
            let mut moved = false;
            if !self.client_in.is_empty() && self.closed.is_none() && !self.again {
                let mut steps = Steps::new();
                let input = std::mem::take(&mut self.client_in);
                let mut memory = Memory::default();
                Session::rule(&mut memory, self.rules);
                let link = self.link.as_mut();
                let used = self
                    .session
                    .feed_client(&input, link, &mut memory, 1 << 18, &mut steps);
                self.client_in = input[used..].to_vec();
                moved |= used > 0;
                moved |= self.carry(steps, &input, &[]);
            }
            if let Some(link) = self.link.as_mut().filter(|_| !self.server_in.is_empty()) {
                let mut steps = Steps::new();
                let input = std::mem::take(&mut self.server_in);
                let session = Some(&mut self.session);
                let used = Session::feed_server(session, link, &input, &mut steps);
                self.server_in = input[used..].to_vec();
                moved |= used > 0;
                self.carry(steps, &[], &input);
            }
            if !moved {
                return;
            }
        }
    }

    /// Carries out steps; answers whether a backend was attached.
    fn carry(&mut self, steps: Steps, client: &[u8], server: &[u8]) -> bool {
        let mut needs = false;
        for step in steps {
            assert!(!needs, "NeedBackend ends the list");
            match step {
                Step::Send(Leg::Client, Payload::Bytes(bytes)) => self.client.extend(bytes),
                Step::Send(Leg::Server, Payload::Bytes(bytes)) => self.server.extend(bytes),
                Step::Send(Leg::Client, Payload::Range(range)) => {
                    self.client.extend_from_slice(&server[range]);
                }
                Step::Send(Leg::Server, Payload::Range(range)) => {
                    self.server.extend_from_slice(&client[range]);
                }
                Step::NeedBackend => needs = true,
                Step::Release(release) => {
                    self.released.push(release);
                    self.spare = self.link.take();
                }
                Step::Note(note) => self.notes.push(note),
                Step::Close(reason) => self.closed = Some(reason),
                Step::Kill(kill) => self.kills.push(kill),
                Step::LogInAgain => self.again = true,
                Step::Attend(_) => panic!("nobody listens"),
            }
        }
        if needs {
            let mut link = self.spare.take().expect("a spare backend");
            let mut steps = Steps::new();
            self.session.attach(&mut link, &mut steps);
            self.link = Some(link);
            self.carry(steps, &[], &[]);
        }
        needs
    }
}

fn texts(bytes: &[u8]) -> Vec<String> {
    let all = payloads(bytes);
    all.iter()
        .map(|payload| String::from_utf8_lossy(&payload[1..]).into())
        .collect()
}
