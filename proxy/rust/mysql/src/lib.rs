//! The wire protocol of MySQL and MariaDB.
//!
//! Sans-IO: bytes in, values or steps out. `message` reads and writes what is said on both legs;
//! `auth` makes and checks the proofs that a log-in exchanges; `login` and `backend_login` bring the two
//! legs up; `session` and `link` carry a client's commands over a backend that it holds for a transaction;
//! `reply` follows what a server answers, and `session::lost` says what a client is told when its backend is
//! gone; `statement` judges texts.
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

pub mod auth;
mod backend_login;
mod cancelling;
mod credential;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod link;
mod login;
mod manner;
pub mod message;
mod params;
mod prepared;
mod reply;
mod session;
pub mod statement;
mod texts;

use std::sync::Arc;

use dbproxy_engine::{CancelKey, CancelSecret, Engine, Failure, Identity};

use message::frame;

pub use backend_login::{Connecting, Ready, SETUP};
pub use cancelling::Cancelling;
pub use credential::{
    BackendAsk, Credential, Handover, LoginEnv, LoginProgress, Scramble, User, UserMethod, Users,
    Verifier,
};
pub use link::Link;
pub use login::Login;
pub use manner::Manner;
pub use params::{Kind, Params, Server};
pub use session::Session;

/// The engine of `engineFamily: MYSQL`.
#[derive(Clone, Copy, Debug)]
pub struct MySql;

impl Engine for MySql {
    const NAME: &'static str = "MYSQL";
    const SPEAKS_FIRST: bool = true;
    const ALPN: Option<&'static str> = None;
    type Credential = Credential;
    type Handover = Handover;
    type ClientLogin = Login;
    type BackendLogin = Connecting<Link>;
    type Session = Session;
    type Link = Link;
    type Canceller = Cancelling;

    fn login() -> Login {
        Login::default()
    }

    fn login_again(session: Session, identity: &Identity) -> Option<Login> {
        Some(Login::again(session.former(), identity))
    }

    /// No client is told one: who it is says whose statements it may end.
    fn cancel_secret(_: &Handover, random: &mut dyn FnMut(&mut [u8])) -> CancelSecret {
        CancelSecret::fresh(16, random)
    }

    fn welcome(
        handover: Handover,
        params: &Arc<Params>,
        key: CancelKey,
        out: &mut Vec<u8>,
    ) -> Session {
        Session::welcome(&handover, params, key, out)
    }

    fn farewell(handover: &Handover, failure: Failure, out: &mut Vec<u8>) {
        texts::failure(failure).write(handover.sequence, out);
    }

    fn pass_on(handover: &Handover, error: &[u8], out: &mut Vec<u8>) {
        let payload = error.get(frame::HEADER..).unwrap_or_default();
        frame::packets(out, handover.sequence, |out| out.extend_from_slice(payload));
    }
}
