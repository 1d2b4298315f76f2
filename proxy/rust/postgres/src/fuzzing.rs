//! One function per kind of input, for the fuzzer and, with a fixed number of random inputs, for the
//! unit tests. Each asserts what must hold of any bytes: no panic, no range outside of the input,
//! and the same outcome however the bytes are cut into pieces.

use std::collections::HashMap;
use std::sync::Arc;

use crate::credential::{BackendAsk, Credential, LoginEnv, LoginProgress, User, UserMethod, Users};
use dbproxy_engine::{
    BackendLogin, BackendProgress, CancelKey, CancelSecret, ClientLogin, DerivedKeys, Identity,
    Leg, Outcome, Payload, Release, Session as _, Step, Steps, TlsFacts,
};

use crate::link::Link;
use crate::params::Params;
use crate::session::Session;
use crate::statement::Dialect;
use crate::{statement, verifier, Connecting, Login};

mod dialogue;
mod followed;

pub use dialogue::dialogue;
pub use followed::{pins, remembered, replayed};

/// Small, so that streaming begins early.
const LIMIT: usize = 512;

/// SQL texts. The first byte chooses the dialect.
pub fn statement(input: &[u8]) {
    let (first, text) = input.split_first().unwrap_or((&0, &[]));
    let dialect = Dialect {
        literal_backslashes: first & 1 == 0,
        ascii_safe: first & 2 == 0,
    };
    let class = statement::classify(text, dialect);
    // Behind a comment it is the same statement.
    let mut commented = b"/**/".to_vec();
    commented.extend_from_slice(text);
    assert_eq!(class, statement::classify(&commented, dialect));
}

/// A client's log-in. The first byte chooses method and TLS.
pub fn client_login(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&0, &[]));
    let whole = client_login_once(*first, bytes, bytes.len().max(1));
    let dripped = client_login_once(*first, bytes, 1);
    // Only behind a request for encryption does it matter what came together.
    if !matches!(bytes, [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f | 0x30, _, ..]) && first & 2 == 0 {
        assert_eq!(whole, dripped);
    }
}

fn client_login_once(first: u8, bytes: &[u8], piece: usize) -> (Vec<u8>, String) {
    let method = if first & 1 == 0 {
        UserMethod::ScramSha256
    } else {
        UserMethod::Md5
    };
    let user = User {
        name: "u".into(),
        passwords: vec!["p".into()],
        credential: Credential {
            method,
            verifiers: [verifier::mock("u", b"secret")].into(),
        },
    };
    let users = Users {
        by_name: HashMap::from([(user.name.clone(), Arc::new(user))]),
        fleet_secret: b"secret".to_vec(),
    };
    let facts = TlsFacts {
        end_point: Some(vec![1; 32]),
        ..TlsFacts::default()
    };
    let mut env = LoginEnv {
        shut: None,
        id: 1,
        version: None,
        users: &users,
        tls_available: first & 2 != 0,
        tls_required: first & 4 != 0,
        tls: (first & 8 != 0).then_some(&facts),
        random: &mut |bytes| bytes.fill(1),
    };
    let mut login = Login::default();
    let (mut pending, mut out) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(piece) {
        pending.extend_from_slice(chunk);
        let (used, progress) = login.feed(&pending, &mut env, &mut out);
        assert!(used <= pending.len());
        pending.drain(..used);
        if !matches!(progress, LoginProgress::NeedMore) {
            return (out, format!("{progress:?}"));
        }
    }
    (out, String::new())
}

/// A server's side of a backend's log-in. The first byte chooses TLS and the init query.
pub fn backend_login(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&0, &[]));
    let whole = backend_login_once(*first, bytes, bytes.len().max(1));
    let dripped = backend_login_once(*first, bytes, 1);
    if first & 1 == 0 {
        assert_eq!(whole, dripped);
    }
}

fn backend_login_once(first: u8, bytes: &[u8], piece: usize) -> (Vec<u8>, String) {
    let ask = BackendAsk {
        identity: Identity {
            user: "u".into(),
            database: "d".into(),
            settings: Arc::from(Vec::new()),
            traces: Arc::from(Vec::new()),
        },
        password: "p".into(),
        credential: Credential {
            method: UserMethod::ScramSha256,
            verifiers: [].into(),
        },
        keys: DerivedKeys::default(),
        tls_wanted: first & 1 != 0,
        tls_required: first & 2 != 0,
        init_query: (first & 4 != 0).then(|| "SELECT 1".into()),
    };
    let (mut pending, mut out) = (Vec::new(), Vec::new());
    let mut login = Connecting::start(ask, &mut |bytes| bytes.fill(1), &mut out);
    for chunk in bytes.chunks(piece) {
        pending.extend_from_slice(chunk);
        let progress = loop {
            let (used, progress) = login.feed(&pending, None, &mut out);
            assert!(used <= pending.len());
            pending.drain(..used);
            if !matches!(progress, BackendProgress::Working) {
                break progress;
            }
        };
        match progress {
            BackendProgress::NeedMore | BackendProgress::Working => {}
            BackendProgress::Ready(link) => return (out, format!("{:?}", link.params)),
            BackendProgress::Failed(failure) => return (out, format!("{failure:?}")),
            BackendProgress::StartTls => return (out, "tls".to_owned()),
        }
    }
    (out, String::new())
}

/// A client's bytes in a session whose backend never answers.
pub fn frontend(input: &[u8]) {
    let whole = Table::new().client(input, input.len().max(1));
    let dripped = Table::new().client(input, 1);
    // A message larger than the limit is judged by what is there.
    if input.len() < LIMIT {
        assert_eq!(whole.to_server, dripped.to_server);
        assert_eq!(whole.to_client, dripped.to_client);
    }
}

