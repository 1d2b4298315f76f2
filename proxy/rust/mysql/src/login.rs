//! The client leg until the client has proved who it is: the proxy greets, the client responds, by TLS or
//! not, and is asked for a proof by its user's plugin if the one that it gave is by another.
//!
//! Driven by the front thread. Each state owns what it needs; a step takes the state out and puts
//! the next one in, so a failure can't leave half of one behind. After a refusal the machine
//! answers nothing more. The OK that ends a log-in leaves with its worker's welcome
//! ([`crate::Params::welcome`]).

use std::borrow::Cow;
use std::mem;

use dbproxy_engine::{ClientLogin, CloseReason, Failure, TlsFacts};

use crate::auth::caching_sha2;
use crate::credential::{Credential, Handover, LoginEnv, LoginProgress, Scramble, UserMethod};
use crate::message::auth_switch::AuthSwitch;
use crate::message::capability::*;
use crate::message::frame::{self, Gathered};
use crate::message::greeting::Greeting;
use crate::message::{auth_more_data, handshake_response, ssl_request, status};
use crate::params::{Kind, Server};
use crate::texts::{self, Fault};

mod again;
mod candidate;
mod certificate;
mod challenge;
mod refusals;

pub(crate) use again::{Former, MOST_FAILURES};
use candidate::Candidate;
use challenge::Challenge;

/// The first byte of a TLS record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// The longest payload that a client may send: a response with all the attributes that servers take.
const LONGEST: usize = 0x1_0000;
/// `utf8mb4_0900_ai_ci`, the default of MySQL since 8.0.
const MYSQL_COLLATION: u8 = 255;
/// `utf8mb4_general_ci`, which every other one has.
const COLLATION: u8 = 45;
/// The first MySQL whose default plugin is `caching_sha2_password`, and the first with query attributes.
const CACHING_SHA2_SINCE: u32 = 80_000;
const ATTRIBUTES_SINCE: u32 = 80_023;
/// The first MariaDB of whose certificate clients want a proof.
const PROVES_SINCE: u32 = 110_401;

/// A client's log-in.
#[derive(Debug, Default)]
pub struct Login {
    state: State,
    /// The number of the packet that comes next, whoever sends it.
    sequence: u8,
    user: String,
    /// Who the client was, if it logs in again.
    former: Option<Box<(Former, std::sync::Arc<str>)>>,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing is said.
    #[default]
    Silent,
    /// The client is to respond, or to ask for TLS.
    Greeted(Greeted),
    /// It was asked for a proof.
    Asked(Candidate, Challenge),
    /// It is logged in, and is to say who else it is.
    Again,
    Over,
}

#[derive(Debug)]
struct Greeted {
    challenge: Challenge,
    offered: Capabilities,
    /// As a server whose OK proves its certificate.
    proves: bool,
}

impl ClientLogin for Login {
    type Credential = Credential;
    type Handover = Handover;

    fn feed(
        &mut self,
        input: &[u8],
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> (usize, LoginProgress) {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let (step, progress) = match mem::replace(&mut self.state, State::Over) {
                State::Silent => (0, self.greet(env, out)),
                State::Greeted(greeted) => self.response(greeted, rest, env, out),
                State::Asked(candidate, challenge) => {
                    self.proof(candidate, challenge, rest, env.tls, out)
                }
                State::Again => self.change(rest, env, out),
                State::Over => (rest.len(), Some(LoginProgress::NeedMore)),
            };
            used += step;
            if let Some(progress) = progress {
                return (used, self.unless_it_stays(progress));
            }
        }
    }

    fn refuse(&self, failure: Failure, out: &mut Vec<u8>) {
        let fault = texts::failure(failure);
        match self.state {
            State::Silent => fault.write_bare(self.sequence, out),
            // It is the client's turn: it reads this when it has had that.
            State::Greeted(_) | State::Asked(..) | State::Again => {
                fault.write(self.sequence.wrapping_add(1), out)
            }
            State::Over => fault.write(self.sequence, out),
        };
    }

    fn claimed_user(&self) -> &str {
        &self.user
    }
}

/// How far one packet led: bytes used, and the answer unless the next one is to be read.
type Step = (usize, Option<LoginProgress>);

/// A payload and how many bytes it took, nothing yet, or why nothing comes of it.
type Read<'a> = Result<Option<(Cow<'a, [u8]>, usize)>, CloseReason>;

