//! What the proxy itself says to a client, and results that it makes as the servers make them.

use dbproxy_engine::{Leg, Payload, Step, Steps};

use crate::link::Settings;
use crate::message::capability::{Capabilities, DEPRECATE_EOF};
use crate::message::column::{self, Column};
use crate::message::{eof, frame, lenenc, ok, result_set};
use crate::texts::Fault;

use super::ANSWER;

/// The lengths of columns of whole numbers.
const LENGTH: u32 = 21;
const SHORT_LENGTH: u32 = 10;
/// What is said of a column: it is never NULL, has no sign, is no text.
const NOT_NULL: u16 = 0x01;
const UNSIGNED: u16 = 0x20;
const BINARY: u16 = 0x80;

/// Sends bytes of our own to the client.
pub(super) fn tell(bytes: Vec<u8>, out: &mut Steps) {
    out.push(Step::Send(Leg::Client, Payload::Bytes(bytes)));
}

/// Tells the client an error.
pub(super) fn say(error: Fault, sequence: u8, out: &mut Steps) {
    let mut bytes = Vec::new();
    error.write(sequence, &mut bytes);
    tell(bytes, out);
}

/// To whom is answered, and how things stand.
pub(super) struct Teller<'a> {
    /// The number of the client's connection.
    pub id: u32,
    pub agreed: Capabilities,
    pub status: u16,
    pub mariadb: bool,
    pub settings: &'a Settings,
}

impl Teller<'_> {
    pub(super) fn connection_id(&self, name: &[u8]) -> Vec<u8> {
        let (kind, length) = match self.mariadb {
            true => (column::LONG, SHORT_LENGTH),
            false => (column::LONGLONG, LENGTH),
        };
        let column = Column {
            name,
            collation: column::BINARY,
            length,
            kind,
            flags: NOT_NULL | UNSIGNED | BINARY,
            ..Column::default()
        };
        self.number(&column, &self.id.to_string())
    }

    /// How many rows a statement has changed.
    pub(super) fn row_count(&self, name: &[u8], rows: i64) -> Vec<u8> {
        self.long(name, NOT_NULL | BINARY, &rows.to_string())
    }

    /// How many warnings or errors it has.
    pub(super) fn count(&self, name: &[u8], count: u64) -> Vec<u8> {
        self.long(name, UNSIGNED | BINARY, &count.to_string())
    }

    fn long(&self, name: &[u8], flags: u16, value: &str) -> Vec<u8> {
        let column = Column {
            name,
            collation: column::BINARY,
            length: LENGTH,
            kind: column::LONGLONG,
            flags,
            ..Column::default()
        };
        self.number(&column, value)
    }

    /// One row of one number.
    fn number(&self, column: &Column<'_>, value: &str) -> Vec<u8> {
        let mut answer = Answer::default();
        answer.payload(|out| result_set::write(1, out));
        answer.payload(|out| column.write(out));
        answer.ends_columns(self);
        answer.payload(|out| lenenc::put_string(out, value.as_bytes()));
        answer.ends(self)
    }
}

/// A result that is being made.
pub(super) struct Answer {
    bytes: Vec<u8>,
    next: u8,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            next: ANSWER,
        }
    }
}

impl Answer {
    pub(super) fn payload(&mut self, build: impl FnOnce(&mut Vec<u8>)) {
        self.next = frame::packets(&mut self.bytes, self.next, build);
    }

    pub(super) fn ends_columns(&mut self, teller: &Teller<'_>) {
        if !teller.agreed.has(DEPRECATE_EOF) {
            self.eof(teller.status);
        }
    }

    /// Behind its rows: the whole of it.
    pub(super) fn ends(mut self, teller: &Teller<'_>) -> Vec<u8> {
        let status = teller.status;
        match teller.agreed.has(DEPRECATE_EOF) {
            true => self.payload(|out| {
                let ok = ok::Ok {
                    status,
                    ..ok::Ok::default()
                };
                ok.write(ok::END_OF_ROWS, teller.agreed, out);
            }),
            false => self.eof(status),
        }
        self.bytes
    }

    fn eof(&mut self, status: u16) {
        let end = eof::Eof {
            warnings: 0,
            status,
        };
        self.payload(|out| end.write(out));
    }
}
