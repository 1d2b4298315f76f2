//! What is kept of users to check their clients' proofs, and what a log-in leaves to its session.

use std::sync::{Arc, LazyLock};

use crate::auth::{caching_sha2, ed25519, native};
use crate::message::capability::Capabilities;

/// How a client proves its password: the plugin that it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserMethod {
    /// `caching_sha2_password`, MySQL's since 8.0.
    CachingSha2,
    /// `mysql_native_password`.
    Native,
    /// `client_ed25519`, MariaDB's alone.
    Ed25519,
}

impl UserMethod {
    /// The plugin's name.
    pub(crate) fn plugin(self) -> &'static [u8] {
        match self {
            Self::CachingSha2 => caching_sha2::PLUGIN,
            Self::Native => native::PLUGIN,
            Self::Ed25519 => ed25519::PLUGIN,
        }
    }

    /// The one of that name, if it is spoken here.
    pub(crate) fn of(plugin: &[u8]) -> Option<Self> {
        let all = [Self::CachingSha2, Self::Native, Self::Ed25519];
        all.into_iter().find(|method| method.plugin() == plugin)
    }
}

/// What is kept of one password to check a client's proof.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(crate) caching_sha2: [u8; caching_sha2::LENGTH],
    pub(crate) native: [u8; native::LENGTH],
    pub(crate) ed25519: [u8; ed25519::LENGTH],
    /// Whether a proof of it lets anybody in.
    pub(crate) opens: bool,
}

impl Verifier {
    /// Of that password; once per snapshot, never per log-in. An empty one lets nobody in.
    pub fn new(password: &str) -> Self {
        let password = password.as_bytes();
        Self {
            caching_sha2: caching_sha2::stored(password),
            native: native::stored(password),
            ed25519: ed25519::stored(password),
            opens: !password.is_empty(),
        }
    }

    /// What the proof of a user who doesn't exist is checked by: as much work, and to no effect. Made once,
    /// so that time doesn't tell who exists.
    pub(crate) fn mock() -> Self {
        static MOCK: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(""));
        MOCK.clone()
    }
}

/// One user's.
#[derive(Clone)]
pub struct Credential {
    /// How its clients log in.
    pub method: UserMethod,
    /// One for each of its passwords, in their order.
    pub verifiers: Arc<[Verifier]>,
}

/// What prints it prints nothing of what is kept.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.method.fmt(f)
    }
}

/// What the proofs of one connection are made for. It has one for as long as it is: clients of native passwords
/// that change to another user take the one that they had first, whatever they are asked.
#[derive(Clone, Copy)]
pub struct Scramble(pub(crate) [u8; ed25519::LENGTH]);

/// What prints it keeps it to itself, as it is half of a proof.
impl std::fmt::Debug for Scramble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scramble")
    }
}

impl Scramble {
    /// A fresh one. Clients read it up to a NUL, and old ones don't like a `$` nor what isn't ASCII.
    pub fn draw(random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut scramble = [0; ed25519::LENGTH];
        random(&mut scramble);
        for byte in &mut scramble {
            *byte &= 0x7f;
            if matches!(*byte, 0 | b'$') {
                *byte += 1;
            }
        }
        Self(scramble)
    }
}

/// What a log-in leaves to its session.
#[derive(Clone, Debug)]
pub struct Handover {
    /// What is spoken with the client: what it wants of what it was offered.
    pub capabilities: Capabilities,
    /// The collation of its connection.
    pub collation: u8,
    /// The database to begin in, as it named that in its own character set.
    pub database: Option<Arc<[u8]>>,
    /// The number of the packet that answers it last: the OK, or an error.
    pub sequence: u8,
    /// What the OK proves of the proxy's certificate, to who asks for that.
    pub certificate: Option<Box<str>>,
    /// What its proof was made for.
    pub scramble: Scramble,
    /// It was answered already: it stays who it was, as its COM_CHANGE_USER has failed.
    pub answered: bool,
    /// How often that was.
    pub failures: u8,
}

/// This protocol's.
pub type User = dbproxy_engine::User<Credential>;
/// This protocol's.
pub type Users = dbproxy_engine::Users<Credential>;
/// This protocol's.
pub type LoginEnv<'a> = dbproxy_engine::LoginEnv<'a, Credential>;
/// This protocol's.
pub type LoginProgress = dbproxy_engine::LoginProgress<Handover>;
/// This protocol's.
pub type BackendAsk = dbproxy_engine::BackendAsk<Credential>;
