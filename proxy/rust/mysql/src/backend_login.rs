//! The server leg until it is ready for commands: the server greets, TLS, proof of the password, what the
//! session is to report, the init query.
//!
//! Driven by the worker that opened the connection; becomes a link, by what it says when it is
//! [`Ready`].

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use dbproxy_engine::{BackendFailure, BackendFault, BackendLogin, BackendProgress, TlsFacts};

use crate::credential::{BackendAsk, Credential, UserMethod};
use crate::failure::{fault, is_of_password};
use crate::manner::Manner;
use crate::message::capability::*;
use crate::message::frame::{self, Gathered};
use crate::message::ssl_request::{self, Opening};
use crate::message::{error, greeting, ok};
use crate::params::{Kind, Params, Server};

mod answer;
mod proving;
mod setup;
mod trust;

use answer::Answer;
pub use setup::SETUP;

/// What every log-in asks for besides what its clients chose.
const ALWAYS: Capabilities = LONG_PASSWORD
    .with(LONG_FLAG)
    .with(PROTOCOL_41)
    .with(TRANSACTIONS)
    .with(SECURE_CONNECTION)
    .with(MULTI_RESULTS)
    .with(PS_MULTI_RESULTS)
    .with(PLUGIN_AUTH)
    .with(PLUGIN_AUTH_LENENC)
    .with(SESSION_TRACK);
/// What a server must be able to do, and how that is called. Those of 5.6 can't.
const NEEDED: [(Capabilities, &str); 3] = [
    (PLUGIN_AUTH, "authentication by plugins"),
    (SESSION_TRACK, "session tracking"),
    (DEPRECATE_EOF, "results without EOF"),
];
/// MariaDB from there on: with all tracked, as the proxy has it, it tells of `last_gtid` where `last_insert_id` or
/// `timestamp` was set (seen of 11.4.5 and 11.8.9).
const MISREPORTS: u32 = 110_000;
/// The longest payload of a log-in, and of the answer to the init query.
const LONGEST: usize = 0x1_0000;
const LONGEST_ANSWER: usize = 0x10_0000;
/// The random bytes that encrypting a password takes.
const SEED: usize = 20;

/// What a finished log-in leaves to the link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ready {
    /// What the server reported.
    pub params: Arc<Params>,
    /// Its id of this connection, which KILL takes.
    pub thread_id: u32,
    /// What is spoken.
    pub capabilities: Capabilities,
    /// The collation that its connection began with.
    pub collation: u8,
    /// The database that it is in already, by the server's or the proxy's init query.
    pub database: Option<Arc<[u8]>>,
    /// The proxy's init query that was run.
    pub init_query: Option<Arc<str>>,
}

/// A backend's log-in. `L` is what becomes of it.
#[derive(Debug)]
pub struct Connecting<L> {
    ask: BackendAsk,
    seed: [u8; SEED],
    state: State,
    /// The number of the packet that comes next, whoever sends it.
    sequence: u8,
    ready: Option<Ready>,
    link: PhantomData<fn() -> L>,
}

#[derive(Clone, Debug)]
enum State {
    /// The server is to greet.
    Greeting,
    /// SSLRequest is sent, and the response is to be made for this.
    Tls(Asked),
    /// A proof is sent.
    Auth(Asked),
    /// It asked for the password, and was asked for its key.
    Key(Asked),
    /// The password is sent.
    Told,
    /// What the session is to report is being set.
    Setup,
    /// The init query runs.
    Init(Answer),
    /// Several statements a query are being forbidden again.
    Option,
}

/// What the server asked for last.
#[derive(Clone, Debug)]
struct Asked {
    /// `None`: a plugin that isn't spoken here.
    method: Option<UserMethod>,
    scramble: Box<[u8]>,
    /// It asked for another plugin than at first.
    switched: bool,
}

/// Why a log-in ends in failure.
type Fails<T = ()> = Result<T, BackendFailure>;

fn broken(message: impl Into<String>) -> BackendFailure {
    BackendFailure::found(BackendFault::Garbled, message)
}

fn lacking(message: impl Into<String>) -> BackendFailure {
    BackendFailure::found(BackendFault::Unavailable, message)
}

impl<L: From<Ready>> BackendLogin for Connecting<L> {
    type Link = L;
    type Credential = Credential;

    fn start(ask: BackendAsk, random: &mut dyn FnMut(&mut [u8]), _: &mut Vec<u8>) -> Self {
        let mut seed = [0; SEED];
        random(&mut seed);
        Self {
            ask,
            seed,
            state: State::Greeting,
            sequence: 0,
            ready: None,
            link: PhantomData,
        }
    }

    fn feed(
        &mut self,
        input: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> (usize, BackendProgress<L>) {
        let mut used = 0;
        loop {
            match (&self.state, tls) {
                (State::Tls(_), None) => return (used, BackendProgress::NeedMore),
                (State::Tls(asked), Some(tls)) => {
                    let asked = asked.clone();
                    if let Err(failure) = self.respond(asked, Some(tls), out) {
                        return (used, BackendProgress::Failed(failure));
                    }
                }
                _ => {}
            }
            let rest = input.get(used..).unwrap_or_default();
            let (payload, total) = match self.packet(rest) {
                Ok(Some(read)) => read,
                Ok(None) => return (used, BackendProgress::NeedMore),
                Err(failure) => return (used, BackendProgress::Failed(failure)),
            };
            used += total;
            let behind = rest.len() > total;
            match self.message(&payload, behind, tls, out) {
                Ok(Next::More) => {}
                Ok(Next::StartTls) => return (used, BackendProgress::StartTls),
                Ok(Next::Ready(ready)) => return (used, BackendProgress::Ready(L::from(ready))),
                Err(failure) => return (used, BackendProgress::Failed(failure)),
            }
        }
    }
}

/// Where a message led.
enum Next {
    More,
    StartTls,
    Ready(Ready),
}

impl<L> Connecting<L> {
    /// The server's next payload.
    fn packet<'a>(&mut self, input: &'a [u8]) -> Fails<Option<(Cow<'a, [u8]>, usize)>> {
        let longest = match self.state {
            State::Init(_) => LONGEST_ANSWER,
            _ => LONGEST,
        };
        match frame::payload(input, self.sequence, longest) {
            Gathered::NeedMore => Ok(None),
            Gathered::Payload { body, total, next } => {
                self.sequence = next;
                Ok(Some((body, total)))
            }
            Gathered::TooLong => Err(broken("the server sent more than a log-in has")),
            Gathered::OutOfOrder => Err(broken("the server's packets are out of order")),
        }
    }

