//! What a client has set, as it must find it on whatever backend it holds: one value, kept or undone
//! with its transaction.

use crate::postgres::script::{Expect, Kind};

#[derive(Debug)]
pub struct Setting {
    now: String,
    /// What a ROLLBACK makes it again.
    committed: String,
    /// What the end of the transaction makes it again.
    session: Option<String>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            now: "-".into(),
            committed: "-".into(),
            session: None,
        }
    }
}

impl Setting {
    pub fn now(&self) -> &str {
        &self.now
    }

    /// What is wrong with the value that a row shows, if something is.
    pub fn contradicts(&self, shown: &str) -> Option<String> {
        (shown != self.now).then(|| format!("{shown} is set, not {}", self.now))
    }

    /// A request was answered. `ended`: no transaction is open; `kept`: and what was set is committed.
    pub fn answered(&mut self, expect: &Expect, succeeded: bool, ended: bool, kept: bool) {
        match (expect.kind, expect.tokens.first()) {
            (Kind::Set, Some(token)) if succeeded => {
                self.now = format!("t{token}");
                self.session = None;
            }
            (Kind::Reset, _) if succeeded => {
                self.now = "-".into();
                self.session = None;
            }
            (Kind::SetLocal, Some(token)) if succeeded => {
                let before = std::mem::replace(&mut self.now, format!("t{token}"));
                self.session.get_or_insert(before);
            }
            _ => {}
        }
        if ended {
            if let Some(session) = self.session.take() {
                self.now = session;
            }
        }
        match (ended, kept) {
            (true, true) => self.committed = self.now.clone(),
            (true, false) => self.now = self.committed.clone(),
            _ => {}
        }
    }
}
