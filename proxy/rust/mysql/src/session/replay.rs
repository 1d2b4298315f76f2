//! A backend that was checked out is given what its client has: its settings, its database, its variables.
//!
//! The request waits until that is there: a server runs the next command whatever became of the one before, and in
//! another database or under other settings it means something else.

use dbproxy_engine::{Leg, Payload, PinReason, Step, Steps};

use crate::link::{Link, Ours};
use crate::message::command;
use crate::message::error::Report;
use crate::texts::Fault;

use super::{texts, Session};

impl Session {
    pub(super) fn replay(&mut self, link: &mut Link, out: &mut Steps) {
        self.failed = None;
        let mut bytes = Vec::new();
        if let Some(sql) = link.wants(&self.settings) {
            link.ask(Ours::Replay, command::QUERY, sql.as_bytes(), &mut bytes);
        }
        match &self.database {
            Some(_) if self.moves => {}
            Some(database) if link.database.as_ref() != Some(database) => {
                link.ask(Ours::Replay, command::INIT_DB, database, &mut bytes);
                let database = Some(database.clone());
                link.enters(database);
            }
            // Nobody is lent what its traces tell of.
            None if link.is_elsewhere() => {
                let error = "The proxy has no connection that is in no database";
                self.failed = Some(Fault::new(1105, b"HY000", error));
            }
            _ => {}
        }
        if let Some(sql) = self.variables.sql() {
            link.ask(Ours::Replay, command::QUERY, &sql, &mut bytes);
            link.has_variables = true;
        }
        let foreign = self.database.as_ref().is_some_and(|name| !name.is_ascii());
        if foreign {
            // Under another character set the same bytes may be another database's name.
            self.pin(PinReason::SessionSetting, link, out);
        }
        if !bytes.is_empty() {
            out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
        }
    }

    /// The server doesn't take what the client has. Its request must not run without that.
    pub(super) fn replay_failed(&mut self, report: &Report<'_>) {
        self.failed.get_or_insert_with(|| texts::refused(report));
    }
}
