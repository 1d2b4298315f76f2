//! How the proxy proves its password to a server.

use std::sync::Arc;

use dbproxy_engine::TlsFacts;

use crate::auth::{caching_sha2, ed25519, native};
use crate::credential::UserMethod;
use crate::message::capability::SSL;
use crate::message::handshake_response::HandshakeResponse;
use crate::message::{auth_more_data, auth_switch, frame, ok};

use super::trust::{self, Gives};
use super::{broken, Asked, Connecting, Fails, Next, State};

/// Asks for the password as it is.
const CLEAR_PASSWORD: &[u8] = b"mysql_clear_password";

impl<L> Connecting<L> {
    /// Answers the greeting: with a proof where the server has asked for one that it may have.
    pub(super) fn respond(
        &mut self,
        asked: Asked,
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> Fails {
        let own = self.ask.credential.method;
        let verified = tls.is_some_and(|tls| tls.verified);
        let fair = asked.method.filter(|method| {
            *method != UserMethod::Ed25519 && Gives::by(*method).allowed(own, verified).is_ok()
        });
        let (plugin, proof) = match fair {
            Some(method) => (method.plugin(), self.proof(method, &asked.scramble)?),
            // By this one no server takes it for an empty password: each asks again.
            None => (ed25519::PLUGIN, Vec::new()),
        };
        let mut opening = self.opening();
        if tls.is_some() {
            opening.capabilities = opening.capabilities.with(SSL);
        }
        let user = Arc::clone(&self.ask.identity.user);
        let response = HandshakeResponse {
            opening,
            user: user.as_bytes(),
            proof: &proof,
            database: None,
            plugin: Some(plugin),
            attributes: None,
            zstd_level: None,
        };
        self.sequence = frame::packets(out, self.sequence, |out| response.write(out));
        self.state = State::Auth(Asked {
            method: UserMethod::of(plugin),
            ..asked
        });
        Ok(())
    }

    fn proof(&self, method: UserMethod, scramble: &[u8]) -> Fails<Vec<u8>> {
        let password = self.ask.password.reveal().as_bytes();
        let short = || broken("a scramble of another length than the plugin's");
        Ok(match method {
            UserMethod::CachingSha2 => {
                let scramble = scramble.first_chunk().ok_or_else(short)?;
                caching_sha2::proof(password, scramble)
            }
            UserMethod::Native => {
                native::proof(password, scramble.first_chunk().ok_or_else(short)?)
            }
            UserMethod::Ed25519 => {
                ed25519::proof(password, scramble.first_chunk().ok_or_else(short)?)
            }
        })
    }

    pub(super) fn authenticate(
        &mut self,
        asked: Asked,
        payload: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> Fails<Next> {
        match payload.first() {
            Some(&ok::TAG) => self.logged_in(payload, out),
            Some(&auth_switch::TAG) if !asked.switched => self.switch(payload, tls, out),
            Some(&auth_more_data::TAG) if asked.method == Some(UserMethod::CachingSha2) => {
                match auth_more_data::parse(payload) {
                    Some(caching_sha2::FAST_PASSED) => self.state = State::Told,
                    Some(caching_sha2::FULL_WANTED) => return self.full(asked, tls, out),
                    _ => return Err(broken("an unexpected answer of caching_sha2_password")),
                }
                Ok(Next::More)
            }
            _ => Err(broken("an unexpected message during log-in")),
        }
    }

    fn switch(&mut self, payload: &[u8], tls: Option<&TlsFacts>, out: &mut Vec<u8>) -> Fails<Next> {
        let switch = auth_switch::parse(payload).ok_or_else(|| broken("a broken AuthSwitch"))?;
        let own = self.ask.credential.method;
        let verified = tls.is_some_and(|tls| tls.verified);
        let method = UserMethod::of(switch.plugin);
        let answer = match method {
            Some(method) => {
                Gives::by(method).allowed(own, verified)?;
                self.proof(method, switch.data)?
            }
            None if switch.plugin == CLEAR_PASSWORD => {
                Gives::ClearText.allowed(own, verified)?;
                self.in_clear()?
            }
            None => {
                return Err(trust::refused(format!(
                    "the server asks for a log-in by {}, which the proxy can't do",
                    String::from_utf8_lossy(switch.plugin)
                )))
            }
        };
        self.sequence = frame::packets(out, self.sequence, |out| out.extend_from_slice(&answer));
        self.state = State::Auth(Asked {
            method,
            scramble: switch.data.into(),
            switched: true,
        });
        Ok(Next::More)
    }

    /// The server hasn't cached what the proof is checked by.
    fn full(&mut self, asked: Asked, tls: Option<&TlsFacts>, out: &mut Vec<u8>) -> Fails<Next> {
        let verified = tls.is_some_and(|tls| tls.verified);
        Gives::Password.allowed(self.ask.credential.method, verified)?;
        let (answer, state) = match tls {
            Some(_) => (self.in_clear()?, State::Told),
            None => (caching_sha2::KEY_WANTED.to_vec(), State::Key(asked)),
        };
        self.sequence = frame::packets(out, self.sequence, |out| out.extend_from_slice(&answer));
        self.state = state;
        Ok(Next::More)
    }

    fn in_clear(&self) -> Fails<Vec<u8>> {
        caching_sha2::in_clear(self.ask.password.reveal().as_bytes())
            .ok_or_else(|| trust::refused("the password has a NUL, which this plugin can't send"))
    }

    pub(super) fn key(&mut self, asked: &Asked, payload: &[u8], out: &mut Vec<u8>) -> Fails<Next> {
        let pem = auth_more_data::parse(payload).ok_or_else(|| broken("no key was sent"))?;
        let scramble = asked.scramble.first_chunk();
        let scramble = scramble.ok_or_else(|| broken("a scramble that is too short"))?;
        let mut seed = self.seed.iter().copied().cycle();
        let mut random = |bytes: &mut [u8]| bytes.fill_with(|| seed.next().unwrap_or(0));
        let password = self.ask.password.reveal().as_bytes();
        let encrypted = caching_sha2::encrypted(password, scramble, pem, &mut random)
            .ok_or_else(|| broken("the server's key doesn't fit"))?;
        self.sequence = frame::packets(out, self.sequence, |out| out.extend_from_slice(&encrypted));
        self.state = State::Told;
        Ok(Next::More)
    }
}
