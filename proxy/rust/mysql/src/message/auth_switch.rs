//! AuthSwitchRequest, by which a server asks for another plugin's proof ("Protocol::AuthSwitchRequest" in
//! MySQL's manual of its source). The client answers with a payload that is the proof and nothing else.

use dbproxy_engine::Reader;

/// Its first byte. An EOF has the same, and can't stand in a log-in.
pub const TAG: u8 = 0xfe;
/// What a request without a name means: the authentication before 4.1.
const OLD: &[u8] = b"mysql_old_password";

/// A request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuthSwitch<'a> {
    /// The plugin.
    pub plugin: &'a [u8],
    /// What the proof is to be made for, as the plugin has it: some end it with a NUL.
    pub data: &'a [u8],
}

/// Reads a request.
pub fn parse(payload: &[u8]) -> Option<AuthSwitch<'_>> {
    let mut reader = Reader::new(payload);
    reader.u8().ok().filter(|tag| *tag == TAG)?;
    if reader.is_empty() {
        return Some(AuthSwitch {
            plugin: OLD,
            data: b"",
        });
    }
    let plugin = reader.cstr().ok()?;
    let data = reader.rest();
    Some(AuthSwitch { plugin, data })
}

impl AuthSwitch<'_> {
    /// Appends the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(TAG);
        super::text(out, self.plugin);
        out.extend_from_slice(self.data);
    }
}
