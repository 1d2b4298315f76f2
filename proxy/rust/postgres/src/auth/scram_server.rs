//! SCRAM as the server: what the proxy asks of its clients.
//!
//! A user whom nobody knows goes through the same steps with a verifier that no password fits.

use base64::{prelude::BASE64_STANDARD, Engine as _};
use dbproxy_engine::Reader;
use subtle::ConstantTimeEq;

use super::scram::{self, Key};
use super::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use crate::credential::Verifier;

/// Why an exchange ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The message isn't SCRAM.
    Malformed,
    /// The client chose what it wasn't offered.
    Mechanism,
    /// The client was made to believe that there is no channel binding: somebody is in between.
    BindingDenied,
    /// The client bound another channel: somebody is in between.
    ChannelBinding,
    /// It binds channels in a way that we don't.
    BindingType(String),
    /// It wants to be somebody else than it is.
    AuthorizationIdentity,
    /// It needs more than SCRAM.
    Extension,
    /// The proof fits no password.
    WrongPassword,
}

/// After the first message: what the final one is checked against.
#[derive(Debug)]
pub(crate) struct Challenged {
    first_bare: String,
    server_first: String,
    nonce: String,
    /// What `c=` must decode to.
    binding: Vec<u8>,
}

/// The mechanism that the client chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mechanism {
    binds: bool,
}

/// Reads SASLInitialResponse: the mechanism, -PLUS only where it was offered, and
/// client-first-message; who sends none (length -1) is to be asked for it by an empty challenge.
pub(crate) fn initial(
    body: &[u8],
    offers_plus: bool,
) -> Result<(Mechanism, Option<&[u8]>), Refusal> {
    let malformed = |_| Refusal::Malformed;
    let mut reader = Reader::new(body);
    let binds = match reader.cstr().map_err(malformed)? {
        name if name == SCRAM_SHA_256.as_bytes() => false,
        name if name == SCRAM_SHA_256_PLUS.as_bytes() && offers_plus => true,
        _ => return Err(Refusal::Mechanism),
    };
    let first = match reader.u32().map_err(malformed)? {
        u32::MAX => None,
        length => Some(reader.take(length as usize).map_err(malformed)?),
    };
    if reader.is_empty() {
        Ok((Mechanism { binds }, first))
    } else {
        Err(Refusal::Malformed)
    }
}

/// Answers client-first-message. `end_point` is the channel that -PLUS was offered for.
pub(crate) fn challenge(
    mechanism: Mechanism,
    first: &[u8],
    end_point: Option<&[u8]>,
    verifier: &Verifier,
    random: &[u8],
) -> Result<Challenged, Refusal> {
    let plus = end_point.filter(|_| mechanism.binds);
    let first = std::str::from_utf8(first).map_err(|_| Refusal::Malformed)?;
    let (header, bare) = split_header(first).ok_or(Refusal::Malformed)?;
    let mut binding = header.as_bytes().to_vec();
    let (flag, identity) = header.split_once(',').ok_or(Refusal::Malformed)?;
    match (flag, flag.strip_prefix("p="), plus) {
        (_, Some("tls-server-end-point"), Some(data)) => binding.extend_from_slice(data),
        (_, Some(other), Some(_)) => return Err(Refusal::BindingType(other.to_owned())),
        ("n", _, None) => {}
        // It can bind channels and was told that we can't.
        ("y", _, None) if end_point.is_some() => return Err(Refusal::BindingDenied),
        ("y", _, None) => {}
        _ => return Err(Refusal::Malformed),
    }
    match identity {
        "," => {}
        _ if identity.starts_with('a') => return Err(Refusal::AuthorizationIdentity),
        _ => return Err(Refusal::Malformed),
    }
    if bare.starts_with('m') {
        return Err(Refusal::Extension);
    }
    let mut rest = bare;
    scram::attribute(&mut rest, 'n').ok_or(Refusal::Malformed)?;
    let client_nonce = scram::attribute(&mut rest, 'r').ok_or(Refusal::Malformed)?;
    if client_nonce.is_empty() || !client_nonce.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Refusal::Malformed);
    }
    let nonce = format!("{client_nonce}{}", BASE64_STANDARD.encode(random));
    let salt = BASE64_STANDARD.encode(&verifier.salt);
    let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
    Ok(Challenged {
        first_bare: bare.to_owned(),
        server_first,
        nonce,
        binding,
    })
}

/// The GS2 header with its two commas, and what follows.
fn split_header(first: &str) -> Option<(&str, &str)> {
    let comma = first.find(',')?;
    let second = first.get(comma + 1..)?.find(',')?;
    first.split_at_checked(comma + second + 2)
}

impl Challenged {
    /// server-first-message.
    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Checks client-final-message; answers server-final-message.
    pub(crate) fn finish(self, message: &[u8], verifiers: &[Verifier]) -> Result<String, Refusal> {
        let message = std::str::from_utf8(message).map_err(|_| Refusal::Malformed)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Refusal::Malformed)?;
        let mut rest = without_proof;
        let binding = scram::attribute(&mut rest, 'c').ok_or(Refusal::Malformed)?;
        let nonce = scram::attribute(&mut rest, 'r').ok_or(Refusal::Malformed)?;
        let binding = decode(binding)?;
        if !bool::from(binding.ct_eq(&self.binding)) {
            return Err(Refusal::ChannelBinding);
        }
        if nonce != self.nonce {
            return Err(Refusal::Malformed);
        }
        let proof: Key = decode(proof)?.try_into().map_err(|_| Refusal::Malformed)?;
        let parts: [&[u8]; 5] = [
            self.first_bare.as_bytes(),
            b",",
            self.server_first.as_bytes(),
            b",",
            without_proof.as_bytes(),
        ];
        // All verifiers are tried, so that time tells nothing of which one fitted.
        let mut server_key = None;
        for verifier in verifiers {
            let signature = scram::hmac(&verifier.stored_key, &parts);
            let client_key = scram::xor(&proof, &signature);
            if scram::hash(&client_key).ct_eq(&verifier.stored_key).into() && server_key.is_none() {
                server_key = Some(verifier.server_key);
            }
        }
        let server_key = server_key.ok_or(Refusal::WrongPassword)?;
        let signature = scram::hmac(&server_key, &parts);
        Ok(format!("v={}", BASE64_STANDARD.encode(signature)))
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    BASE64_STANDARD.decode(text).map_err(|_| Refusal::Malformed)
}
