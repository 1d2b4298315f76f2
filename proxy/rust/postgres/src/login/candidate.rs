//! A client between its first packet and the proof of its password.

use std::sync::Arc;

use dbproxy_engine::Admission;

use crate::auth::scram_server::Refusal;
use crate::credential::{Handover, UserMethod, Users, Verifier};
use crate::startup::Startup;
use crate::verifier;

use super::Refused;

/// Who the client claims to be, and what would prove it.
pub(super) struct Candidate {
    pub(super) startup: Startup,
    long_cancel_key: bool,
    pub(super) verifiers: Arc<[Verifier]>,
    pub(super) known: bool,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate")
            .field("startup", &self.startup)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// With the method that it is asked by: its user's; of an unknown one that of one of the others.
    pub(super) fn new(
        startup: Startup,
        long_cancel_key: bool,
        users: &Users,
    ) -> (Self, UserMethod) {
        let user = users.by_name.get(&startup.identity.user);
        let method = user.map_or_else(
            || verifier::likely_method(&startup.identity.user, users),
            |user| user.credential.method,
        );
        let verifiers = match user {
            Some(user) => user.credential.verifiers.clone(),
            None => [verifier::mock(&startup.identity.user, &users.fleet_secret)].into(),
        };
        let known = user.is_some();
        let candidate = Self {
            startup,
            long_cancel_key,
            verifiers,
            known,
        };
        (candidate, method)
    }

    pub(super) fn refused(self, refusal: Refusal) -> Refused {
        Refused {
            refusal,
            user: self.startup.identity.user,
            known: self.known,
        }
    }

    pub(super) fn admission(self) -> Admission<Handover> {
        Admission {
            identity: self.startup.identity,
            handover: Handover {
                application_name: self.startup.application_name.map(Arc::from),
                long_cancel_key: self.long_cancel_key,
            },
        }
    }
}