impl Login {
    /// Says who the proxy is: as soon as it knows itself.
    fn greet(&mut self, env: &mut LoginEnv<'_>, out: &mut Vec<u8>) -> Option<LoginProgress> {
        let Some(version) = env.version else {
            self.state = State::Silent;
            return Some(LoginProgress::NeedMore);
        };
        let server = Server::new(version);
        let by_default = match server.is_mysql(CACHING_SHA2_SINCE) {
            true => UserMethod::CachingSha2,
            false => UserMethod::Native,
        };
        let challenge = Challenge {
            method: by_default,
            scramble: Scramble::draw(env.random),
        };
        let offered = offered(server, env.tls_available);
        let greeting = Greeting {
            version: version.as_bytes(),
            thread_id: env.id,
            scramble: challenge.short(),
            capabilities: offered,
            collation: match server.is_mysql(CACHING_SHA2_SINCE) {
                true => MYSQL_COLLATION,
                false => COLLATION,
            },
            status: status::AUTOCOMMIT,
            plugin: by_default.plugin(),
        };
        self.sequence = frame::packets(out, self.sequence, |out| greeting.write(out));
        self.state = State::Greeted(Greeted {
            challenge,
            offered,
            proves: server.kind == Kind::MariaDb && server.number >= PROVES_SINCE,
        });
        None
    }

    fn response(
        &mut self,
        greeted: Greeted,
        input: &[u8],
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let (payload, total) = match self.packet(input, out) {
            Ok(Some(read)) => read,
            Ok(None) => {
                self.state = State::Greeted(greeted);
                return (0, Some(LoginProgress::NeedMore));
            }
            Err(reason) => return (0, close(reason)),
        };
        if env.tls.is_none() && ssl_request::parse(&payload).is_some() {
            let behind = input.get(total..).unwrap_or_default();
            return (total, self.begin_tls(greeted, behind, env, out));
        }
        if is_too_old(&payload) {
            // Of the protocol before 4.1 it may be.
            self.sequence = refusals::too_old().write_bare(self.sequence, out);
            return (total, close(CloseReason::UnsupportedStartup));
        }
        let answer = match handshake_response::parse(&payload) {
            Some(response) if env.tls.is_some() || !response.opening.capabilities.has(SSL) => {
                self.respond(greeted, &response, env, out)
            }
            // It speaks of TLS, and doesn't begin it.
            _ => self.refused(
                &refusals::bad_handshake(),
                CloseReason::ProtocolViolation,
                out,
            ),
        };
        (total, answer)
    }

