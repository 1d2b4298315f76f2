//! What a session of the model MySQL reports of itself in its OKs, as the proxy's set-up asks for it.

use super::{wire, Session};

/// No transaction, as the tracker has it.
pub(super) const NO_TRANSACTION: [u8; 8] = *b"________";

fn change(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    wire::put_text(&mut out, data);
    out
}

fn text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_text(&mut out, text);
    out
}

fn variable(name: &str, value: &str) -> Vec<u8> {
    let both = [text(name.as_bytes()), text(value.as_bytes())].concat();
    change(wire::VARIABLE, &both)
}

impl Session {
    /// A variable was given a value, the same perhaps.
    pub(super) fn told_variable(&mut self, name: &str, value: &str) {
        self.changes.extend(variable(name, value));
        self.changed();
    }

    /// Something of the session is another.
    pub(super) fn changed(&mut self) {
        let state = change(wire::STATE, b"1");
        if !self.changes.ends_with(&state) {
            self.changes.extend(state);
        }
    }

    /// It is in that database.
    pub(super) fn enter(&mut self, database: &str) {
        self.database = Some(database.into());
        let schema = change(wire::SCHEMA, &text(database.as_bytes()));
        self.changes.extend(schema);
        self.changed();
    }

    /// What wasn't told yet.
    pub(super) fn report(&mut self) -> Vec<u8> {
        let mut changes = std::mem::take(&mut self.changes);
        if !self.tracks {
            return Vec::new();
        }
        let now = self.transaction();
        if now != self.told_transaction {
            self.told_transaction = now;
            changes.extend(change(wire::TRANSACTION, &text(&now)));
        }
        let number = self.statements.to_string();
        changes.extend(variable("statement_id", &number));
        changes
    }

    fn transaction(&self) -> [u8; 8] {
        let mut letters = NO_TRANSACTION;
        if let Some(how) = self.open {
            letters[0] = how;
            if !self.writes.is_empty() {
                letters[4] = b'W';
            }
        }
        letters
    }
}
