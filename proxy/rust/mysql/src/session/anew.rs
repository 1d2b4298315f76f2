//! What begins a session anew on the connection that its client has: a reset, and another log-in.

use std::sync::Arc;

use dbproxy_engine::{Leg, Note, Payload, PinReason, Reasons, Step, Steps};

use crate::link::{Link, Ours, Settings};
use crate::login::{Former, MOST_FAILURES};
use crate::message::command;
use crate::params::Kind;
use crate::SETUP;

use super::diagnostics::Diagnostics;
use super::holdings::{Holdings, OneShot};
use super::variables::Variables;
use super::{texts, Session};

impl Session {
    /// What of it counts when its client logs in again.
    pub(crate) fn former(self) -> Former {
        Former {
            capabilities: self.agreed,
            collation: self.collation,
            database: self.database,
            scramble: self.scramble,
            stays: self.dialect.is_mariadb(),
            failures: self.failures,
        }
    }

    /// Whether it may log in again.
    pub(super) fn changes_user(&mut self, out: &mut Steps) -> bool {
        let may = self.failures < MOST_FAILURES;
        match may {
            true => out.push(Step::LogInAgain),
            false => self.says(texts::unknown_command(), out),
        }
        may
    }

    /// As right after its log-in, but for the database.
    pub(super) fn starts_anew(&mut self, status: u16, out: &mut Steps) {
        self.status = status;
        let server = self.dialect.server;
        self.settings = match server.is_some_and(|server| server.kind == Kind::MySql) {
            true => Settings::anew().into(),
            false => Arc::default(),
        };
        self.variables = Variables::default();
        self.insert_id = 0;
        self.id_lost = false;
        self.begun = false;
        self.told_open = false;
        self.keeps = false;
        self.calculated = false;
        self.diagnostics = Diagnostics::default();
        self.holdings = Holdings::default();
        self.one_shot = OneShot::None;
        self.numbers = None;
        if self.is_pinned() {
            self.pins = Reasons::NONE;
            let left = self.has_option.then_some(PinReason::SessionSetting);
            if let Some(left) = left {
                self.pins = Reasons::of(&[left]);
            }
            out.push(Step::Note(Note::Unpinned(left)));
        }
    }

    /// Where it stays bound behind a reset, its backend is to report again what it changes.
    pub(super) fn listens_again(&self, link: &mut Link, out: &mut Steps) {
        if self.is_pinned() {
            let mut bytes = Vec::new();
            link.ask(Ours::Reset, command::QUERY, SETUP.as_bytes(), &mut bytes);
            out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
        }
    }
}
