//! What every protocol engine has in common: the [`Engine`] trait and its machines, the [`Step`]s
//! they answer with, the checked byte reader, and the reasons things end.
//!
//! Called by the `server` crate, implemented by the protocol crates (`postgres`, `mysql`).
//! Everything here is sans-IO: bytes in, steps out; no socket, no clock, no randomness.
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod cancel;
mod canceller;
mod killing;
mod listening;
mod login;
mod memory;
mod password;
mod reader;
mod reason;
mod reasons;
mod session;
mod step;
mod users;

pub use cancel::{Aim, CancelKey, CancelSecret};
pub use canceller::{CancelProgress, Canceller};
pub use killing::{Kill, Killed, CLIENT_IDS};
pub use listening::{Attention, Channels, Heard};
pub use login::{
    Admission, BackendAsk, BackendFailure, BackendLogin, BackendProgress, ClientLogin, LoginEnv,
    LoginProgress, TlsFacts,
};
pub use memory::{Judgements, Reads};
pub use password::{Derivation, DerivedKeys, Password, Work};
pub use reader::{Reader, Short};
pub use reason::{BackendFault, CancelFailure, CloseReason, Failure, KillReason, PinReason};
pub use reasons::Reasons;
pub use session::{Abandoned, Engine, Link, Outcome, Session};
pub use step::{Leg, Note, Payload, Release, Rules, Step, Steps};
pub use users::{Identity, Traces, User, Users};
