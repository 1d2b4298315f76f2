//! Statements that SQL speaks of by their names.
//!
//! `DEALLOCATE name` or `ALL` alone is done for the client's names, and what else does nothing but speak
//! of one statement is `lending`'s. Any other text that names one, or may (`pg_prepared_statements`),
//! finds the client's own names on a backend of its own: they are made there before it.

use std::sync::Arc;

use dbproxy_engine::{PinReason, Steps};

use crate::expect::Expect;
use crate::link::{Leave, Link, Status};
use crate::message::{backend, build, frontend, peek, Peek, HEADER};
use crate::pins::NAMES;
use crate::prepared::{self, significant, Naming, Shared, Theirs, EMPTY, PREFIX, SIGNIFICANT};
use crate::statement::{deallocations, Dialect, Effects};

use super::aside::{runs, sync, Aside};
use super::extended::closing;
use super::forward::Verdict;
use super::missed::{give_way, stand_in};
use super::named_messages::parse_empty;
use super::run::Run;
use super::Session;

impl Session {
    /// What is done with a Query that deallocates the client's statements; `None` if that isn't sure to be
    /// for the client alone. The server deallocates an empty statement instead, unless the client hasn't
    /// the one that it names.
    pub(super) fn deallocates(
        &mut self,
        link: &mut Link,
        name: Option<Vec<u8>>,
        text: &[u8],
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        if name.is_none() && link.leave != Leave::Clean {
            // Something may be on the backend under its own name.
            return None;
        }
        if self.renaming && link.expected.requests() > 0 {
            return Some(Verdict::Wait);
        }
        if self.batch.forgets {
            if let Some(verdict) = self.until_answered(link, run, out) {
                return Some(verdict);
            }
        }
        let naming = match name {
            None => Some(Naming::DeallocatesAll),
            // The init query may have made it.
            Some(name) if self.meant(&name).is_none() && link.initialised => return None,
            Some(name) if self.meant(&name).is_none() => None,
            Some(name) => Some(Naming::Deallocates(name.into())),
        };
        self.pins.may_end(NAMES);
        let known = naming.is_some();
        let synced = !link.unsynced;
        if known {
            let mut bytes = Vec::new();
            parse_empty(link, &mut bytes);
            if synced {
                sync(link, &mut bytes);
            }
            let sql = format!("DEALLOCATE \"{}\"", prepared::name(EMPTY));
            build::query(&mut bytes, sql.as_bytes());
            run.put(bytes, out);
        }
        let verdict = self.asks(link, Effects::NONE, naming, out);
        self.renaming |= known;
        Some(if known {
            Verdict::Replaced(HEADER + text.len() + 1)
        } else {
            verdict
        })
    }

    /// Makes those of the client's statements under their own names of which a text may speak. Answers
    /// what is done instead of forwarding it now.
    pub(super) fn own_names(
        &mut self,
        link: &mut Link,
        reason: PinReason,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        let text = Text::of(run.rest);
        if !self.is_concerned(text) {
            return None;
        }
        if let Some(verdict) = self.until_answered(link, run, out) {
            return Some(verdict);
        }
        if link.status == Status::Failed && !link.done.steers() {
            // Nothing is prepared now, and nothing executed, unless it ends the transaction first.
            let lost = !self.names.is_empty() && text.goes_on();
            if lost && self.pins.any() {
                let spoken = self.names.iter().filter(|(name, _)| text.mentions(name));
                let spoken: Vec<_> = spoken.map(|(name, _)| Arc::clone(name)).collect();
                spoken.iter().for_each(|name| self.cannot_make(name));
            }
            return (lost && !self.pins.any()).then_some(Verdict::GiveUp);
        }
        if text.reserved {
            // The survey doesn't see those.
            self.pin(PinReason::Unclassified, link, out);
        }
        let mut bytes = Vec::new();
        let synced = !link.unsynced;
        if text.views {
            close_all(link, &mut bytes);
        }
        let named = self.names.iter().filter(|(name, _)| !name.is_empty());
        let spoken = named.filter(|(name, _)| text.mentions(name));
        let spoken: Vec<_> = spoken
            .map(|(name, shared)| (Arc::clone(name), Arc::clone(shared)))
            .collect();
        let asides = spoken
            .iter()
            .map(|(_, shared)| Aside::of(link, shared.under(), true));
        let asides: Vec<_> = asides.collect();
        let mut made = spoken.iter().zip(&asides);
        if made.any(|((name, _), aside)| aside.is_none() && text.names(name)) {
            return Some(Verdict::GiveUp);
        }
        let dialect = link.dialect();
        let stands = synced && text.renames(dialect);
        for ((name, shared), aside) in spoken.iter().zip(asides) {
            // Of what it may not speak of it can be said later that it can't be made.
            let Some(mut aside) = aside else {
                continue;
            };
            aside.alone |= synced;
            self.will_make(name, stands);
            if stands {
                stand_in(name, shared, link, &mut bytes);
            }
            aside.around(link, &mut bytes, |link, bytes| {
                if stands {
                    give_way(name, shared, link, bytes);
                }
                make(name, shared, link, bytes)
            });
            self.batch.names.push((Arc::clone(name), None));
            let acts = shared.class(dialect).map(|class| class.acts.clone());
            self.owns(name, &acts.flatten(), link);
        }
        if !bytes.is_empty() {
            self.fresh = false;
            self.pin(reason, link, out);
            run.put(bytes, out);
            if synced {
                run.seal();
            }
        }
        None
    }

