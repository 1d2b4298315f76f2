//! What changed in a session, as an OK tells it ("Session State Information" under "Protocol::OK_Packet" in
//! MySQL's manual of its source, "OK_Packet" in MariaDB's knowledge base).

use dbproxy_engine::Reader;

use super::lenenc;

const SYSTEM_VARIABLES: u8 = 0;
const SCHEMA: u8 = 1;
const STATE_CHANGE: u8 = 2;
const GTIDS: u8 = 3;
const TRANSACTION_CHARACTERISTICS: u8 = 4;
const TRANSACTION_STATE: u8 = 5;
/// The only way in which GTIDs are written.
const AS_TEXT: u8 = 0;

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// A system variable has another value.
    Variable {
        /// Its name.
        name: &'a [u8],
        /// What it is now.
        value: &'a [u8],
    },
    /// Another default database.
    Schema(&'a [u8]),
    /// Something of the session has changed, or nothing has.
    State(bool),
    /// The GTIDs of what was committed.
    Gtids(&'a [u8]),
    /// SQL that begins a transaction like the one that is open or comes next; empty for any.
    Characteristics(&'a [u8]),
    /// How it stands with the transaction.
    Transaction(Transaction),
    /// What neither server documents.
    Unknown {
        /// Its type.
        kind: u8,
        /// All of it.
        data: &'a [u8],
    },
}

/// The eight letters of the transaction state, `_` where nothing is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transaction(pub [u8; 8]);

impl Transaction {
    /// One is open: `T` by BEGIN, `I` as autocommit is off.
    pub fn is_open(self) -> bool {
        self.0[0] != b'_'
    }

    /// It wrote, to tables that can be rolled back or not.
    pub fn has_written(self) -> bool {
        self.0.contains(&b'W') || self.0.contains(&b'w')
    }

    /// LOCK TABLES is in force.
    pub fn locks_tables(self) -> bool {
        self.0[7] == b'L'
    }
}

/// Reads the changes of an OK; `None` if one of them is broken.
pub fn parse(changes: &[u8]) -> Option<Vec<Change<'_>>> {
    let mut reader = Reader::new(changes);
    let mut all = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8().ok()?;
        one(kind, lenenc::string(&mut reader)?, &mut all)?;
    }
    Some(all)
}

fn one<'a>(kind: u8, data: &'a [u8], all: &mut Vec<Change<'a>>) -> Option<()> {
    let mut reader = Reader::new(data);
    let change = match kind {
        SYSTEM_VARIABLES => return variables(reader, all),
        SCHEMA => Change::Schema(lenenc::string(&mut reader)?),
        STATE_CHANGE => Change::State(reader.u8().ok()? != b'0'),
        GTIDS => {
            reader.u8().ok().filter(|written| *written == AS_TEXT)?;
            Change::Gtids(lenenc::string(&mut reader)?)
        }
        TRANSACTION_CHARACTERISTICS => Change::Characteristics(lenenc::string(&mut reader)?),
        TRANSACTION_STATE => {
            let letters = lenenc::string(&mut reader)?;
            Change::Transaction(Transaction(letters.try_into().ok()?))
        }
        kind => {
            all.push(Change::Unknown { kind, data });
            return Some(());
        }
    };
    all.push(change);
    reader.is_empty().then_some(())
}

/// MySQL says one variable at a time, MariaDB may say several.
fn variables<'a>(mut reader: Reader<'a>, all: &mut Vec<Change<'a>>) -> Option<()> {
    while !reader.is_empty() {
        let name = lenenc::string(&mut reader)?;
        let value = lenenc::string(&mut reader)?;
        all.push(Change::Variable { name, value });
    }
    Some(())
}

impl Change<'_> {
    /// Appends the change to those of an OK.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut data = Vec::new();
        let kind = self.data(&mut data);
        out.push(kind);
        lenenc::put_string(out, &data);
    }

    /// Appends what the change is; answers its type.
    fn data(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::Variable { name, value } => {
                lenenc::put_string(out, name);
                lenenc::put_string(out, value);
                SYSTEM_VARIABLES
            }
            Self::Schema(schema) => {
                lenenc::put_string(out, schema);
                SCHEMA
            }
            Self::State(changed) => {
                out.push(if *changed { b'1' } else { b'0' });
                STATE_CHANGE
            }
            Self::Gtids(gtids) => {
                out.push(AS_TEXT);
                lenenc::put_string(out, gtids);
                GTIDS
            }
            Self::Characteristics(sql) => {
                lenenc::put_string(out, sql);
                TRANSACTION_CHARACTERISTICS
            }
            Self::Transaction(Transaction(letters)) => {
                lenenc::put_string(out, letters);
                TRANSACTION_STATE
            }
            Self::Unknown { kind, data } => {
                out.extend_from_slice(data);
                *kind
            }
        }
    }
}
