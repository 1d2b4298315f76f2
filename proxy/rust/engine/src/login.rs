//! Logging in, on both legs. Both machines get bytes and append their answers to `out`.

use std::sync::Arc;

use crate::{
    BackendFault, CancelKey, CloseReason, DerivedKeys, Failure, Identity, Password, Users,
};

/// What is known of a leg's TLS once its handshake is done.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// The protocol that ALPN chose.
    pub alpn: Option<Vec<u8>>,
    /// Hash of the server's certificate for `tls-server-end-point` (RFC 5929); `None` where the
    /// certificate's signature has no defined hash.
    pub end_point: Option<Vec<u8>>,
    /// The server's certificate was checked by a mode of `VERIFY_*` (backend leg only).
    pub verified: bool,
}

/// What a client's log-in may ask of the world around it.
pub struct LoginEnv<'a, C> {
    /// Who may log in.
    pub users: &'a Users<C>,
    /// Whether the proxy has a certificate.
    pub tls_available: bool,
    /// Whether clients without TLS are refused.
    pub tls_required: bool,
    /// The number that stands for this client in the fleet.
    pub id: u32,
    /// What servers of this family say in a greeting that they are, where the targets are known to say
    /// so; who must greet first and doesn't know it yet writes nothing.
    pub version: Option<&'a str>,
    /// The facts of this client's TLS, once it runs.
    pub tls: Option<&'a TlsFacts>,
    /// Why nobody may come in now, if so: what is counted, and what the client is told.
    pub shut: Option<(CloseReason, Failure)>,
    /// Fills a buffer with random bytes.
    pub random: &'a mut dyn FnMut(&mut [u8]),
}

/// How far a client's log-in came.
#[derive(Debug)]
pub enum LoginProgress<H> {
    /// Send `out`, wait for more.
    NeedMore,
    /// Send `out`, then do the TLS handshake, which what is left of the input begins; feed the decrypted
    /// bytes.
    StartTls,
    /// The client proved who it is: send `out` and hand the connection to a worker.
    Admitted(Admission<H>),
    /// It logged in again, and failed, which is counted; it was told, and stays who it was: send `out` and hand
    /// the connection to a worker.
    Stays(Admission<H>, CloseReason),
    /// A CancelRequest: deliver it, send nothing, close.
    Cancel(CancelKey),
    /// Send `out` (an error, or nothing), then close.
    Close(CloseReason),
}

/// A client that may come in.
#[derive(Debug)]
pub struct Admission<H> {
    /// Who it is: the pool's key.
    pub identity: Identity,
    /// What its session needs to know of the log-in ([`crate::Engine::Handover`]).
    pub handover: H,
}

/// The client leg before authentication is over.
pub trait ClientLogin {
    /// See [`crate::Engine::Credential`].
    type Credential;
    /// See [`crate::Engine::Handover`].
    type Handover;

    /// Looks at the client's unconsumed bytes. Returns how many of them are done with. Asked without any
    /// when the client comes, and whenever `env` may have changed.
    fn feed(
        &mut self,
        input: &[u8],
        env: &mut LoginEnv<'_, Self::Credential>,
        out: &mut Vec<u8>,
    ) -> (usize, LoginProgress<Self::Handover>);

    /// The error for a failure that the server room found; appended to `out`.
    fn refuse(&self, failure: Failure, out: &mut Vec<u8>);

    /// The user that the client claims to be, for the log; empty before it said so.
    fn claimed_user(&self) -> &str;
}

/// What a backend's log-in is for.
#[derive(Clone, Debug)]
pub struct BackendAsk<C> {
    /// User, database, settings.
    pub identity: Identity,
    /// The one password to try; if that is wrong the server room opens a new connection with the next.
    pub password: Password,
    /// How the user's clients prove theirs. To a server that nobody verified it isn't logged in by
    /// anything less.
    pub credential: C,
    /// The keys that the worker derived for log-ins before.
    pub keys: DerivedKeys,
    /// Ask for TLS first (all modes but `DISABLED`).
    pub tls_wanted: bool,
    /// Give up if the server refuses TLS (`REQUIRED`, `VERIFY_*`).
    pub tls_required: bool,
    /// SQL to run once after the log-in; its failure is the log-in's failure.
    pub init_query: Option<Arc<str>>,
}

/// Why a backend's log-in failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendFailure {
    /// What it says, and of whom.
    pub fault: BackendFault,
    /// The database's own code for it, where it said one.
    pub code: String,
    /// For the log.
    pub message: String,
    /// The database's ErrorResponse as it came (a whole message), when there is one that a
    /// client may see; a failed password exchange never is.
    pub verbatim: Option<Vec<u8>>,
}

impl BackendFailure {
    /// One that the proxy itself found.
    pub fn found(fault: BackendFault, message: impl Into<String>) -> Self {
        Self {
            fault,
            code: String::new(),
            message: message.into(),
            verbatim: None,
        }
    }
}

/// How far a backend's log-in came.
#[derive(Debug)]
pub enum BackendProgress<L> {
    /// Send `out`, wait for more.
    NeedMore,
    /// Send `out`; there is more to compute than may be done at once: feed what waits (or nothing)
    /// again when others had their turn.
    Working,
    /// Do the TLS handshake, then feed nothing (empty input) to go on.
    StartTls,
    /// Ready for a session.
    Ready(L),
    /// It failed; close the socket.
    Failed(BackendFailure),
}

/// The server leg until it is ready for queries.
pub trait BackendLogin: Sized {
    /// What a finished log-in becomes.
    type Link;
    /// See [`crate::Engine::Credential`].
    type Credential;

    /// Begins; appends what is sent first, if the proxy speaks first, to `out`. `random` fills a buffer
    /// with random bytes.
    fn start(
        ask: BackendAsk<Self::Credential>,
        random: &mut dyn FnMut(&mut [u8]),
        out: &mut Vec<u8>,
    ) -> Self;

    /// Looks at the server's unconsumed bytes. Returns how many of them are done with.
    fn feed(
        &mut self,
        input: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> (usize, BackendProgress<Self::Link>);
}
