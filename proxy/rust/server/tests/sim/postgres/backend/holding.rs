//! What lives in one session of the model PostgreSQL: advisory locks and a cursor that outlives its
//! transaction; and how it answers who asks for them.

use super::{Session, COLUMNS};
use crate::postgres::wire;
use crate::witness::Token;

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Cursor {
    #[default]
    None,
    /// Declared in the open transaction.
    New,
    Held,
}

#[derive(Default)]
pub struct Holding {
    locks: u32,
    cursor: Cursor,
}

impl Holding {
    pub fn is_used(&self) -> bool {
        self.locks > 0 || self.cursor != Cursor::None
    }

    pub fn ended(&mut self, kept: bool) {
        if self.cursor == Cursor::New {
            self.cursor = if kept { Cursor::Held } else { Cursor::None };
        }
    }
}

/// Whether a statement is one of those.
pub fn concerns(sql: &str) -> bool {
    let words = [
        "advisory_",
        "FETCH c ",
        "CLOSE c ",
        "DECLARE c ",
        "SELECT FROM ",
    ];
    words.iter().any(|word| sql.contains(word))
}

impl Session {
    pub(super) fn hold(&mut self, sql: &str, token: Token, described: bool) -> bool {
        if sql.starts_with("SELECT FROM ") {
            return self.survey(sql);
        }
        let has_cursor = self.holding.cursor != Cursor::None;
        let fits = match sql.split([' ', '(']).nth(1) {
            Some("pg_advisory_unlock") => self.holding.locks > 0,
            Some("pg_advisory_lock" | "pg_try_advisory_lock") => true,
            _ => sql.starts_with("DECLARE ") != has_cursor,
        };
        if !fits {
            return self.fail("55000", "db: there is no such lock or cursor");
        }
        let tag = match sql.split([' ', '(']).nth(1) {
            Some("pg_advisory_lock") => {
                self.holding.locks += 1;
                "SELECT 1"
            }
            Some("pg_advisory_unlock") => {
                self.holding.locks -= 1;
                "SELECT 1"
            }
            // Somebody else has it.
            Some("pg_try_advisory_lock") => "SELECT 1",
            _ if sql.starts_with("FETCH ") => "FETCH 1",
            _ if has_cursor => {
                self.holding.cursor = Cursor::None;
                "CLOSE CURSOR"
            }
            _ => {
                self.holding.cursor = Cursor::New;
                "DECLARE CURSOR"
            }
        };
        if self.holding.is_used() {
            self.owner = format!("t{token}");
        } else if self.channels.is_empty() {
            self.owner = "-".into();
        }
        if matches!(tag, "SELECT 1" | "FETCH 1") {
            self.rows(token, 1, described);
        }
        self.complete(tag)
    }

    /// The proxy asks what is held here.
    fn survey(&mut self, sql: &str) -> bool {
        let there = match sql.split(['.', '(']).nth(1) {
            Some("pg_lock_status") => self.holding.locks > 0,
            Some("pg_cursor") => self.holding.cursor != Cursor::None,
            Some("pg_listening_channels") => !self.channels.is_empty(),
            Some("pg_prepared_statement") => self.has_prepared(!sql.contains("NOT s.from_sql")),
            _ => false,
        };
        self.emit(wire::row_description(&COLUMNS[..0]));
        if there {
            self.emit(wire::data_row(&[]));
        }
        self.complete(&format!("SELECT {}", u8::from(there)))
    }
}
