//! A backend that was checked out is given what its client has: its settings, its name; and the client
//! is told how the reports of this backend differ from those it knows.

use std::sync::Arc;

use dbproxy_engine::{KillReason, Release, Step, Steps};

use crate::expect::Injected;
use crate::link::Link;
use crate::message::build;
use crate::message::error::Report;
use crate::settings::{self, NAME};
use crate::statement::Value;
use crate::{name, texts};

use super::{say, tell, Replaying, Session};

impl Session {
    /// Sends the server what makes its settings the client's; answers whether that is anything.
    pub(super) fn replay(&mut self, link: &mut Link, out: &mut Steps) -> bool {
        self.replaying = Replaying::No;
        let same = Arc::ptr_eq(link.settings.settings(), &self.settings);
        if same && link.traces.len() == self.traces.len() {
            return false;
        }
        let missing = self.traces.iter().map(|name| &**name);
        let missing: Vec<&str> = missing
            .filter(|name| !link.traces.iter().any(|there| **there == **name))
            .collect();
        let there = link.settings.settings();
        let replay = settings::replay(there, &self.settings, &missing);
        link.settings.replayed(&self.settings);
        link.traces = Arc::clone(&self.traces);
        let Some(replay) = replay else {
            return false;
        };
        let awaited = replay.awaited;
        if awaited {
            self.replaying = Replaying::Awaited;
        }
        let mut bytes = Vec::new();
        link.inject(Injected::Settings { awaited }, &replay.sql, &mut bytes);
        tell(bytes, out);
        true
    }

    /// The server has its client's settings, or hasn't.
    pub(super) fn prepared(&mut self, link: &mut Link, out: &mut Steps) {
        if matches!(self.replaying, Replaying::Failed(_)) {
            return;
        }
        self.replaying = Replaying::No;
        self.tell_params(link, out);
    }

    /// The server doesn't take the client's settings any more. Its request must not run without them.
    pub(super) fn replay_failed(&mut self, report: &Report<'_>) {
        let mut bytes = Vec::new();
        texts::settings_refused(report, &mut bytes);
        self.replaying = Replaying::Failed(bytes.into());
    }

    /// Answers the client's request with the error, if its settings could not be restored.
    pub(super) fn refuse_unprepared(&mut self, input: &[u8], out: &mut Steps) -> Option<usize> {
        let error = match std::mem::replace(&mut self.replaying, Replaying::No) {
            Replaying::Failed(error) => error.into_vec(),
            other => {
                self.replaying = other;
                return None;
            }
        };
        let used = self.refuse_with(error, input, out);
        self.fresh = false;
        out.push(Step::Release(Release::Kill(KillReason::ResetFailed)));
        Some(used)
    }

    /// Tells the server the client's name.
    pub(super) fn introduce(&mut self, link: &mut Link, out: &mut Steps) {
        self.nameless = false;
        let name = match link.settings.now().value(NAME) {
            Some(Value::Text(set)) => set,
            _ => &*self.application_name,
        };
        if *link.application_name == *name {
            return;
        }
        let (sql, name) = (name::set(name), name.into());
        let mut bytes = Vec::new();
        link.inject(Injected::ApplicationName, &sql, &mut bytes);
        link.application_name = name;
        tell(bytes, out);
    }

    /// Tells the client how the reports of this backend differ from those it knows.
    pub(super) fn tell_params(&mut self, link: &mut Link, out: &mut Steps) {
        if Arc::ptr_eq(&self.told, &link.params) {
            return;
        }
        if self.told == link.params {
            // Servers of one kind report the same: the next look at this backend is one at an address.
            link.params = Arc::clone(&self.told);
            return;
        }
        let mut bytes = Vec::new();
        for (name, value) in link.params.iter() {
            if self.told.value(name) != Some(value) {
                build::parameter(&mut bytes, name, value);
            }
        }
        if !bytes.is_empty() {
            say(bytes, out);
        }
        self.told = Arc::clone(&link.params);
    }
}
