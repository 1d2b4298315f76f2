//! The wire protocol of MySQL and MariaDB: so far its messages and its proofs of passwords.
//!
//! Sans-IO: bytes in, values out, and back. `message` reads and writes what is said on both legs;
//! `auth` makes and checks the proofs that a log-in exchanges.
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
pub mod message;
