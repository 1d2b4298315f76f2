//! The client leg until the client has proved who it is.
//!
//! Driven by the front thread. Each state owns what it needs; a step takes the state out and puts
//! the next one in, so a failure can't leave half of one behind. After a refusal the machine
//! answers nothing more.

use std::mem;
use std::sync::Arc;

use dbproxy_engine::{Admission, ClientLogin, CloseReason, Failure, Reader};

use crate::auth::scram_server::{self, Challenged, Mechanism, Refusal};
use crate::auth::{self, md5, scram};
use crate::credential::{Credential, Handover, LoginEnv, LoginProgress, UserMethod};
use crate::message::error::Fault;
use crate::message::{body, build, frontend, peek, Peek};
use crate::startup::{self, First, Startup, PROTOCOL_3_0, PROTOCOL_3_2};
use crate::texts;

mod candidate;
mod refusals;

use candidate::Candidate;
use refusals::{negotiate, refuse_password, refuse_startup, refuse_version, violation};

/// The first byte of a TLS record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// The protocol's name in ALPN, without which direct TLS is refused.
pub(crate) const ALPN: &str = "postgresql";

/// A client's log-in.
#[derive(Debug, Default)]
pub struct Login {
    state: State,
    ssl_asked: bool,
    gss_asked: bool,
    /// It said something before TLS.
    spoke: bool,
    /// It began with TLS, without having asked for it.
    direct: bool,
    user: String,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    First,
    Sasl(Candidate),
    /// It named a mechanism and waits to be asked for the first message.
    SaslFirst(Candidate, Mechanism),
    SaslFinal(Candidate, Challenged),
    Md5(Candidate, [u8; 4]),
    Over,
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
                State::First => self.first(rest, env, out),
                State::Over => (rest.len(), Some(LoginProgress::NeedMore)),
                state => self.password(state, rest, env, out),
            };
            used += step;
            self.spoke |= step > 0 && env.tls.is_none();
            if let Some(progress) = progress {
                return (used, progress);
            }
        }
    }

    fn refuse(&self, failure: Failure, out: &mut Vec<u8>) {
        match failure {
            Failure::TooManyOfUser => texts::too_many_for("role", &self.user, out),
            other => texts::failure(other, true, out),
        }
    }

    fn claimed_user(&self) -> &str {
        &self.user
    }
}

/// How far one message led: bytes used, and the answer unless the next message is to be read.
type Step = (usize, Option<LoginProgress>);

fn close(reason: CloseReason) -> Option<LoginProgress> {
    Some(LoginProgress::Close(reason))
}

impl Login {
    /// It speaks TLS from its first byte on (PostgreSQL 17's `sslnegotiation=direct`).
    fn direct_tls(&mut self, env: &LoginEnv<'_>) -> Step {
        if !env.tls_available {
            return (0, close(CloseReason::TlsFailed));
        }
        self.direct = true;
        self.state = State::First;
        (0, Some(LoginProgress::StartTls))
    }

    fn first(&mut self, input: &[u8], env: &mut LoginEnv<'_>, out: &mut Vec<u8>) -> Step {
        if !self.spoke && env.tls.is_none() && input.first() == Some(&TLS_HANDSHAKE) {
            return self.direct_tls(env);
        }
        if self.direct
            && env
                .tls
                .is_some_and(|tls| tls.alpn.as_deref() != Some(ALPN.as_bytes()))
        {
            Fault::fatal("08P01", "direct TLS needs ALPN protocol postgresql").write(out);
            return (0, close(CloseReason::AlpnMissing));
        }
        let (length, first) = startup::first(input);
        match first {
            First::NeedMore => {
                self.state = State::First;
                (0, Some(LoginProgress::NeedMore))
            }
            First::Malformed => violation("invalid startup packet", out),
            First::CancelRequest(key) => (length, Some(LoginProgress::Cancel(key))),
            First::SslRequest if self.ssl_asked || env.tls.is_some() => {
                violation("SSLRequest where none can be", out)
            }
            First::GssEncRequest if self.gss_asked || env.tls.is_some() => {
                violation("GSSENCRequest where none can be", out)
            }
            First::SslRequest | First::GssEncRequest if input.len() > length => {
                Fault::fatal("08P01", "bytes came behind a request for encryption").write(out);
                (0, close(CloseReason::StuffedBytes))
            }
            First::SslRequest if env.tls_available => {
                self.ssl_asked = true;
                self.state = State::First;
                out.push(b'S');
                (length, Some(LoginProgress::StartTls))
            }
            First::SslRequest => {
                self.ssl_asked = true;
                self.state = State::First;
                out.push(b'N');
                (length, None)
            }
            First::GssEncRequest => {
                self.gss_asked = true;
                self.state = State::First;
                out.push(b'N');
                (length, None)
            }
            First::Startup {
                version,
                parameters,
            } => (length, self.startup(version, parameters, env, out)),
        }
    }

