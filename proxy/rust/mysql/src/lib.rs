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
mod credential;
mod failure;
mod link;
mod login;
mod manner;
pub mod message;
mod params;
mod reply;
mod session;
pub mod statement;
mod texts;

pub use backend_login::{Connecting, Ready, SETUP};
pub use credential::{
    BackendAsk, Credential, Handover, LoginEnv, LoginProgress, User, UserMethod, Users, Verifier,
};
pub use link::Link;
pub use login::Login;
pub use manner::Manner;
pub use params::{Kind, Params, Server};
pub use session::Session;
