//! The server leg until it is ready for queries: TLS, password, reports, the init query.
//!
//! Driven by the worker that opened the connection; becomes a [`Link`](crate::Link).

use std::sync::Arc;

use dbproxy_engine::{BackendFailure, BackendLogin, BackendProgress, Reader, TlsFacts};

use crate::auth::refused::Refused;
use crate::auth::scram_client::{self, Asked, Begun, Failed, Proven};
use crate::auth::{self, md5, scram};
use crate::credential::{BackendAsk, Credential, UserMethod};
use crate::failure::{failed, fault};
use crate::link::{Key, Link};
use crate::message::{backend, body, build, error, frontend, peek, Peek};
use crate::params::Params;
use crate::settings::traces;
use crate::startup::{self, SslAnswer, PROTOCOL_3_0};
use crate::statement::{classify, Dialect};

/// A backend's log-in.
#[derive(Debug)]
pub struct Connecting {
    ask: BackendAsk,
    nonce: [u8; scram::NONCE],
    state: State,
    params: Params,
    key: Option<Key>,
}

#[derive(Debug)]
enum State {
    /// SSLRequest is sent.
    Ssl,
    /// The handshake runs.
    Tls,
    /// StartupMessage is sent.
    Auth,
    Sasl(Begun),
    /// The password's key is being derived.
    SaslKey(Asked),
    SaslFinal(Proven),
    /// The server's signature was right, AuthenticationOk must follow.
    SaslDone,
    /// A password is sent, by a method that proves nothing of the server.
    Answered,
    /// AuthenticationOk came.
    Reports,
    /// The init query runs.
    Init,
}

impl BackendLogin for Connecting {
    type Link = Link;
    type Credential = Credential;

    fn start(ask: BackendAsk, random: &mut dyn FnMut(&mut [u8]), out: &mut Vec<u8>) -> Self {
        let mut nonce = [0; scram::NONCE];
        random(&mut nonce);
        let state = if ask.tls_wanted {
            startup::write_ssl_request(out);
            State::Ssl
        } else {
            startup::write_startup(out, &ask.identity);
            State::Auth
        };
        Self {
            ask,
            nonce,
            state,
            params: Params::default(),
            key: None,
        }
    }

    fn feed(
        &mut self,
        input: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> (usize, BackendProgress<Link>) {
        match self.state {
            State::Ssl => self.ssl_answer(input, out),
            State::Tls if tls.is_none() => (0, BackendProgress::NeedMore),
            State::Tls => {
                startup::write_startup(out, &self.ask.identity);
                self.state = State::Auth;
                self.messages(input, tls, out)
            }
            _ => self.messages(input, tls, out),
        }
    }
}

/// A message led to the end of the log-in, good or bad.
enum End {
    Ready,
    Failed(BackendFailure),
}

fn broken(message: impl Into<String>) -> End {
    End::Failed(failed("08P01", message))
}

impl From<Failed> for End {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Broken(why) => broken(why),
            Failed::Refused(what) => Self::Failed(what.failure()),
        }
    }
}

