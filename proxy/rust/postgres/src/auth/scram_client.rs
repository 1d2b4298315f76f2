//! SCRAM as the client: how the proxy logs in to databases.

use base64::{prelude::BASE64_STANDARD, Engine as _};
use dbproxy_engine::{Derivation, DerivedKeys, Password};
use subtle::ConstantTimeEq;

use super::refused::Refused;
use super::scram::{self, Key, SaltedPassword};
use super::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};

/// Some seconds' work, and several times what anybody recommends: more would let a server keep a
/// worker busy until the log-in's deadline.
pub(crate) const MOST_ITERATIONS: u32 = 4_000_000;
/// What is done at once, about a millisecond's work: PostgreSQL's default, so that an ordinary
/// log-in needs no second piece.
const PIECE: u32 = 4096;

/// The exchange failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failed {
    /// It isn't SCRAM; says why, for the log.
    Broken(&'static str),
    Refused(Refused),
}

impl From<&'static str> for Failed {
    fn from(why: &'static str) -> Self {
        Self::Broken(why)
    }
}

/// client-first-message is made.
#[derive(Debug)]
pub(crate) struct Begun {
    /// What to put into SASLInitialResponse.
    pub mechanism: &'static str,
    header: &'static str,
    binding: Vec<u8>,
    nonce: String,
}

/// server-first-message came; client-final-message needs the password's key.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What both sides sign.
    signed: String,
    without_proof: String,
    key: Derivation,
}

/// client-final-message is made.
#[derive(Debug)]
pub(crate) struct Proven {
    server_signature: Key,
}

/// Chooses a mechanism of those offered (NUL-terminated names), binding the channel if possible.
pub(crate) fn begin(
    offered: &[u8],
    end_point: Option<&[u8]>,
    nonce: &[u8],
) -> Result<Begun, Failed> {
    let has = |name: &str| offered.split(|b| *b == 0).any(|m| m == name.as_bytes());
    let (mechanism, header, binding) = match end_point {
        Some(data) if has(SCRAM_SHA_256_PLUS) => (
            SCRAM_SHA_256_PLUS,
            "p=tls-server-end-point,,",
            data.to_vec(),
        ),
        _ if !has(SCRAM_SHA_256) => {
            return Err("the server offers no SASL mechanism we know".into());
        }
        // "y": we could, the server says it can't; it refuses if that isn't so.
        Some(_) => (SCRAM_SHA_256, "y,,", Vec::new()),
        None => (SCRAM_SHA_256, "n,,", Vec::new()),
    };
    Ok(Begun {
        mechanism,
        header,
        binding,
        nonce: BASE64_STANDARD.encode(nonce),
    })
}

impl Begun {
    /// client-first-message. The user is in the startup message; SCRAM's own field stays empty.
    pub(crate) fn first(&self) -> String {
        format!("{}{}", self.header, self.first_bare())
    }

    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// Reads server-first-message.
    pub(crate) fn challenged(
        &self,
        server_first: &[u8],
        password: &Password,
        keys: &DerivedKeys,
    ) -> Result<Asked, Failed> {
        let malformed = "malformed SCRAM challenge";
        let server_first = std::str::from_utf8(server_first).map_err(|_| malformed)?;
        let mut rest = server_first;
        let nonce = scram::attribute(&mut rest, 'r').ok_or(malformed)?;
        let salt = scram::attribute(&mut rest, 's').ok_or(malformed)?;
        let iterations = scram::attribute(&mut rest, 'i').ok_or(malformed)?;
        let salt = BASE64_STANDARD.decode(salt).map_err(|_| malformed)?;
        let iterations: u32 = iterations.parse().map_err(|_| malformed)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's SCRAM nonce doesn't extend ours".into());
        }
        if iterations == 0 {
            return Err(malformed.into());
        }
        if iterations > MOST_ITERATIONS {
            return Err(Failed::Refused(Refused::Iterations(iterations)));
        }
        let mut binding = self.header.as_bytes().to_vec();
        binding.extend_from_slice(&self.binding);
        let without_proof = format!("c={},r={nonce}", BASE64_STANDARD.encode(binding));
        let key = keys.key(password, &salt, iterations, || {
            let mut salted = SaltedPassword::begin(password.reveal(), &salt, iterations);
            Box::new(move || salted.advance(PIECE))
        });
        Ok(Asked {
            signed: format!("{},{server_first},{without_proof}", self.first_bare()),
            without_proof,
            key,
        })
    }
}

impl Asked {
    /// Goes on deriving the key; answers client-final-message once it is there.
    pub(crate) fn answer(&self) -> Option<(String, Proven)> {
        let salted = self.key.advance()?;
        let signed = [self.signed.as_bytes()];
        let client_key = scram::client_key(&salted);
        let signature = scram::hmac(&scram::hash(&client_key), &signed);
        let proof = BASE64_STANDARD.encode(scram::xor(&client_key, &signature));
        let server_signature = scram::hmac(&scram::server_key(&salted), &signed);
        Some((
            format!("{},p={proof}", self.without_proof),
            Proven { server_signature },
        ))
    }
}

impl Proven {
    /// Checks server-final-message: only who knows the password's keys could make it.
    pub(crate) fn check(&self, server_final: &[u8]) -> Result<(), Failed> {
        let wrong = "the server's SCRAM signature is wrong";
        let value = server_final.strip_prefix(b"v=").ok_or(wrong)?;
        let signature = BASE64_STANDARD.decode(value).map_err(|_| wrong)?;
        if bool::from(signature.ct_eq(&self.server_signature)) {
            Ok(())
        } else {
            Err(wrong.into())
        }
    }
}