    fn startup(
        &mut self,
        version: u32,
        parameters: &[u8],
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Option<LoginProgress> {
        if version >> 16 != PROTOCOL_3_0 >> 16 {
            return refuse_version(version, out);
        }
        let spoken = version.min(PROTOCOL_3_2);
        match startup::protocol_options(parameters) {
            Ok(options) if spoken < version || !options.is_empty() => {
                negotiate(spoken, &options, out);
            }
            Ok(_) => {}
            Err(unusable) => return refuse_startup(unusable, out),
        }
        let startup = match startup::parse(parameters) {
            Ok(startup) => startup,
            Err(unusable) => return refuse_startup(unusable, out),
        };
        self.user = startup.identity.user.to_string();
        if env.tls_required && env.tls.is_none() {
            texts::TLS_REQUIRED.write(out);
            return close(CloseReason::TlsRequired);
        }
        if let Some((reason, failure)) = env.shut {
            texts::failure(failure, true, out);
            return close(reason);
        }
        let long_cancel_key = spoken >= PROTOCOL_3_2;
        self.state = challenge(startup, long_cancel_key, env, out);
        None
    }

    fn password(
        &mut self,
        state: State,
        input: &[u8],
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let total = match peek(input, frontend::longest_login_body) {
            Peek::Message {
                tag: frontend::TERMINATE,
                ..
            } => {
                return (0, close(CloseReason::ClientLeft));
            }
            Peek::Message { total, .. } if input.len() >= total => total,
            Peek::Message { .. } | Peek::NeedMore => {
                self.state = state;
                return (0, Some(LoginProgress::NeedMore));
            }
            Peek::Bad => return violation("expected password response", out),
        };
        let body = body(input, total);
        let outcome = match state {
            State::Sasl(candidate) => self.sasl_initial(candidate, body, env, out),
            State::SaslFirst(candidate, mechanism) => {
                self.sasl_first(candidate, mechanism, body, env, out)
            }
            State::SaslFinal(candidate, challenged) => sasl_final(candidate, challenged, body, out),
            State::Md5(candidate, salt) => md5_answer(candidate, salt, body),
            State::First | State::Over => return violation("unexpected password response", out),
        };
        match outcome {
            Ok(None) => (total, None),
            Ok(Some(admission)) => {
                build::authentication(out, auth::OK, |_| ());
                (total, Some(LoginProgress::Admitted(admission)))
            }
            Err(refused) => (total, refuse_password(&refused, out)),
        }
    }

    fn sasl_initial(
        &mut self,
        candidate: Candidate,
        body: &[u8],
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let offers_plus = env.tls.is_some_and(|tls| tls.end_point.is_some());
        match scram_server::initial(body, offers_plus) {
            Ok((mechanism, Some(first))) => self.sasl_first(candidate, mechanism, first, env, out),
            Ok((mechanism, None)) => {
                build::authentication(out, auth::SASL_CONTINUE, |_| ());
                self.state = State::SaslFirst(candidate, mechanism);
                Ok(None)
            }
            Err(refusal) => Err(candidate.refused(refusal)),
        }
    }

    fn sasl_first(
        &mut self,
        candidate: Candidate,
        mechanism: Mechanism,
        first: &[u8],
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let mut nonce = [0; scram::NONCE];
        (env.random)(&mut nonce);
        let end_point = env.tls.and_then(|tls| tls.end_point.as_deref());
        let verifier = candidate.verifiers.first().ok_or(Refusal::WrongPassword);
        let challenged = verifier.and_then(|verifier| {
            scram_server::challenge(mechanism, first, end_point, verifier, &nonce)
        });
        match challenged {
            Ok(challenged) => {
                build::authentication(out, auth::SASL_CONTINUE, |out| {
                    out.extend_from_slice(challenged.server_first().as_bytes());
                });
                self.state = State::SaslFinal(candidate, challenged);
                Ok(None)
            }
            Err(refusal) => Err(candidate.refused(refusal)),
        }
    }
}

/// A refusal, and whom it is for.
struct Refused {
    refusal: Refusal,
    user: Arc<str>,
    known: bool,
}

/// An admission, or nothing yet.
type Outcome = Result<Option<Admission<Handover>>, Refused>;

fn sasl_final(
    candidate: Candidate,
    challenged: Challenged,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Outcome {
    match challenged.finish(body, &candidate.verifiers) {
        Ok(server_final) if candidate.known => {
            build::authentication(out, auth::SASL_FINAL, |out| {
                out.extend_from_slice(server_final.as_bytes());
            });
            Ok(Some(candidate.admission()))
        }
        Ok(_) => Err(candidate.refused(Refusal::WrongPassword)),
        Err(refusal) => Err(candidate.refused(refusal)),
    }
}

fn md5_answer(candidate: Candidate, salt: [u8; 4], body: &[u8]) -> Outcome {
    let answer = Reader::new(body).cstr().unwrap_or_default();
    // All are tried, known user or not, so that time tells nothing.
    let mut proven = false;
    for verifier in candidate.verifiers.iter() {
        proven |= md5::proves(answer, &verifier.md5, &salt);
    }
    if proven && candidate.known {
        Ok(Some(candidate.admission()))
    } else {
        Err(candidate.refused(Refusal::WrongPassword))
    }
}

/// Asks for the password in the way of the user; of an unknown one, in the way of one of the others.
fn challenge(
    startup: Startup,
    long_cancel_key: bool,
    env: &mut LoginEnv<'_>,
    out: &mut Vec<u8>,
) -> State {
    let (candidate, method) = Candidate::new(startup, long_cancel_key, env.users);
    match method {
        UserMethod::ScramSha256 => {
            let binds = env.tls.is_some_and(|tls| tls.end_point.is_some());
            build::authentication(out, auth::SASL, |out| {
                if binds {
                    build::text(out, auth::SCRAM_SHA_256_PLUS.as_bytes());
                }
                build::text(out, auth::SCRAM_SHA_256.as_bytes());
                out.push(0);
            });
            State::Sasl(candidate)
        }
        UserMethod::Md5 => {
            let mut salt = [0; 4];
            (env.random)(&mut salt);
            build::authentication(out, auth::MD5, |out| out.extend_from_slice(&salt));
            State::Md5(candidate, salt)
        }
    }
}
