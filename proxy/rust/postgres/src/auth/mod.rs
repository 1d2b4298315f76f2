//! Proof of passwords, on both legs: SCRAM-SHA-256 and MD5.
//!
//! Called by `login` (server side), `backend_login` (client side) and `verifier`. Nothing here
//! sends; each step takes a message's payload and answers the next one.

pub(crate) mod md5;
pub(crate) mod refused;
pub(crate) mod scram;
pub(crate) mod scram_client;
pub(crate) mod scram_server;

/// Authentication request kinds of the protocol.
pub(crate) const OK: u32 = 0;
pub(crate) const CLEARTEXT: u32 = 3;
pub(crate) const MD5: u32 = 5;
pub(crate) const SASL: u32 = 10;
pub(crate) const SASL_CONTINUE: u32 = 11;
pub(crate) const SASL_FINAL: u32 = 12;

pub(crate) const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
pub(crate) const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";
