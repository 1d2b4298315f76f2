//! ParameterStatus: kept with the backend; the client hears of it as it would without a proxy.

use std::sync::Arc;

use dbproxy_engine::KillReason;

use crate::backend_login::parameter;
use crate::expect::{Expect, Injected};
use crate::link::Link;
use crate::message::build;
use crate::settings::NAME;
use crate::statement::Value;

use super::judge::Verdict;
use super::Session;

/// Takes in one report; says what the client hears of it.
pub(super) fn report(mut session: Option<&mut Session>, link: &mut Link, body: &[u8]) -> Verdict {
    let Some((name, value)) = parameter(body) else {
        return Verdict::Kill(KillReason::OutOfStep);
    };
    if name == "application_name" {
        if let Some(Expect::Injected(_) | Expect::Aside { .. }) = link.expected.front() {
            return Verdict::Drop;
        }
        // Every server cleans it to ASCII.
        let value = String::from_utf8_lossy(value);
        let before = std::mem::replace(&mut link.application_name, (*value).into());
        return match session {
            Some(session) => session.name_reported(&before, &value, link.params.own_name()),
            None => Verdict::Drop,
        };
    }
    let replaying = matches!(
        link.expected.front(),
        Some(
            Expect::Injected(Injected::Settings { .. } | Injected::Statements)
                | Expect::Aside { .. }
        )
    );
    // The session lets go of them meanwhile: each of many reports would copy them all.
    if let Some(session) = session.as_mut().filter(|_| !replaying) {
        session.told = Arc::default();
    }
    if !replaying && !link.reported {
        // What an error undoes is reported too.
        let mut known = link.params.iter();
        let before = known.find(|(known, _)| *known == name);
        let before = before.map_or(&[][..], |(_, value)| value);
        link.settings.reports(name, before, value);
    }
    if Arc::make_mut(&mut link.params).set(name, value).is_err() {
        return Verdict::Kill(KillReason::OutOfStep);
    }
    if replaying {
        return Verdict::Drop;
    }
    if let Some(session) = session {
        session.told = Arc::clone(&link.params);
    }
    Verdict::Pass
}

impl Session {
    /// What the client hears of its name when the backend is gone: what it set in its transaction, or
    /// in a request that is lost, it has no more. Other reports are compared at the next backend.
    pub(super) fn name_taken_back(&self, link: &Link) -> Vec<u8> {
        let own = &*self.application_name;
        let known = if self.nameless {
            own
        } else {
            &*link.application_name
        };
        let now = match self.settings.value(NAME) {
            Some(Value::Text(set)) => set,
            _ => own,
        };
        let mut bytes = Vec::new();
        if known != now {
            build::parameter(&mut bytes, NAME, now.as_bytes());
        }
        bytes
    }

    /// The server reports the client's name. Reset, it is for the server none or what a session has
    /// by itself, and for the client the one that it came with.
    fn name_reported(&mut self, before: &str, now: &str, by_itself: &str) -> Verdict {
        let own = &*self.application_name;
        let known = if self.nameless { own } else { before };
        let reset = now.is_empty() || now == by_itself;
        let shown = if reset { own } else { now };
        self.nameless = now != shown;
        if known == shown {
            return Verdict::Drop;
        }
        let mut bytes = Vec::new();
        build::parameter(&mut bytes, "application_name", shown.as_bytes());
        Verdict::Instead(bytes)
    }
}
