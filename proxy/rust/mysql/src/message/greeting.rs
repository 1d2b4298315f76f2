//! The greeting, the server's first words ("Protocol::HandshakeV10" in MySQL's manual of its source).
//!
//! The proxy makes it for its clients and reads that of a database. A server that can't serve at all says an
//! error instead ([`super::error`]).

use dbproxy_engine::Reader;

use super::capability::{Capabilities, PLUGIN_AUTH, SECURE_CONNECTION};

const VERSION: u8 = 10;
/// How much of the scramble stands in front.
const HEAD: usize = 8;
/// What stands behind, with its NUL.
const TAIL: usize = SCRAMBLE - HEAD + 1;

/// The length of a greeting's scramble.
pub const SCRAMBLE: usize = 20;

/// A greeting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Greeting<'a> {
    /// The server's version, with MariaDB's `5.5.5-` where it is said.
    pub version: &'a [u8],
    /// The connection's id, which KILL takes.
    pub thread_id: u32,
    /// What a proof of the password is made for; no byte of it is NUL.
    pub scramble: [u8; SCRAMBLE],
    /// What the server can do.
    pub capabilities: Capabilities,
    /// The low byte of the server's default collation.
    pub collation: u8,
    /// Status flags.
    pub status: u16,
    /// The plugin that the scramble is for; empty if none is named.
    pub plugin: &'a [u8],
}

/// Reads a greeting of a server of 4.1 or later.
pub fn parse(payload: &[u8]) -> Option<Greeting<'_>> {
    let mut reader = Reader::new(payload);
    reader.u8().ok().filter(|version| *version == VERSION)?;
    let version = reader.cstr().ok()?;
    let thread_id = reader.u32_le().ok()?;
    let head = reader.take(HEAD).ok()?;
    reader.take(1).ok()?;
    let low = reader.u16_le().ok()?;
    let collation = reader.u8().ok()?;
    let status = reader.u16_le().ok()?;
    let high = reader.u16_le().ok()?;
    let length = usize::from(reader.u8().ok()?);
    reader.take(6).ok()?;
    let reserved = reader.u32_le().ok()?;
    let common = u32::from(low) | u32::from(high) << 16;
    let capabilities = Capabilities::from_wire(common, reserved);
    if !capabilities.has(SECURE_CONNECTION) {
        return None;
    }
    let tail = reader.take(length.saturating_sub(HEAD).max(TAIL)).ok()?;
    let mut scramble = [0; SCRAMBLE];
    for (byte, said) in scramble.iter_mut().zip(head.iter().chain(tail)) {
        *byte = *said;
    }
    let plugin = match capabilities.has(PLUGIN_AUTH) {
        true => super::to_nul(reader.rest()),
        false => b"",
    };
    Some(Greeting {
        version,
        thread_id,
        scramble,
        capabilities,
        collation,
        status,
        plugin,
    })
}

impl Greeting<'_> {
    /// Appends the payload. The proxy's own always has SECURE_CONNECTION.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (head, tail) = self.scramble.split_at(HEAD);
        let common = self.capabilities.with(SECURE_CONNECTION).common();
        out.push(VERSION);
        super::text(out, self.version);
        out.extend_from_slice(&self.thread_id.to_le_bytes());
        out.extend_from_slice(head);
        out.push(0);
        out.extend_from_slice(&(common as u16).to_le_bytes());
        out.push(self.collation);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&((common >> 16) as u16).to_le_bytes());
        let named = self.capabilities.has(PLUGIN_AUTH);
        out.push(if named { SCRAMBLE as u8 + 1 } else { 0 });
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.capabilities.extended().to_le_bytes());
        out.extend_from_slice(tail);
        out.push(0);
        if named {
            super::text(out, self.plugin);
        }
    }
}
