//! What is told of a session that is bound to its backend, and how it is unbound.
//!
//! It is unbound when the server confirms that what bound it is gone: where a statement may have ended
//! that, the server is asked once everything is answered outside of a transaction.

use dbproxy_engine::{Note, Reader, Step, Steps};

use crate::expect::Injected;
use crate::link::{Link, Status};
use crate::message::frontend;
use crate::pins::{Pins, SURVEY};
use crate::statement::{digest, Act, Class};

use super::{tell, Session};

impl Session {
    /// Tells of the message at hand that it bound the session, if it did. `before`: what did before it.
    pub(super) fn name_pin(
        &self,
        before: Pins,
        link: &Link,
        (tag, body): (u8, &[u8]),
        out: &mut Steps,
    ) {
        if before.any() || !self.pins.any() {
            return;
        }
        let told = out.iter_mut().rev().find_map(|step| match step {
            Step::Note(Note::Pinned(_, statement)) => Some(statement),
            _ => None,
        });
        if let (Some(told), Some(text)) = (told, text_of(tag, body)) {
            *told = digest(text, link.dialect()).into();
        }
    }

    /// A text is forwarded. What it binds the session for is added behind that.
    pub(super) fn may_discard(&mut self, class: &Class) {
        let mut scripts = class.acts.iter();
        if scripts.any(|script| script.any(|act| *act == Act::DiscardAll)) {
            self.pins.discard_sent();
        }
    }

    /// Everything is answered: says what is not bound any more, and asks where that isn't certain.
    pub(super) fn survey(&mut self, link: &mut Link, out: &mut Steps) {
        if let Some(bytes) = self.puts_away(link, out) {
            return tell(bytes, out);
        }
        if link.status != Status::Idle || link.cutting {
            return;
        }
        if self.pins.settled() {
            self.own.clear();
            self.tell_unpinned(out);
        }
        if self.pins.asks() {
            // What the client says meanwhile is sent at once, and this takes the unnamed statement as well.
            if self.nameless {
                self.introduce(link, out);
            }
            let mut bytes = Vec::new();
            link.inject(Injected::Survey, SURVEY, &mut bytes);
            tell(bytes, out);
        }
    }

    /// The server has said what it holds of the session's.
    pub(super) fn surveyed(&mut self, answered: u16, out: &mut Steps) {
        self.pins.surveyed(answered);
        if !self.pins.names_are_own() {
            self.own.clear();
        }
        self.tell_unpinned(out);
    }

    fn tell_unpinned(&mut self, out: &mut Steps) {
        if let Some(left) = self.pins.retell() {
            out.push(Step::Note(Note::Unpinned(left)));
        }
    }
}

/// The text that a message runs, or prepares.
fn text_of(tag: u8, body: &[u8]) -> Option<&[u8]> {
    match tag {
        frontend::QUERY => Some(body.strip_suffix(b"\0").unwrap_or(body)),
        frontend::PARSE => {
            let mut reader = Reader::new(body);
            reader.cstr().ok()?;
            Some(reader.cstr().unwrap_or(reader.rest()))
        }
        _ => None,
    }
}