    /// Whether a text may speak of a statement that is there under a name of ours, or may be.
    fn is_concerned(&self, text: Text<'_>) -> bool {
        let mut coming = self.batch.names.iter().filter(|(_, one)| one.is_some());
        self.renaming
            || text.views
            || self.names.iter().any(|(name, _)| text.mentions(name))
            || coming.any(|(name, _)| text.mentions(name))
    }
}

/// Makes a statement of the client's under its own name, by the text that made it.
fn make(name: &Arc<[u8]>, shared: &Shared, link: &mut Link, bytes: &mut Vec<u8>) {
    let own = |done| {
        let name = Arc::clone(name);
        Expect::Theirs(Theirs::Own { name, done })
    };
    match shared.sql() {
        Some(sql) => runs(sql, own(backend::COMMAND_COMPLETE), link, bytes),
        None => {
            build::parse(bytes, name, shared.text(), shared.types());
            link.expected.push(own(backend::PARSE_COMPLETE));
        }
    }
}

/// Closes all statements of ours.
fn close_all(link: &mut Link, bytes: &mut Vec<u8>) {
    for number in link.prepared.take().into_iter().chain([EMPTY]) {
        let name = prepared::name(number);
        build::of_statement(bytes, frontend::CLOSE, name.as_bytes());
        link.expected.push(closing(false, true));
    }
    if !link.unsynced {
        sync(link, bytes);
    }
}

/// What a Query or Parse says.
#[derive(Clone, Copy)]
struct Text<'a> {
    message: &'a [u8],
    /// What of it is SQL.
    text: &'a [u8],
    /// It shows all statements.
    views: bool,
    /// It may speak of names like ours, which are nobody's to speak of.
    reserved: bool,
    /// It may speak of any: in escapes, or in what hasn't come.
    unclear: bool,
}

impl<'a> Text<'a> {
    fn of(rest: &'a [u8]) -> Self {
        let whole = match peek(rest, frontend::longest_body) {
            Peek::Message { total, .. } => rest.get(..total),
            _ => None,
        };
        let message = whole.unwrap_or_default();
        let escapes = has(message, b"u&\"");
        let reserved = has(message, PREFIX) || escapes;
        // What its header says may look like a part of a word.
        let text = message
            .get(HEADER..)
            .and_then(|body| match message.first() {
                Some(&frontend::PARSE) => frontend::statement(body),
                _ => frontend::text(body),
            });
        Self {
            message,
            text: text.unwrap_or(message),
            views: has(message, b"pg_prepared_statement") || reserved,
            reserved,
            unclear: whole.is_none() || escapes,
        }
    }

    fn mentions(self, name: &[u8]) -> bool {
        self.views || self.unclear || self.names(name)
    }

    fn names(self, name: &[u8]) -> bool {
        name.contains(&b'"') || has_word(self.text, significant(name))
    }

    /// Whether it is a Query that may prepare or deallocate, and it is known what it deallocates by name.
    fn renames(self, dialect: Dialect) -> bool {
        let query = self.message.first() == Some(&frontend::QUERY);
        let text = self.message.get(HEADER..).and_then(frontend::text);
        let words: [&[u8]; 2] = [b"prepare", b"deallocate"];
        let may = query && words.iter().any(|word| has_word(self.text, word));
        may && text.is_some_and(|text| deallocations(text, dialect).is_some())
    }

    /// Whether it is a Query that may have a statement behind its first.
    fn goes_on(self) -> bool {
        let tail = memchr::memchr(b';', self.message).and_then(|at| self.message.get(at + 1..));
        let text = tail.and_then(|tail| tail.strip_suffix(b"\0"));
        text.is_some_and(|text| !text.trim_ascii().is_empty())
            && self.message.first() == Some(&frontend::QUERY)
    }
}

/// Whether that stands in a text and isn't part of a longer name, but of one that is cut.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_part = |at: Option<usize>| {
        let byte = at.and_then(|at| text.get(at));
        byte.is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
        })
    };
    let mut windows = text.windows(word.len().max(1)).enumerate();
    windows.any(|(at, window)| {
        window.eq_ignore_ascii_case(word)
            && !is_part(at.checked_sub(1))
            && (word.len() >= SIGNIFICANT || !is_part(Some(at + word.len())))
    })
}

/// Whether that stands in a message, in letters of any case.
fn has(message: &[u8], text: &[u8]) -> bool {
    let mut windows = message.windows(text.len().max(1));
    windows.any(|window| window.eq_ignore_ascii_case(text))
}