    fn message(
        &mut self,
        payload: &[u8],
        behind: bool,
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> Fails<Next> {
        // No greeting, column or row begins so.
        if payload.first() == Some(&error::TAG) {
            return Err(self.refused(payload));
        }
        match self.state.clone() {
            State::Greeting if behind => {
                // Nothing has been asked for yet; inside TLS it would be taken for an answer.
                Err(broken("the server sent bytes behind its greeting"))
            }
            State::Greeting => self.greeted(payload, out),
            State::Auth(asked) => self.authenticate(asked, payload, tls, out),
            State::Key(asked) => self.key(&asked, payload, out),
            State::Told => self.logged_in(payload, out),
            State::Setup => {
                self.end_of(Answer::Head, payload)?;
                self.initialise(out)
            }
            State::Init(answer) => self.initialising(answer, payload, out),
            State::Option => match payload.first() {
                Some(&(ok::TAG | ok::END_OF_ROWS)) => self.over(),
                _ => Err(broken("an unexpected answer to COM_SET_OPTION")),
            },
            State::Tls(_) => Err(broken("the server speaks instead of TLS")),
        }
    }

    fn greeted(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Fails<Next> {
        let greeting = greeting::parse(payload)
            .ok_or_else(|| broken("not a greeting of MySQL's or MariaDB's since 4.1"))?;
        let version = String::from_utf8_lossy(greeting.version);
        let server = greeting.capabilities;
        let wanted = Manner::of(&self.ask.identity).capabilities;
        let lacks = NEEDED.iter().find(|(needed, _)| !server.has(*needed));
        if let Some((_, name)) = lacks {
            return Err(lacking(format!(
                "the server ({version}) has no {name}: MySQL 5.7.8 or MariaDB 10.2.2 is the least"
            )));
        }
        let found = Server::new(&version);
        if found.kind == Kind::MariaDb && found.number >= MISREPORTS {
            return Err(lacking(format!(
                "the server ({version}) tells of other variables than those that were set: \
                 it must be MariaDB 10.2 to 10.11"
            )));
        }
        if wanted.has(QUERY_ATTRIBUTES) && !server.has(QUERY_ATTRIBUTES) {
            return Err(lacking(format!(
                "the server ({version}) has no query attributes, which the proxy has offered"
            )));
        }
        let init_query = self.ask.init_query.clone();
        let several = init_query.is_some();
        let capabilities = ALWAYS
            .with(wanted)
            .set(MULTI_STATEMENTS, several || wanted.has(MULTI_STATEMENTS));
        let asked = Asked {
            method: UserMethod::of(greeting.plugin),
            scramble: greeting.scramble.into(),
            switched: false,
        };
        self.ready = Some(Ready {
            params: Arc::new(Params {
                server: found,
                version: version.into(),
                collation: greeting.collation,
                status: greeting.status,
                sql_mode: "".into(),
            }),
            thread_id: greeting.thread_id,
            capabilities,
            collation: Manner::of(&self.ask.identity).collation,
            database: None,
            init_query,
        });
        match (self.ask.tls_wanted, server.has(SSL)) {
            (true, false) if self.ask.tls_required => {
                Err(lacking("the server doesn't support TLS"))
            }
            (true, true) => {
                let opening = self.opening();
                self.sequence =
                    frame::packets(out, self.sequence, |out| ssl_request::write(&opening, out));
                self.state = State::Tls(asked);
                Ok(Next::StartTls)
            }
            _ => self.respond(asked, None, out).map(|()| Next::More),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let ready = self.ready.as_ref();
        ready.map_or(ALWAYS, |ready| ready.capabilities)
    }

    fn opening(&self) -> Opening {
        Opening {
            capabilities: self.capabilities(),
            longest_packet: frame::LONGEST as u32,
            collation: Manner::of(&self.ask.identity).collation,
        }
    }

    fn refused(&self, payload: &[u8]) -> BackendFailure {
        let Some(report) = error::parse(payload, self.capabilities()) else {
            return broken("a broken error");
        };
        let authenticated = matches!(self.state, State::Setup | State::Init(_) | State::Option);
        // What stands in place of a greeting comes from nobody in particular.
        let anonymous = matches!(self.state, State::Greeting);
        let theirs = authenticated || !anonymous && !is_of_password(report.code);
        BackendFailure {
            fault: fault(report.code),
            code: report.code.to_string(),
            message: String::from_utf8_lossy(report.message).into_owned(),
            verbatim: theirs.then(|| {
                let mut whole = Vec::new();
                frame::packets(&mut whole, 0, |out| out.extend_from_slice(payload));
                whole
            }),
        }
    }
}
