//! How a backend's statement is cancelled: over a connection of its own, which an engine speaks on.

use crate::{BackendAsk, CancelFailure, Link, TlsFacts};

/// How far a cancel came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CancelProgress {
    /// Send `out`, wait for more.
    NeedMore,
    /// Do the TLS handshake, then feed nothing (empty input) to go on.
    StartTls,
    /// Send `out`, which has the statement cancelled: from here on it may strike, until it is over.
    Sent,
    /// It is over: it strikes nothing any more.
    Over,
    /// It can't be delivered.
    Failed(CancelFailure),
}

/// One cancel's connection.
pub trait Canceller: Sized {
    /// The backend's machine of this protocol.
    type Link: Link;
    /// See [`crate::Engine::Credential`].
    type Credential;
    /// The server says by closing the connection that a cancel is over.
    const ENDS_BY_CLOSING: bool;

    /// What cancels that backend's statement; `None` if nothing can. `secured`: its session is, so this
    /// says nothing that is secret in the clear. `ask`: as whom one would log in there, if that is known
    /// still. `random` fills a buffer with random bytes.
    fn new(
        link: &Self::Link,
        secured: bool,
        ask: Option<BackendAsk<Self::Credential>>,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Option<Self>;

    /// Looks at the server's unconsumed bytes; at none when the connection is there. Returns how many of
    /// them are done with.
    fn feed(
        &mut self,
        input: &[u8],
        tls: Option<&TlsFacts>,
        out: &mut Vec<u8>,
    ) -> (usize, CancelProgress);
}
