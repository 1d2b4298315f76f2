//! SSLRequest, by which a client begins TLS ("Protocol::SSLRequest" in MySQL's manual of its source). It is
//! the fixed part of the response to a greeting ([`super::handshake_response`]), and ends there.

use dbproxy_engine::Reader;

use super::capability::{Capabilities, PROTOCOL_41, SSL};

/// What stands between the collation and MariaDB's extended capabilities.
const RESERVED: usize = 19;

/// What a client says of itself first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// What the client wants of what the greeting offered.
    pub capabilities: Capabilities,
    /// The longest packet that it takes, as it says; servers go by their own bound.
    pub longest_packet: u32,
    /// The low byte of its connection's collation.
    pub collation: u8,
}

impl Opening {
    /// Takes the fixed part. Of the protocol before 4.1 it takes nothing.
    pub fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let common = reader.u32_le().ok()?;
        let longest_packet = reader.u32_le().ok()?;
        let collation = reader.u8().ok()?;
        reader.take(RESERVED).ok()?;
        let capabilities = Capabilities::from_wire(common, reader.u32_le().ok()?);
        capabilities.has(PROTOCOL_41).then_some(Self {
            capabilities,
            longest_packet,
            collation,
        })
    }

    /// Appends the fixed part.
    pub fn write(&self, out: &mut Vec<u8>) {
        let capabilities = self.capabilities.with(PROTOCOL_41);
        out.extend_from_slice(&capabilities.common().to_le_bytes());
        out.extend_from_slice(&self.longest_packet.to_le_bytes());
        out.push(self.collation);
        out.extend_from_slice(&[0; RESERVED]);
        out.extend_from_slice(&capabilities.extended().to_le_bytes());
    }
}

/// Reads an SSLRequest; `None` to a response, which has more behind or doesn't ask for TLS.
pub fn parse(payload: &[u8]) -> Option<Opening> {
    let mut reader = Reader::new(payload);
    let opening = Opening::take(&mut reader)?;
    (opening.capabilities.has(SSL) && reader.is_empty()).then_some(opening)
}

/// Appends the payload of an SSLRequest.
pub fn write(opening: &Opening, out: &mut Vec<u8>) {
    Opening {
        capabilities: opening.capabilities.with(SSL),
        ..*opening
    }
    .write(out);
}
