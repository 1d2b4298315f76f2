//! The extended protocol's messages. The unnamed statement is the one thing here that outlives a
//! transaction without pinning: it is remembered, and parsed again on another backend when the
//! client uses it there (and only then the session pins).

use dbproxy_engine::{PinReason, Reader, Steps};

use crate::expect::Expect;
use crate::link::{Link, Unnamed};
use crate::message::{backend, build};
use crate::statement::{classify, Class, Effects};

use super::forward::{commits, Run, Verdict};
use super::{Remembered, Session};

/// A larger Parse is not remembered; the session pins instead.
const LONGEST_REMEMBERED: usize = 16 * 1024;

impl Session {
    pub(super) fn parse(
        &mut self,
        link: &mut Link,
        message: &[u8],
        body: &[u8],
        whole: bool,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let mut reader = Reader::new(body);
        let Ok(name) = reader.cstr() else {
            return Verdict::Violation;
        };
        let class = match reader.cstr() {
            Ok(_) if whole && !types(&mut reader) => return Verdict::Violation,
            Ok(text) => classify(text, link.dialect()),
            Err(_) if whole => return Verdict::Violation,
            Err(_) => Class::unknown(PinReason::StatementTooLarge),
        };
        if !self.judge(link, &class, run, out) {
            return Verdict::GiveUp;
        }
        if !name.is_empty() {
            link.unsynced = true;
            self.batch.parses = self.batch.parses.saturating_add(1);
            self.pin(PinReason::NamedStatement, link, out);
            return Verdict::Forward;
        }
        if !whole && link.has_anothers(self.id) {
            // Its end may be broken, and then the server reads nothing of it.
            self.close_unnamed(link, run, out);
        }
        self.owns_unnamed(link);
        link.unsynced = true;
        self.batch.parses = self.batch.parses.saturating_add(1);
        self.batch.parsed = true;
        self.batch.used = false;
        self.batch.parse = Some(self.batch.messages);
        let remembered = self.unnamed.get_or_insert_with(Box::default);
        remembered.effects = class.effects;
        remembered.parse.clear();
        // A pinned session needs it only as long as another's may be in its place.
        if self.pin.is_none() || link.has_anothers(self.id) {
            if whole && message.len() <= LONGEST_REMEMBERED {
                remembered.parse.extend_from_slice(message);
            } else {
                self.pin(PinReason::UnnamedStatement, link, out);
            }
        }
        Verdict::Forward
    }

    pub(super) fn bind(
        &mut self,
        link: &mut Link,
        body: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        let mut reader = Reader::new(body);
        let (Ok(_portal), Ok(statement)) = (reader.cstr(), reader.cstr()) else {
            return Verdict::Violation;
        };
        let effects = if statement.is_empty() {
            self.use_unnamed(link, run, out);
            self.unnamed
                .as_ref()
                .map_or(Effects::UNKNOWN, |r| r.effects)
        } else {
            Effects::UNKNOWN
        };
        link.unsynced = true;
        self.batch.bound = true;
        self.portal_commits |= commits(&effects);
        link.batch = link.batch.then(&effects);
        Verdict::Forward
    }

