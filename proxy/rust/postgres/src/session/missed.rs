//! Statements of the client's that a text speaks of and that can't be made for it under their own names:
//! somebody's lock, a timeout or a table that is gone are in the way.
//!
//! The client has them all the same, so it is never told that it hasn't: where the server says so, it is
//! told what kept the statement from being made. And where a text may deallocate or prepare by such a
//! name, another statement stands there meanwhile, which can only fail: the text finds the name taken, or
//! takes it away. What is left of that is put away behind the text.

use std::sync::Arc;

use crate::expect::Expect;
use crate::link::Link;
use crate::message::error::{Fault, Report};
use crate::message::{build, frontend};
use crate::prepared::{same, significant, Naming, Shared, Theirs, ASIDE, PREFIX};
use crate::statement::{deallocations, Dialect};

use super::aside::sync;
use super::lending::put_away;
use super::{fault, Session};

/// One that is to be made for a text.
#[derive(Debug)]
pub(super) struct Missed {
    name: Arc<[u8]>,
    /// What the client is told: it couldn't be made.
    said: Option<Arc<[u8]>>,
    /// Another stands for it until it is made.
    stands: bool,
}

impl Session {
    /// One is to be made.
    pub(super) fn will_make(&mut self, name: &Arc<[u8]>, stands: bool) {
        self.missed.retain(|one| !same(&one.name, name));
        self.missed.push(Missed {
            name: Arc::clone(name),
            said: None,
            stands,
        });
    }

    /// That in whose batch an error came can't be made.
    pub(super) fn could_not_make(&mut self, link: &Link, said: &Arc<[u8]>) {
        let mut batch = link.expected.iter().take_while(|one| one.is_extended());
        let name = batch.find_map(|one| match one {
            Expect::Theirs(Theirs::Own { name, .. }) => Some(name),
            _ => None,
        });
        let mut missed = self.missed.iter_mut();
        let missed = missed.find(|one| name.is_some_and(|name| same(name, &one.name)));
        if let Some(missed) = missed {
            missed.said = Some(Arc::clone(said));
        }
    }

    /// Nothing is made in a failed transaction.
    pub(super) fn cannot_make(&mut self, name: &Arc<[u8]>) {
        let text = format!(
            "prepared statement \"{}\" can't be prepared here for this text",
            String::from_utf8_lossy(name)
        );
        let said = fault(&Fault {
            hint: "The transaction had failed. Send its ROLLBACK as a query of its own.",
            ..Fault::error("25P02", &text)
        });
        self.will_make(name, false);
        if let Some(missed) = self.missed.last_mut() {
            missed.said = Some(said.into());
        }
    }

    /// What the client is told instead of an error about a statement that it has.
    pub(super) fn true_reason(&self, front: &Expect, report: &Report<'_>) -> Option<Vec<u8>> {
        let ours = front.is_ours();
        let about = |one: &&Missed| match report.code {
            b"26000" => has_word(report.message, &one.name),
            b"22P02" => one.stands && has(report.message, &mark(&one.name)),
            _ => false,
        };
        let mut missed = self.missed.iter().filter(|_| !ours);
        let missed = missed.find(|one| self.names.get(&one.name).is_some() && about(one))?;
        missed.said.as_deref().map(<[u8]>::to_vec)
    }

    /// What a text deallocates that may find something else in place of it.
    pub(super) fn takes_away(&self, text: Option<&[u8]>, dialect: Dialect) -> Option<Naming> {
        if !self.has_stand_ins() {
            return None;
        }
        let list = deallocations(text?, dialect)?;
        Some(Naming::Among(list.into()))
    }

    /// Whether something stands for a statement, or may.
    pub(super) fn has_stand_ins(&self) -> bool {
        self.missed.iter().any(|one| one.stands)
    }

    /// Everything is answered: what stands for a statement still goes.
    pub(super) fn removes_stand_ins(&mut self, link: &mut Link) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for one in &mut self.missed {
            let stands = std::mem::take(&mut one.stands) && one.said.is_some();
            if stands && self.names.get(&one.name).is_some() {
                put_away(&one.name, link, &mut bytes);
            }
        }
        self.missed.retain(|one| one.said.is_some());
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// Puts in place of a statement what fails when it is used, and says for whom it stood.
pub(super) fn stand_in(name: &[u8], shared: &Shared, link: &mut Link, bytes: &mut Vec<u8>) {
    let mark = String::from_utf8_lossy(&mark(name)).into_owned();
    let sql = format!("SELECT '{mark}'::pg_catalog.text::pg_catalog.int4");
    build::parse(bytes, name, sql.as_bytes(), shared.types());
    link.expected.push(Expect::Theirs(Theirs::Lend));
    sync(link, bytes);
}

/// Takes it away again, if the statement can be made.
pub(super) fn give_way(name: &[u8], shared: &Shared, link: &mut Link, bytes: &mut Vec<u8>) {
    let aside = ASIDE.as_bytes();
    build::parse(bytes, aside, &shared.source(), shared.types());
    link.expected.push(Expect::Theirs(Theirs::Lend));
    for name in [aside, name] {
        build::of_statement(bytes, frontend::CLOSE, name);
        link.expected.push(Expect::Theirs(Theirs::PutAway));
    }
}

/// What no error says by chance.
fn mark(name: &[u8]) -> Vec<u8> {
    let digits = significant(name).iter().map(|byte| format!("{byte:02x}"));
    let digits: String = digits.collect();
    [PREFIX, b"missed:", digits.as_bytes(), b":"].concat()
}

/// Whether that stands in a text and isn't part of a longer word.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
    };
    let word = significant(word);
    memchr::memmem::find_iter(text, word).any(|at| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        !is_part(before) && !is_part(text.get(at + word.len()))
    })
}

fn has(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
