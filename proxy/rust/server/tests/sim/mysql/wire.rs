//! MySQL's packets as the model database and the scripted clients write and read them: their own code, so
//! that a fault in the engine's isn't mirrored here. A packet is a header (three bytes of length, a number)
//! and a payload.

use sha1::Sha1;
use sha2::{Digest, Sha256};

pub const HEADER: usize = 4;

/// Capabilities.
pub const FOUND_ROWS: u32 = 1 << 1;
pub const CONNECT_WITH_DB: u32 = 1 << 3;
pub const SSL: u32 = 1 << 11;
pub const MULTI_STATEMENTS: u32 = 1 << 16;
pub const PLUGIN_AUTH_LENENC: u32 = 1 << 21;
pub const SESSION_TRACK: u32 = 1 << 23;
pub const DEPRECATE_EOF: u32 = 1 << 24;
/// What everybody has: LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_RESULTS,
/// PS_MULTI_RESULTS, PLUGIN_AUTH.
pub const BASE: u32 = 1 | 1 << 2 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 17 | 1 << 18 | 1 << 19;

/// Status flags.
pub const IN_TRANS: u16 = 1;
pub const AUTOCOMMIT: u16 = 1 << 1;
pub const MORE_RESULTS: u16 = 1 << 3;
pub const STATE_CHANGED: u16 = 1 << 14;

/// First bytes of payloads.
pub const OK: u8 = 0;
pub const MORE_DATA: u8 = 1;
pub const EOF: u8 = 0xfe;
pub const ERROR: u8 = 0xff;

/// Commands.
pub const QUIT: u8 = 1;
pub const INIT_DB: u8 = 2;
pub const QUERY: u8 = 3;
pub const PING: u8 = 14;
pub const STMT_PREPARE: u8 = 22;
pub const STMT_EXECUTE: u8 = 23;
pub const STMT_CLOSE: u8 = 25;
pub const SET_OPTION: u8 = 27;
pub const RESET_CONNECTION: u8 = 31;

pub const CACHING_SHA2: &str = "caching_sha2_password";
pub const NATIVE: &str = "mysql_native_password";
/// The proof was right.
pub const FAST_PASSED: u8 = 3;

/// `utf8mb4_general_ci`.
pub const COLLATION: u8 = 45;

/// Types of what an OK reports.
pub const VARIABLE: u8 = 0;
pub const SCHEMA: u8 = 1;
pub const STATE: u8 = 2;
pub const TRANSACTION: u8 = 5;

pub fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    bytes.push(sequence);
    bytes.extend(payload);
    bytes
}

/// Takes the first whole packet off a buffer.
pub fn take_packet(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let header = buffer.get(..HEADER)?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
    let whole = HEADER + length;
    (buffer.len() >= whole).then(|| buffer.drain(..whole).collect())
}

pub fn payload(packet: &[u8]) -> &[u8] {
    packet.get(HEADER..).unwrap_or_default()
}

/// A command with its body.
pub fn command(kind: u8, body: &[u8]) -> Vec<u8> {
    packet(0, &[&[kind], body].concat())
}

pub fn query(sql: &str) -> Vec<u8> {
    command(QUERY, sql.as_bytes())
}

pub fn put_number(out: &mut Vec<u8>, number: u64) {
    match number {
        0..=250 => out.push(number as u8),
        251..=0xffff => {
            out.push(0xfc);
            out.extend((number as u16).to_le_bytes());
        }
        _ => {
            out.push(0xfe);
            out.extend(number.to_le_bytes());
        }
    }
}

pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_number(out, text.len() as u64);
    out.extend(text);
}

pub fn put_ended(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes());
    out.push(0);
}

/// Reads on in a payload; what isn't there counts as nothing.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn fixed(&mut self, count: usize) -> u64 {
        let bytes = self.take(count).iter().rev();
        bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    pub fn byte(&mut self) -> u8 {
        self.fixed(1) as u8
    }

    pub fn short(&mut self) -> u16 {
        self.fixed(2) as u16
    }

    pub fn long(&mut self) -> u32 {
        self.fixed(4) as u32
    }

    pub fn number(&mut self) -> u64 {
        match self.byte() {
            0xfc => self.fixed(2),
            0xfd => self.fixed(3),
            0xfe => self.fixed(8),
            small => small.into(),
        }
    }

    pub fn text(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        self.take(length)
    }

    /// Up to a NUL.
    pub fn ended(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.unwrap_or(self.0.len()));
        self.take(1);
        String::from_utf8_lossy(text).into_owned()
    }
}

