//! AuthMoreData, what a plugin of the server has to say amid an exchange ("Protocol::AuthMoreData" in MySQL's
//! manual of its source).

/// Its first byte.
pub const TAG: u8 = 1;

/// What the plugin says.
pub fn parse(payload: &[u8]) -> Option<&[u8]> {
    payload.strip_prefix(&[TAG])
}

/// Appends the payload.
pub fn write(data: &[u8], out: &mut Vec<u8>) {
    out.push(TAG);
    out.extend_from_slice(data);
}