impl Connecting {
    fn ssl_answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, BackendProgress<Link>) {
        let failure = match startup::ssl_answer(input) {
            SslAnswer::NeedMore => return (0, BackendProgress::NeedMore),
            SslAnswer::Granted => {
                self.state = State::Tls;
                return (1, BackendProgress::StartTls);
            }
            SslAnswer::Refused if !self.ask.tls_required => {
                startup::write_startup(out, &self.ask.identity);
                self.state = State::Auth;
                return (1, BackendProgress::NeedMore);
            }
            SslAnswer::Refused => failed("08001", "the server doesn't support TLS"),
            SslAnswer::Stuffed => {
                let message = "the server sent bytes behind its answer to SSLRequest";
                failed("08001", message)
            }
            // Anything a server says here comes from nobody in particular: it isn't passed on.
            SslAnswer::Unexpected => failed("08001", "unexpected answer to SSLRequest"),
        };
        (0, BackendProgress::Failed(failure))
    }

    fn messages(
        &mut self,
        input: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> (usize, BackendProgress<Link>) {
        let mut used = 0;
        loop {
            if !self.prove(out) {
                return (used, BackendProgress::Working);
            }
            let rest = input.get(used..).unwrap_or_default();
            let (tag, total) = match peek(rest, backend::longest_login_body) {
                Peek::NeedMore => return (used, BackendProgress::NeedMore),
                Peek::Bad => {
                    let failure = failed("08P01", "not a message of the PostgreSQL protocol");
                    return (used, BackendProgress::Failed(failure));
                }
                Peek::Message { total, .. } if rest.len() < total => {
                    return (used, BackendProgress::NeedMore);
                }
                Peek::Message { tag, total } => (tag, total),
            };
            let whole = rest.get(..total).unwrap_or_default();
            used += total;
            match self.message(tag, whole, tls, out) {
                Ok(()) => {}
                Err(End::Ready) => {
                    let params = std::mem::take(&mut self.params);
                    let mut link =
                        Link::new(params, self.key.take(), self.ask.init_query.is_some());
                    link.given = self.given();
                    return (used, BackendProgress::Ready(link));
                }
                Err(End::Failed(failure)) => return (used, BackendProgress::Failed(failure)),
            }
        }
    }

    fn message(
        &mut self,
        tag: u8,
        whole: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        let body = body(whole, whole.len());
        match (tag, &self.state) {
            (backend::ERROR_RESPONSE, _) => Err(End::Failed(self.refused(whole, body))),
            (backend::NOTICE_RESPONSE, _) => Ok(()),
            (
                backend::AUTHENTICATION,
                State::Auth
                | State::Answered
                | State::Sasl(_)
                | State::SaslFinal(_)
                | State::SaslDone,
            ) => self.authentication(body, tls, out).map_err(End::from),
            (backend::PARAMETER_STATUS, State::Reports | State::Init) => {
                let (name, value) = parameter(body).ok_or_else(|| broken("broken report"))?;
                if name == "application_name" {
                    self.params.set_own_name(value);
                } else {
                    let set = self.params.set(name, value);
                    set.map_err(|_| broken("the server reports too many parameters"))?;
                }
                Ok(())
            }
            (backend::BACKEND_KEY_DATA, State::Reports) => {
                self.key = key(body);
                Ok(())
            }
            // It has nothing to negotiate: what it was asked for is the least that there is.
            (backend::NEGOTIATE_PROTOCOL_VERSION, State::Auth)
                if body.starts_with(&PROTOCOL_3_0.to_be_bytes()) =>
            {
                Ok(())
            }
            (backend::NEGOTIATE_PROTOCOL_VERSION, State::Auth) => {
                Err(broken("the server wants another protocol than 3.0"))
            }
            (backend::READY_FOR_QUERY, State::Reports) => match self.ask.init_query.clone() {
                Some(sql) => {
                    build::query(out, sql.as_bytes());
                    self.state = State::Init;
                    Ok(())
                }
                None => Err(End::Ready),
            },
            (backend::READY_FOR_QUERY, State::Init) if body == b"I" => Err(End::Ready),
            (backend::READY_FOR_QUERY, State::Init) => {
                Err(broken("the init query left a transaction open"))
            }
            (backend::COPY_IN_RESPONSE, _) => Err(broken("the init query waits for COPY data")),
            (_, State::Init) => Ok(()),
            _ => Err(broken(format!(
                "unexpected message {:?} during log-in",
                char::from(tag)
            ))),
        }
    }

    /// Answers the SCRAM challenge, if there is one, unless its key needs more work.
    fn prove(&mut self, out: &mut Vec<u8>) -> bool {
        let State::SaslKey(asked) = &self.state else {
            return true;
        };
        let Some((answer, proven)) = asked.answer() else {
            return false;
        };
        build::message(out, frontend::PASSWORD, |out| {
            out.extend_from_slice(answer.as_bytes());
        });
        self.state = State::SaslFinal(proven);
        true
    }

    /// The custom settings that it has by its log-in.
    fn given(&self) -> Box<[Arc<str>]> {
        let settings = self.ask.identity.settings.iter();
        let init = self.ask.init_query.as_deref().map(made).into_iter();
        let own = settings
            .clone()
            .map(|(name, _)| name.to_ascii_lowercase().into());
        let options = settings.filter(|(name, _)| **name == *"options");
        let options = options.flat_map(|(_, value)| traces::of_options(value));
        own.chain(options).chain(init.flatten()).collect()
    }

    fn refused(&self, whole: &[u8], body: &[u8]) -> BackendFailure {
        let report = error::report(body);
        let authenticated = matches!(self.state, State::Reports | State::Init);
        let credentials = report.code.starts_with(b"28");
        BackendFailure {
            fault: fault(report.code),
            code: String::from_utf8_lossy(report.code).into_owned(),
            message: String::from_utf8_lossy(report.message).into_owned(),
            verbatim: (authenticated || !credentials).then(|| whole.to_vec()),
        }
    }

    fn authentication(
        &mut self,
        body: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failed> {
        let verified = tls.is_some_and(|tls| tls.verified);
        let refused = |what| Err(Failed::Refused(what));
        let mut reader = Reader::new(body);
        let kind = reader.u32().map_err(|_| "broken authentication request")?;
        match (kind, &self.state) {
            (auth::OK, State::Auth) if self.ask.tls_wanted && !verified => {
                return refused(Refused::NoProof);
            }
            (auth::OK, State::Auth | State::Answered | State::SaslDone) => {
                self.state = State::Reports;
            }
            (auth::CLEARTEXT, State::Auth) if !verified => return refused(Refused::ClearText),
            (auth::CLEARTEXT, State::Auth) => {
                password(out, self.ask.password.reveal());
                self.state = State::Answered;
            }
            (auth::MD5, State::Auth)
                if self.ask.credential.method != UserMethod::Md5 && !verified =>
            {
                return refused(Refused::Md5);
            }
            (auth::MD5, State::Auth) => {
                let salt = reader
                    .take(4)
                    .map_err(|_| "broken authentication request")?;
                let stored = md5::stored(&self.ask.identity.user, self.ask.password.reveal());
                password(out, &md5::response(&stored, salt));
                self.state = State::Answered;
            }
            (auth::SASL, State::Auth) => {
                let end_point = tls.and_then(|tls| tls.end_point.as_deref());
                let begun = scram_client::begin(reader.rest(), end_point, &self.nonce)?;
                sasl_first(out, &begun);
                self.state = State::Sasl(begun);
            }
            (auth::SASL_CONTINUE, State::Sasl(begun)) => {
                let asked = begun.challenged(reader.rest(), &self.ask.password, &self.ask.keys)?;
                self.state = State::SaslKey(asked);
            }
            (auth::SASL_FINAL, State::SaslFinal(proven)) => {
                proven.check(reader.rest())?;
                self.state = State::SaslDone;
            }
            _ => return Err("the server asks for an authentication that isn't supported".into()),
        }
        Ok(())
    }
}

/// The custom settings that a text sets.
fn made(sql: &str) -> Vec<Arc<str>> {
    let dialect = Dialect {
        literal_backslashes: true,
        ascii_safe: true,
    };
    let acts = classify(sql.as_bytes(), dialect).acts;
    let acts = acts.iter().flat_map(|script| &script.acts);
    acts.filter_map(|(_, act)| act.makes().cloned()).collect()
}

fn password(out: &mut Vec<u8>, password: &str) {
    build::message(out, frontend::PASSWORD, |out| {
        build::text(out, password.as_bytes());
    });
}

fn sasl_first(out: &mut Vec<u8>, begun: &Begun) {
    build::message(out, frontend::PASSWORD, |out| {
        let first = begun.first();
        build::text(out, begun.mechanism.as_bytes());
        out.extend_from_slice(&(first.len() as u32).to_be_bytes());
        out.extend_from_slice(first.as_bytes());
    });
}

fn key(body: &[u8]) -> Option<Key> {
    let mut reader = Reader::new(body);
    let id = reader.u32().ok()?;
    let secret = reader.rest();
    (!secret.is_empty() && secret.len() <= 256).then(|| Key {
        id,
        secret: secret.into(),
    })
}

/// Name and value of a ParameterStatus; the value is in the client's encoding.
pub(crate) fn parameter(body: &[u8]) -> Option<(&str, &[u8])> {
    let mut reader = Reader::new(body);
    let name = std::str::from_utf8(reader.cstr().ok()?).ok()?;
    Some((name, reader.cstr().ok()?))
}
