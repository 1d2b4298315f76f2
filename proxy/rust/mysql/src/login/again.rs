//! COM_CHANGE_USER: a client that is logged in logs in again, as the same user or another.
//!
//! It is always asked for a proof, whatever its packet brings, and for the scramble that it had first: so do servers,
//! and some clients take no other. When it fails, MySQL ends the connection; MariaDB lets it stay who it was, with nothing of its
//! session left, and takes no more than [`MOST_FAILURES`].

use std::sync::Arc;

use dbproxy_engine::{CloseReason, Identity};

use crate::credential::{Handover, LoginEnv, LoginProgress, Scramble};
use crate::message::capability::Capabilities;
use crate::message::change_user;

use super::candidate::{admission, Candidate};
use super::challenge::Challenge;
use super::{close, refusals, Login, State, Step};

/// So many failures are one too many for the next try.
pub(crate) const MOST_FAILURES: u8 = 3;

/// Who a client was.
#[derive(Debug)]
pub(crate) struct Former {
    pub(crate) capabilities: Capabilities,
    pub(crate) collation: u8,
    pub(crate) database: Option<Arc<[u8]>>,
    pub(crate) scramble: Scramble,
    /// Its server is one of whose clients one stays that fails.
    pub(crate) stays: bool,
    /// How often it has failed.
    pub(crate) failures: u8,
}

impl Login {
    /// That of a client which was this user's.
    pub(crate) fn again(former: Former, identity: &Identity) -> Self {
        Self {
            state: State::Again,
            former: Some(Box::new((former, identity.user.clone()))),
            ..Self::default()
        }
    }

    /// The client's command.
    pub(super) fn change(
        &mut self,
        input: &[u8],
        env: &mut LoginEnv<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let (payload, total) = match self.packet(input, out) {
            Ok(Some(read)) => read,
            Ok(None) => {
                self.state = State::Again;
                return (0, Some(LoginProgress::NeedMore));
            }
            Err(reason) => return (0, close(reason)),
        };
        let Some((former, _)) = self.former.as_deref() else {
            return (total, close(CloseReason::ProtocolViolation));
        };
        let Some(asked) = change_user::parse(&payload, former.capabilities) else {
            let fault = refusals::unknown_command();
            return (
                total,
                self.refused(&fault, CloseReason::UnsupportedStartup, out),
            );
        };
        let collation = asked.collation.map_or(Ok(former.collation), u8::try_from);
        let Ok(collation) = collation else {
            let fault = refusals::collation(asked.collation.unwrap_or_default());
            return (
                total,
                self.refused(&fault, CloseReason::UnsupportedStartup, out),
            );
        };
        let spoken = (former.capabilities, collation);
        let scramble = former.scramble;
        let candidate = Candidate::of(asked.user, Some(asked.database), spoken, None, env.users);
        self.user = candidate.user.to_string();
        if env.tls_required && env.tls.is_none() {
            let fault = refusals::tls_required();
            return (total, self.refused(&fault, CloseReason::TlsRequired, out));
        }
        let challenge = Challenge {
            method: candidate.method,
            scramble,
        };
        self.ask(candidate, challenge, out);
        (total, None)
    }

    /// What becomes of a client whose log-in ends so: one that fails may stay who it was.
    pub(super) fn unless_it_stays(&mut self, progress: LoginProgress) -> LoginProgress {
        let LoginProgress::Close(reason) = progress else {
            return progress;
        };
        let harmless = matches!(
            reason,
            CloseReason::AuthenticationFailed
                | CloseReason::UnknownUser
                | CloseReason::UnsupportedStartup
        );
        match self.former.take() {
            Some(former) if former.0.stays && harmless => {
                let (former, user) = *former;
                let handover = Handover {
                    capabilities: former.capabilities,
                    collation: former.collation,
                    database: former.database,
                    sequence: self.sequence,
                    certificate: None,
                    scramble: former.scramble,
                    answered: true,
                    failures: former.failures.saturating_add(1),
                };
                LoginProgress::Stays(admission(user, handover), reason)
            }
            _ => progress,
        }
    }
}
