//! A client between its response to the greeting and the proof of its password.

use std::sync::Arc;

use dbproxy_engine::{Admission, Identity};
use sha2::{Digest, Sha256};

use crate::credential::{Handover, Scramble, User, UserMethod, Users, Verifier};
use crate::link::traces;
use crate::manner::Manner;
use crate::message::capability::Capabilities;
use crate::message::greeting::SCRAMBLE;
use crate::message::handshake_response::HandshakeResponse;

use super::Greeted;

/// Who the client claims to be, and what would prove it.
pub(super) struct Candidate {
    pub(super) user: Arc<str>,
    pub(super) method: UserMethod,
    pub(super) verifiers: Arc<[Verifier]>,
    pub(super) known: bool,
    capabilities: Capabilities,
    collation: u8,
    database: Option<Arc<[u8]>>,
    /// What the greeting's proof was to be made for, where its certificate is to be proved too.
    pub(super) seed: Option<[u8; SCRAMBLE]>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// Who responds so to a greeting.
    pub(super) fn new(response: &HandshakeResponse<'_>, greeted: &Greeted, users: &Users) -> Self {
        let spoken = (
            response.opening.capabilities.and(greeted.offered),
            response.opening.collation,
        );
        let seed = greeted.proves.then(|| greeted.challenge.short());
        Self::of(response.user, response.database, spoken, seed, users)
    }

    /// Who claims to be that user.
    pub(super) fn of(
        user: &[u8],
        database: Option<&[u8]>,
        (capabilities, collation): (Capabilities, u8),
        seed: Option<[u8; SCRAMBLE]>,
        users: &Users,
    ) -> Self {
        let name: Arc<str> = String::from_utf8_lossy(user).into();
        let user = users.by_name.get(&name);
        let method = user.map_or_else(
            || likely_method(&name, users),
            |user| user.credential.method,
        );
        let verifiers = user.map_or_else(
            || [Verifier::mock()].into(),
            |user| user.credential.verifiers.clone(),
        );
        let database = database.filter(|name| !name.is_empty());
        Self {
            known: user.is_some(),
            user: name,
            method,
            verifiers,
            capabilities,
            collation,
            database: database.map(Arc::from),
            seed,
        }
    }

    /// It has proved it; `sequence` is the number of the packet that tells it so, and `certificate` what that
    /// proves in turn.
    pub(super) fn admission(
        self,
        sequence: u8,
        scramble: Scramble,
        certificate: Option<Box<str>>,
    ) -> Admission<Handover> {
        let handover = Handover {
            capabilities: self.capabilities,
            collation: self.collation,
            database: self.database,
            sequence,
            certificate,
            scramble,
            answered: false,
            failures: 0,
        };
        admission(self.user, handover)
    }
}

/// A client of that user's, as its log-in left it.
pub(super) fn admission(user: Arc<str>, handover: Handover) -> Admission<Handover> {
    Admission {
        identity: Identity {
            user,
            // It is the session's: any connection can change to it.
            database: "".into(),
            settings: Manner::new(handover.capabilities, handover.collation).settings(),
            // A connection that is in a database serves none but who is in one.
            traces: traces(handover.database.is_some()),
        },
        handover,
    }
}

/// The method of a user who doesn't exist: as often one or the other as users do have it, and for
/// each name always the same. Whoever is asked need not exist, whatever he is asked for.
fn likely_method(user: &str, users: &Users) -> UserMethod {
    let having = |method| {
        let has = |user: &&Arc<User>| user.credential.method == method;
        users.by_name.values().filter(has).count() as u64
    };
    let native = having(UserMethod::Native);
    let ed25519 = having(UserMethod::Ed25519);
    let drawn = draw(user, &users.fleet_secret, users.by_name.len() as u64);
    if drawn < native {
        UserMethod::Native
    } else if drawn < native + ed25519 {
        UserMethod::Ed25519
    } else {
        UserMethod::CachingSha2
    }
}

/// A number below `most` (or 0) that looks drawn, and is the same for a user in all pods.
fn draw(user: &str, fleet_secret: &[u8], most: u64) -> u64 {
    // The secret's own hash has a fixed length: what follows can't be taken for a part of it.
    let secret = Sha256::digest(fleet_secret);
    let hash = Sha256::new()
        .chain_update(secret)
        .chain_update(b"mock method\0")
        .chain_update(user.as_bytes())
        .finalize();
    let (head, _) = hash.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_be_bytes(*head) % most.max(1)
}
