//! What a server reported about itself at log-in.

use crate::credential::Handover;
use crate::message::session_track::Change;
use crate::message::{frame, ok};

/// Whose server it is. The two speak the same protocol, and not quite the same SQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// MySQL, and what says to be it.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// What a version's text says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    /// Whose it is.
    pub kind: Kind,
    /// Its version, as executable comments write it: 80031 is 8.0.31, 101119 is 10.11.19.
    pub number: u32,
}

/// MariaDB puts this before its own version in a greeting, for replicas that knew no 10.
const DISGUISE: &str = "5.5.5-";

impl Server {
    /// Reads a version's text, that of a greeting or of `@@version`. What isn't a number counts as 0.
    pub fn new(version: &str) -> Self {
        let own = version.strip_prefix(DISGUISE);
        let named = version.to_ascii_lowercase().contains("mariadb");
        let kind = match named || own.is_some() {
            true => Kind::MariaDb,
            false => Kind::MySql,
        };
        let numbers = own.unwrap_or(version).split(|c: char| !c.is_ascii_digit());
        let mut numbers = numbers.map(|part| part.parse::<u32>().unwrap_or(0).min(99));
        let mut next = || numbers.next().unwrap_or(0);
        let number = next() * 10_000 + next() * 100 + next();
        Self { kind, number }
    }

    /// Whether it is MySQL of that version or later.
    pub fn is_mysql(self, from: u32) -> bool {
        self.kind == Kind::MySql && self.number >= from
    }
}

/// What a server said; every connection of the same log-in hears the same of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Params {
    /// Its version, as its greeting has it.
    pub version: Box<str>,
    /// What that says.
    pub server: Server,
    /// The low byte of its default collation.
    pub collation: u8,
    /// Status flags of a session that has done nothing.
    pub status: u16,
    /// Its `sql_mode`: how texts are read there.
    pub sql_mode: Box<str>,
}

impl Params {
    /// Appends the OK by which a client learns that it is in: the last answer to its log-in. As that of a
    /// server it reports the database, if the client named one.
    pub fn welcome(&self, handover: &Handover, out: &mut Vec<u8>) {
        let mut changes = Vec::new();
        if let Some(database) = &handover.database {
            Change::Schema(database).write(&mut changes);
        }
        let ok = ok::Ok {
            status: self.status,
            info: handover
                .certificate
                .as_deref()
                .unwrap_or_default()
                .as_bytes(),
            changes: (!changes.is_empty()).then_some(&*changes),
            ..ok::Ok::default()
        };
        frame::packets(out, handover.sequence, |out| {
            ok.write(ok::TAG, handover.capabilities, out);
        });
    }
}
