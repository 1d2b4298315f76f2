//! The wire protocol of MySQL and MariaDB: so far its messages, its log-ins, and what a text of
//! statements does.
//!
//! Sans-IO: bytes in, values out, and back. `message` reads and writes what is said on both legs;
//! `auth` makes and checks the proofs that a log-in exchanges; `login` and `backend_login` bring the two
//! legs up; `statement` judges texts.
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
mod login;
mod manner;
pub mod message;
mod params;
pub mod statement;
mod texts;

pub use backend_login::{Connecting, Ready, SETUP};
pub use credential::{
    BackendAsk, Credential, Handover, LoginEnv, LoginProgress, User, UserMethod, Users, Verifier,
};
pub use login::Login;
pub use manner::Manner;
pub use params::{Kind, Params, Server};
