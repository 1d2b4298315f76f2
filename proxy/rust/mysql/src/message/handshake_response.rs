//! The client's response to a greeting ("Protocol::HandshakeResponse41" in MySQL's manual of its source).
//!
//! The proxy reads that of its clients and makes its own for databases.

use dbproxy_engine::Reader;

use super::capability::{
    CONNECT_ATTRS, CONNECT_WITH_DB, PLUGIN_AUTH, PLUGIN_AUTH_LENENC, SECURE_CONNECTION,
    ZSTD_COMPRESSION,
};
use super::lenenc;
use super::ssl_request::Opening;

/// A response. What of it is `None` isn't in it, and neither is the capability that says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandshakeResponse<'a> {
    /// The fixed part.
    pub opening: Opening,
    /// Who the client claims to be.
    pub user: &'a [u8],
    /// Its proof for the plugin that it names, or that of the greeting.
    pub proof: &'a [u8],
    /// The database to begin in.
    pub database: Option<&'a [u8]>,
    /// The plugin that the proof is of.
    pub plugin: Option<&'a [u8]>,
    /// What it says of itself.
    pub attributes: Option<Attributes<'a>>,
    /// How hard it wants to compress by zstd.
    pub zstd_level: Option<u8>,
}

/// Reads a response.
pub fn parse(payload: &[u8]) -> Option<HandshakeResponse<'_>> {
    let mut reader = Reader::new(payload);
    let opening = Opening::take(&mut reader)?;
    let has = |capability| opening.capabilities.has(capability);
    let user = reader.cstr().ok()?;
    let proof = if has(PLUGIN_AUTH_LENENC) {
        lenenc::string(&mut reader)?
    } else if has(SECURE_CONNECTION) {
        let length = reader.u8().ok()?;
        reader.take(length.into()).ok()?
    } else {
        reader.cstr().ok()?
    };
    let database = match has(CONNECT_WITH_DB) {
        true => Some(reader.cstr().ok()?),
        false => None,
    };
    let plugin = match has(PLUGIN_AUTH) {
        true => Some(last_text(&mut reader)?),
        false => None,
    };
    let attributes = match has(CONNECT_ATTRS) {
        true => Some(Attributes(lenenc::string(&mut reader)?)),
        false => None,
    };
    let zstd_level = match has(ZSTD_COMPRESSION) {
        true => Some(reader.u8().ok()?),
        false => None,
    };
    Some(HandshakeResponse {
        opening,
        user,
        proof,
        database,
        plugin,
        attributes,
        zstd_level,
    })
}

/// The text up to a NUL, or up to the end, where some clients leave it out.
fn last_text<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    if let Ok(text) = reader.cstr() {
        return Some(text);
    }
    reader.take(reader.len()).ok()
}

impl HandshakeResponse<'_> {
    /// Appends the payload. A proof that is longer than its length can say is left out: the server asks for
    /// it then.
    pub fn write(&self, out: &mut Vec<u8>) {
        let capabilities = self
            .opening
            .capabilities
            .set(CONNECT_WITH_DB, self.database.is_some())
            .set(PLUGIN_AUTH, self.plugin.is_some())
            .set(CONNECT_ATTRS, self.attributes.is_some())
            .set(ZSTD_COMPRESSION, self.zstd_level.is_some());
        Opening {
            capabilities,
            ..self.opening
        }
        .write(out);
        super::text(out, self.user);
        if capabilities.has(PLUGIN_AUTH_LENENC) {
            lenenc::put_string(out, self.proof);
        } else if capabilities.has(SECURE_CONNECTION) {
            let (length, proof) = match u8::try_from(self.proof.len()) {
                Ok(length) => (length, self.proof),
                Err(_) => (0, &b""[..]),
            };
            out.push(length);
            out.extend_from_slice(proof);
        } else {
            super::text(out, self.proof);
        }
        for text in [self.database, self.plugin].into_iter().flatten() {
            super::text(out, text);
        }
        if let Some(attributes) = self.attributes {
            lenenc::put_string(out, attributes.0);
        }
        out.extend(self.zstd_level);
    }
}

/// Pairs of names and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// What [`Attributes::put`] has put together.
    pub fn new(pairs: &'a [u8]) -> Self {
        Self(pairs)
    }

    /// Appends a pair.
    pub fn put(pairs: &mut Vec<u8>, name: &[u8], value: &[u8]) {
        lenenc::put_string(pairs, name);
        lenenc::put_string(pairs, value);
    }

    /// One after the other, up to one that is broken: servers go no further either.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || {
            let name = lenenc::string(&mut reader)?;
            Some((name, lenenc::string(&mut reader)?))
        })
    }
}