    /// The client wants TLS, and doesn't wait for an answer: its handshake may have come already. Anything
    /// else behind the request would be taken for something that came inside.
    fn begin_tls(
        &mut self,
        greeted: Greeted,
        behind: &[u8],
        env: &LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Option<LoginProgress> {
        if !env.tls_available {
            let fault = refusals::bad_handshake();
            return self.refused(&fault, CloseReason::ProtocolViolation, out);
        }
        if behind.first().is_some_and(|first| *first != TLS_HANDSHAKE) {
            return self.refused(&refusals::stuffed(), CloseReason::StuffedBytes, out);
        }
        self.state = State::Greeted(greeted);
        Some(LoginProgress::StartTls)
    }

    fn respond(
        &mut self,
        greeted: Greeted,
        response: &handshake_response::HandshakeResponse<'_>,
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Option<LoginProgress> {
        let candidate = Candidate::new(response, &greeted, env.users);
        self.user = candidate.user.to_string();
        if env.tls_required && env.tls.is_none() {
            return self.refused(&refusals::tls_required(), CloseReason::TlsRequired, out);
        }
        if let Some((reason, failure)) = env.shut {
            return self.refused(&texts::failure(failure), reason, out);
        }
        let method = candidate.method;
        let guessed = response.plugin == Some(method.plugin());
        let challenge = greeted.challenge.by(method);
        if guessed && greeted.challenge.is_answered(method, response.proof) {
            return self.judge(candidate, &challenge, response.proof, env.tls, out);
        }
        self.ask(candidate, challenge, out);
        None
    }

    /// Asks for a proof by the user's plugin.
    fn ask(&mut self, candidate: Candidate, challenge: Challenge, out: &mut Vec<u8>) {
        let switch = AuthSwitch {
            plugin: candidate.method.plugin(),
            data: &challenge.data(),
        };
        self.sequence = frame::packets(out, self.sequence, |out| switch.write(out));
        self.state = State::Asked(candidate, challenge);
    }

    fn proof(
        &mut self,
        candidate: Candidate,
        challenge: Challenge,
        input: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> Step {
        match self.packet(input, out) {
            Ok(Some((proof, total))) => {
                (total, self.judge(candidate, &challenge, &proof, tls, out))
            }
            Ok(None) => {
                self.state = State::Asked(candidate, challenge);
                (0, Some(LoginProgress::NeedMore))
            }
            Err(reason) => (0, close(reason)),
        }
    }

    fn judge(
        &mut self,
        candidate: Candidate,
        challenge: &Challenge,
        proof: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> Option<LoginProgress> {
        let proven = challenge.met_by(proof, &candidate.verifiers);
        let Some(kept) = proven.filter(|_| candidate.known) else {
            let reason = match candidate.known {
                true => CloseReason::AuthenticationFailed,
                false => CloseReason::UnknownUser,
            };
            return self.refused(&refusals::denied(&candidate.user, proof), reason, out);
        };
        let seed = candidate.seed.as_ref();
        let certificate =
            seed.and_then(|seed| certificate::proof(kept, challenge.method, seed, tls));
        if challenge.method == UserMethod::CachingSha2 {
            self.sequence = frame::packets(out, self.sequence, |out| {
                auth_more_data::write(caching_sha2::FAST_PASSED, out);
            });
        }
        let admission = candidate.admission(self.sequence, challenge.scramble, certificate);
        Some(LoginProgress::Admitted(admission))
    }

    /// The client's next payload. It is its turn, so the number is known.
    fn packet<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> Read<'a> {
        let (fault, reason) = match frame::payload(input, self.sequence, LONGEST) {
            Gathered::NeedMore => return Ok(None),
            Gathered::Payload { body, total, next } => {
                self.sequence = next;
                return Ok(Some((body, total)));
            }
            Gathered::TooLong => (refusals::too_long(), CloseReason::MessageTooLarge),
            Gathered::OutOfOrder => (refusals::out_of_order(), CloseReason::ProtocolViolation),
        };
        self.sequence = fault.write(self.sequence.wrapping_add(1), out);
        Err(reason)
    }

    fn refused(
        &mut self,
        fault: &Fault,
        reason: CloseReason,
        out: &mut Vec<u8>,
    ) -> Option<LoginProgress> {
        self.sequence = fault.write(self.sequence, out);
        close(reason)
    }
}

fn close(reason: CloseReason) -> Option<LoginProgress> {
    Some(LoginProgress::Close(reason))
}

/// What the proxy can do as a server of that version: what is honoured from end to end, and by the version
/// that it says it is.
fn offered(server: Server, tls: bool) -> Capabilities {
    LONG_FLAG
        .with(FOUND_ROWS)
        .with(CONNECT_WITH_DB)
        .with(LOCAL_FILES)
        .with(IGNORE_SPACE)
        .with(PROTOCOL_41)
        .with(INTERACTIVE)
        .with(TRANSACTIONS)
        .with(SECURE_CONNECTION)
        .with(MULTI_STATEMENTS)
        .with(MULTI_RESULTS)
        .with(PS_MULTI_RESULTS)
        .with(PLUGIN_AUTH)
        .with(CONNECT_ATTRS)
        .with(PLUGIN_AUTH_LENENC)
        .with(CAN_HANDLE_EXPIRED_PASSWORDS)
        .with(SESSION_TRACK)
        .with(DEPRECATE_EOF)
        .set(LONG_PASSWORD, server.kind == Kind::MySql)
        .set(QUERY_ATTRIBUTES, server.is_mysql(ATTRIBUTES_SINCE))
        .set(SSL, tls)
}

/// Whether a response lacks what a log-in needs: those before 4.1 have their capabilities in two bytes.
fn is_too_old(payload: &[u8]) -> bool {
    let Some((low, _)) = payload.split_first_chunk::<2>() else {
        return false;
    };
    let low = Capabilities::from_wire(u16::from_le_bytes(*low).into(), 0);
    let rest = payload.get(2..4).and_then(|high| high.first_chunk::<2>());
    let high = rest.map_or(0, |high| u32::from(u16::from_le_bytes(*high)) << 16);
    let high = Capabilities::from_wire(high, 0);
    !low.has(PROTOCOL_41.with(SECURE_CONNECTION)) || !high.has(PLUGIN_AUTH)
}
