//! Results that the proxy itself makes.

use crate::message::capability::{Capabilities, DEPRECATE_EOF};
use crate::message::column::{self, Column};
use crate::message::{eof, frame, lenenc, ok, result_set};

use super::ANSWER;

/// The length of a number's column, and its flags: a number, never NULL, without a sign.
const LENGTH: u32 = 21;
const FLAGS: u16 = 0x00a1;

/// The answer to `SELECT CONNECTION_ID()`.
pub(super) fn number(id: u32, agreed: Capabilities, status: u16) -> Vec<u8> {
    let column = Column {
        name: b"CONNECTION_ID()",
        collation: column::BINARY,
        length: LENGTH,
        kind: column::LONGLONG,
        flags: FLAGS,
        ..Column::default()
    };
    let end = eof::Eof {
        warnings: 0,
        status,
    };
    let ok = ok::Ok {
        status,
        ..ok::Ok::default()
    };
    let mut out = Vec::new();
    let next = frame::packets(&mut out, ANSWER, |out| result_set::write(1, out));
    let mut next = frame::packets(&mut out, next, |out| column.write(out));
    if !agreed.has(DEPRECATE_EOF) {
        next = frame::packets(&mut out, next, |out| end.write(out));
    }
    let value = id.to_string();
    next = frame::packets(&mut out, next, |out| {
        lenenc::put_string(out, value.as_bytes());
    });
    frame::packets(&mut out, next, |out| match agreed.has(DEPRECATE_EOF) {
        true => ok.write(ok::END_OF_ROWS, agreed, out),
        false => end.write(out),
    });
    out
}
