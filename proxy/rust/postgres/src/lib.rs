//! The PostgreSQL wire protocol, version 3.0: [`Postgres`] and its machines.
//!
//! Sans-IO: bytes in, steps out. `login` and `backend_login` bring the two legs up; `session` and
//! `link` carry a client's requests over a backend that it holds for a transaction; `statement`
//! judges what a request leaves behind; `fate` answers whether it may have been committed, and
//! `session::lost` says what a client is told when its backend is gone; `aim` what a cancel strikes.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod aim;
mod auth;
mod backend_login;
mod cancelling;
mod channels;
mod credential;
mod ear;
mod expect;
mod failure;
mod fate;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod link;
mod login;
mod message;
mod name;
mod params;
mod pins;
mod prepared;
mod sequences;
mod session;
mod settings;
mod startup;
mod statement;
mod texts;
mod verifier;

use std::sync::Arc;

use dbproxy_engine::{CancelKey, CancelSecret, Engine, Failure};

pub use backend_login::Connecting;
pub use cancelling::Cancelling;
pub use credential::{
    BackendAsk, Credential, Handover, LoginEnv, LoginProgress, User, UserMethod, Users, Verifier,
};
pub use link::Link;
pub use login::Login;
pub use params::Params;
pub use session::Session;
#[cfg(feature = "measuring")]
pub use statement::measure;
pub use statement::Memory;
pub use verifier::verifier;

/// The engine of `engineFamily: POSTGRESQL`.
#[derive(Clone, Copy, Debug)]
pub struct Postgres;

impl Engine for Postgres {
    const NAME: &'static str = "POSTGRESQL";
    const SPEAKS_FIRST: bool = false;
    const ALPN: Option<&'static str> = Some(login::ALPN);
    type Credential = Credential;
    type Handover = Handover;
    type ClientLogin = Login;
    type BackendLogin = Connecting;
    type Session = Session;
    type Link = Link;
    type Canceller = Cancelling;

    fn login() -> Login {
        Login::default()
    }

    fn cancel_secret(handover: &Handover, random: &mut dyn FnMut(&mut [u8])) -> CancelSecret {
        // What protocol 3.0 has room for, and what PostgreSQL itself gives where there is more.
        let length = if handover.long_cancel_key { 32 } else { 4 };
        CancelSecret::fresh(length, random)
    }

    fn welcome(
        handover: Handover,
        params: &Arc<Params>,
        key: CancelKey,
        out: &mut Vec<u8>,
    ) -> Session {
        Session::welcome(handover.application_name.as_deref(), params, key, out)
    }

    fn farewell(_: &Handover, failure: Failure, out: &mut Vec<u8>) {
        texts::failure(failure, true, out);
    }

    fn pass_on(_: &Handover, error: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(error);
    }
}