    pub(super) fn describe(
        &mut self,
        link: &mut Link,
        body: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Verdict {
        match named(body) {
            Some((b'S', b"")) if !self.batch.parsed => self.use_unnamed(link, run, out),
            Some((b'S' | b'P', _)) => {}
            _ => return Verdict::Violation,
        }
        link.unsynced = true;
        Verdict::Forward
    }

    /// A portal bound in this batch has its effects booked already.
    pub(super) fn execute(&mut self, link: &mut Link) -> Verdict {
        if !self.batch.bound && self.portal_commits {
            link.batch = link.batch.then(&Effects::UNKNOWN);
        }
        link.unsynced = true;
        Verdict::Forward
    }

    pub(super) fn close_object(&mut self, link: &mut Link, body: &[u8]) -> Verdict {
        match named(body) {
            Some((b'S', b"")) => {
                self.forget_unnamed();
                self.batch.parsed = false;
                self.owns_unnamed(link);
            }
            Some((b'S' | b'P', _)) => {}
            _ => return Verdict::Violation,
        }
        link.unsynced = true;
        self.batch.closes = self.batch.closes.saturating_add(1);
        Verdict::Forward
    }

    /// The client uses its unnamed statement: sees to it that the backend has it, or has none.
    fn use_unnamed(&mut self, link: &mut Link, run: &mut Run<'_>, out: &mut Steps) {
        if self.batch.parsed {
            self.batch.used = true;
            return;
        }
        if link.unnamed == Unnamed::Of(self.id) {
            return;
        }
        let parse = self.unnamed.as_ref().map(|r| r.parse.as_slice());
        match parse.filter(|parse| !parse.is_empty()) {
            Some(parse) => {
                let bytes = parse.to_vec();
                if self.surely_read(link) {
                    link.unnamed = Unnamed::Of(self.id);
                }
                self.adds(backend::PARSE_COMPLETE, link);
                run.insert(run.at, bytes, out);
                self.pin(PinReason::UnnamedStatement, link, out);
            }
            None if !link.has_anothers(self.id) => return,
            None => self.close_unnamed(link, run, out),
        }
        // Whatever of this batch is read comes behind it.
        self.batch.parsed = true;
        self.batch.used = true;
    }

    /// Puts a Close of the unnamed statement before the message at hand.
    fn close_unnamed(&mut self, link: &mut Link, run: &mut Run<'_>, out: &mut Steps) {
        let mut bytes = Vec::new();
        build::close_unnamed(&mut bytes);
        self.owns_unnamed(link);
        self.adds(backend::CLOSE_COMPLETE, link);
        run.insert(run.at, bytes, out);
    }

    /// A Parse or Close of the proxy's own is put in, whose completion looks as this tag.
    fn adds(&mut self, tag: u8, link: &mut Link) {
        let batch = &mut self.batch;
        let (sent, answered) = match tag {
            backend::PARSE_COMPLETE => (batch.parses, link.parsed),
            _ => (batch.closes, link.closed),
        };
        // Completions that came belong to this batch only if nothing else is waited for.
        let answered = link.front().map_or(answered, |_| 0);
        let skip = sent.saturating_sub(answered);
        link.expected.push(Expect::Extra { tag, skip });
        batch.parses = 0;
        batch.closes = 0;
    }

    /// The message at hand replaces or closes the unnamed statement: from here on it is nobody
    /// else's. If it may be skipped, that isn't known before it is answered.
    fn owns_unnamed(&self, link: &mut Link) {
        if self.surely_read(link) || !link.has_anothers(self.id) {
            link.unnamed = Unnamed::Of(self.id);
        } else {
            link.unnamed = Unnamed::Stale;
        }
    }

    /// Whether the server will read the message at hand: nothing before it can fail.
    fn surely_read(&self, link: &Link) -> bool {
        self.batch.messages == 0 && link.awaits_requests()
    }

    pub(super) fn forget_unnamed(&mut self) {
        if let Some(remembered) = &mut self.unnamed {
            let Remembered { parse, effects } = &mut **remembered;
            parse.clear();
            *effects = Effects::UNKNOWN;
        }
    }
}

/// The rest of a Parse: its parameters' types, and nothing more.
fn types(reader: &mut Reader<'_>) -> bool {
    reader
        .u16()
        .is_ok_and(|count| reader.len() == 4 * usize::from(count))
}

/// Kind and name of Describe and Close.
fn named(body: &[u8]) -> Option<(u8, &[u8])> {
    let mut reader = Reader::new(body);
    let kind = reader.u8().ok()?;
    let name = reader.cstr().ok()?;
    reader.is_empty().then_some((kind, name))
}