/// A server's bytes, answering a query and a batch.
pub fn backend(input: &[u8]) {
    let requests = b"Q\0\0\0\x0dSELECT 1\0P\0\0\0\x10\0SELECT 1\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0\
E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
    let asked = || Table::new().client(requests, requests.len());
    let whole = asked().server(input, input.len().max(1));
    let dripped = asked().server(input, 1);
    assert_eq!(whole.to_client, dripped.to_client);
    assert_eq!(whole.is_fit(), dripped.is_fit());
}

/// Both sides' bytes in turn, the backend lost at the end. Each chunk: a byte that says whose it is
/// and how long it is, then the bytes.
pub fn session(mut input: &[u8]) {
    let mut table = Table::new();
    while let Some((head, rest)) = input.split_first() {
        let length = usize::from(head >> 1).min(rest.len());
        let (chunk, rest) = rest.split_at_checked(length).unwrap_or_default();
        table = if head & 1 == 0 {
            table.client(chunk, length.max(1))
        } else {
            table.server(chunk, length.max(1))
        };
        input = rest;
    }
    table.lose();
}

/// A session, the backend it holds, and what came out.
#[derive(Debug)]
struct Table {
    session: Session,
    link: Option<Link>,
    /// It has attended, and goes on.
    attended: bool,
    client_input: Vec<u8>,
    server_input: Vec<u8>,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    /// Where in that the bytes for this backend begin, and how many there have been.
    begun: usize,
    backends: usize,
    released: Vec<Release>,
    spoke_idle: bool,
    closed: bool,
    memory: statement::Memory,
}

impl Table {
    fn new() -> Self {
        let secret = CancelSecret::shown(&[1; 4]);
        let key = CancelKey { id: 1, secret };
        let params = Arc::new(Params::default());
        Self {
            session: Session::welcome(Some(b"fuzz"), &params, key, &mut Vec::new()),
            link: None,
            attended: false,
            client_input: Vec::new(),
            server_input: Vec::new(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            begun: 0,
            backends: 0,
            released: Vec::new(),
            spoke_idle: false,
            closed: false,
            memory: statement::Memory::default(),
        }
    }

    fn client(mut self, bytes: &[u8], piece: usize) -> Self {
        for chunk in bytes.chunks(piece) {
            self.client_input.extend_from_slice(chunk);
            for _ in 0..3 {
                if self.closed || !self.pump_client() {
                    break;
                }
            }
        }
        self
    }

    /// Whether there is more to do with the same bytes.
    fn pump_client(&mut self) -> bool {
        let input = std::mem::take(&mut self.client_input);
        let mut steps = Steps::new();
        let link = self.link.as_mut();
        let (session, memory) = (&mut self.session, &mut self.memory);
        let used = session.feed_client(&input, link, memory, LIMIT, &mut steps);
        assert!(used <= input.len());
        let asked = self.play(&input, used, steps);
        self.client_input = input.get(used..).unwrap_or_default().to_vec();
        if asked {
            assert!(self.link.is_none(), "asked for a second backend");
            let mut link = Link::new(Params::default(), None, false);
            self.begun = self.to_server.len();
            self.backends += 1;
            let mut steps = Steps::new();
            self.session.attach(&mut link, &mut steps);
            self.link = Some(link);
            self.play(&[], 0, steps);
        }
        std::mem::take(&mut self.attended) || asked
    }

    fn server(mut self, bytes: &[u8], piece: usize) -> Self {
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
            self.play(&input, used, steps);
            self.server_input = input.get(used..).unwrap_or_default().to_vec();
            // What waited for an answer goes on.
            while !self.closed && !self.client_input.is_empty() && self.pump_client() {}
        }
        self
    }

    /// How many requests were answered.
    fn answers(&self) -> usize {
        let (mut rest, mut count) = (&self.to_client[..], 0);
        while let [tag, a, b, c, d, ..] = *rest {
            count += usize::from(tag == b'Z');
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            rest = rest.get(length + 1..).unwrap_or_default();
        }
        count
    }

    /// Whether its backend is free and may be lent again.
    fn is_fit(&self) -> bool {
        let last = self.released.last();
        !self.spoke_idle && last.is_some_and(|last| !matches!(last, Release::Kill(_)))
    }

    fn lose(&mut self) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        let mut steps = Steps::new();
        let outcome = self.session.lost(&mut link, &mut steps);
        self.closed |= matches!(outcome, Outcome::Closes(_));
        self.play(&[], 0, steps);
        self.server_input.clear();
    }

    fn play(&mut self, input: &[u8], used: usize, steps: Steps) -> bool {
        let mut asked = false;
        for step in steps {
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
                        Leg::Client => self.to_client.extend(bytes),
                        Leg::Server => self.to_server.extend(bytes),
                    }
                }
                Step::Release(release) => {
                    assert!(self.link.is_some(), "released what it doesn't hold");
                    self.released.push(release);
                    match release {
                        Release::Kill(_) => self.lose(),
                        Release::Clean | Release::Reset => {
                            self.link = None;
                            self.server_input.clear();
                        }
                    }
                }
                Step::Note(_) => {}
                Step::LogInAgain => unreachable!("nobody logs in again"),
                Step::Kill(_) => unreachable!("nobody is ended by number"),
                Step::Attend(_) => {
                    let mut steps = Steps::new();
                    self.session.attended(false, &mut steps);
                    self.attended = true;
                    self.play(&[], 0, steps);
                }
                Step::Close(_) => self.closed = true,
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests;