/// An OK, or what ends rows (with `EOF` as its first byte).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Done {
    pub affected: u64,
    pub insert_id: u64,
    pub status: u16,
    pub warnings: u16,
    pub changes: Vec<u8>,
}

impl Done {
    pub fn write(&self, first: u8, agreed: u32) -> Vec<u8> {
        let mut out = vec![first];
        let changed = !self.changes.is_empty() && agreed & SESSION_TRACK != 0;
        put_number(&mut out, self.affected);
        put_number(&mut out, self.insert_id);
        let flag = if changed { STATE_CHANGED } else { 0 };
        out.extend((self.status | flag).to_le_bytes());
        out.extend(self.warnings.to_le_bytes());
        if changed {
            put_text(&mut out, b"");
            put_text(&mut out, &self.changes);
        }
        out
    }

    pub fn read(payload: &[u8]) -> Self {
        let mut cursor = Cursor(payload.get(1..).unwrap_or_default());
        let mut done = Self {
            affected: cursor.number(),
            insert_id: cursor.number(),
            status: cursor.short(),
            warnings: cursor.short(),
            changes: Vec::new(),
        };
        cursor.text();
        if done.status & STATE_CHANGED != 0 {
            done.changes = cursor.text().to_vec();
            done.status &= !STATE_CHANGED;
        }
        done
    }
}

/// An EOF of who doesn't do without.
pub fn eof(status: u16) -> Vec<u8> {
    [&[EOF, 0, 0][..], &status.to_le_bytes()].concat()
}

pub fn is_eof(payload: &[u8]) -> bool {
    payload.first() == Some(&EOF) && payload.len() == 5
}

pub fn error(code: u16, state: &str, text: &str) -> Vec<u8> {
    let mut out = vec![ERROR];
    out.extend(code.to_le_bytes());
    out.push(b'#');
    out.extend(state.bytes());
    out.extend(text.bytes());
    out
}

/// An error's number and text.
pub fn error_fields(payload: &[u8]) -> (u16, String) {
    let mut cursor = Cursor(payload.get(1..).unwrap_or_default());
    let code = cursor.short();
    if cursor.0.first() == Some(&b'#') {
        cursor.take(6);
    }
    (code, String::from_utf8_lossy(cursor.0).into_owned())
}

/// The definition of a column of text.
pub fn column(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for text in ["def", "", "", "", name, ""] {
        put_text(&mut out, text.as_bytes());
    }
    out.extend([0x0c, COLLATION, 0, 255, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0]);
    out
}

pub fn row(values: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        put_text(&mut out, value.as_bytes());
    }
    out
}

/// The same of a prepared statement: none of so few is NULL.
pub fn binary_row(values: &[&str]) -> Vec<u8> {
    [&[0, 0][..], &row(values)].concat()
}

/// A row's values, back again.
pub fn values(row: &[u8]) -> Vec<String> {
    let mut cursor = Cursor(row);
    let mut values = Vec::new();
    while !cursor.0.is_empty() {
        values.push(String::from_utf8_lossy(cursor.text()).into_owned());
    }
    values
}

/// What proves a password to `caching_sha2_password`.
pub fn sha2_proof(password: &str, scramble: &[u8]) -> Vec<u8> {
    let once = Sha256::digest(password);
    let twice = Sha256::digest(once);
    let mask = Sha256::digest([twice.as_slice(), scramble].concat());
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// What proves a password to `mysql_native_password`.
pub fn native_proof(password: &str, scramble: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password);
    let twice = Sha1::digest(once);
    let mask = Sha1::digest([scramble, twice.as_slice()].concat());
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// What proves it by the plugin of that name.
pub fn proof(plugin: &str, password: &str, scramble: &[u8]) -> Vec<u8> {
    match plugin {
        NATIVE => native_proof(password, scramble),
        _ => sha2_proof(password, scramble),
    }
}

/// A packet as the trace shows it.
pub fn readable(packet: &[u8]) -> String {
    let payload = payload(packet);
    let text = String::from_utf8_lossy(payload);
    let printable = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let text: String = text.chars().filter(printable).take(80).collect();
    let number = packet.get(3).copied().unwrap_or_default();
    format!("#{number} {:02x?} {text}", payload.first())
}
