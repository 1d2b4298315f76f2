//! A statement is parsed again under the settings that it was parsed under, where the session has
//! others by now. For `place` and `own_names`.
//!
//! Between two requests of the client's that is a batch by itself: what is set in it ends with it, or
//! with the savepoint or transaction that it stands in, whatever fails. In the middle of a request the
//! session's own settings are set again behind the Parse; where only the server knows those (what `SET
//! LOCAL` put in place), that takes a transaction with a savepoint. A failed transaction takes no
//! statement but one that ends it, of which settings make nothing else.

use crate::expect::{Expect, Injected};
use crate::link::{Link, Status};
use crate::message::{backend, build, frontend};
use crate::prepared::ASIDE;
use crate::settings::{local, Settings};

/// What is run in front of a Parse, and behind it.
#[derive(Default)]
pub(super) struct Aside {
    there: Vec<String>,
    back: Vec<String>,
    /// It is a batch by itself.
    pub alone: bool,
}

impl Aside {
    /// For a statement that was parsed under those, when everything is answered; `None` if it can't
    /// be done. `guarded`: it mustn't fail the transaction that is open.
    pub(super) fn of(link: &Link, under: Option<&Settings>, guarded: bool) -> Option<Self> {
        let failed = link.status == Status::Failed && !link.done.steers();
        if failed {
            return Some(Self::default());
        }
        let alone = !link.unsynced;
        let open = link.status == Status::Transaction && !link.done.steers();
        let now = link.settings.shaping();
        let there = match (under, &now) {
            (None, _) => Vec::new(),
            (Some(under), Some(now)) => local(now, under),
            (Some(_), None) if link.initialised => return None,
            (Some(under), None) => from_unknown(under),
        };
        let plain = now.as_ref().is_some_and(|now| now.are_plain());
        Some(match (under, now) {
            _ if open && alone && (guarded || !there.is_empty()) => Self {
                alone,
                ..Self::in_savepoint(there)
            },
            _ if there.is_empty() => Self::default(),
            (_, Some(_)) if alone => Self {
                there,
                back: Vec::new(),
                alone,
            },
            (_, None) if alone => Self::in_transaction(there),
            (Some(under), Some(now)) if plain => Self {
                there,
                back: local(under, &now),
                alone: false,
            },
            _ if open => Self::in_savepoint(there),
            _ => return None,
        })
    }

    /// In a transaction all that is set there is undone, whatever it was before.
    fn in_savepoint(there: Vec<String>) -> Self {
        let back = ["ROLLBACK TO", "RELEASE"].map(|verb| format!("{verb} \"{ASIDE}\""));
        Self {
            there: behind(format!("SAVEPOINT \"{ASIDE}\""), there),
            back: back.into(),
            alone: false,
        }
    }

    fn in_transaction(there: Vec<String>) -> Self {
        Self {
            there: behind("BEGIN".into(), there),
            back: vec!["ROLLBACK".into()],
            alone: true,
        }
    }

    /// Writes it, and what is `made` there.
    pub(super) fn around(
        &self,
        link: &mut Link,
        bytes: &mut Vec<u8>,
        made: impl FnOnce(&mut Link, &mut Vec<u8>),
    ) {
        run(&self.there, false, link, bytes);
        made(link, bytes);
        if self.alone {
            sync(link, bytes);
        }
        // In the middle of a client's request an error is the client's, and the transaction has failed.
        run(&self.back, self.alone, link, bytes);
        if self.alone && !self.back.is_empty() {
            sync(link, bytes);
        }
    }
}

/// What makes the settings those, whatever they are.
fn from_unknown(under: &Settings) -> Vec<String> {
    let bare = [
        "SET LOCAL SESSION AUTHORIZATION DEFAULT",
        "SET LOCAL ROLE NONE",
        "RESET ALL",
    ];
    let bare = bare.into_iter().map(str::to_owned);
    bare.chain(local(&Settings::default(), under)).collect()
}

fn behind(first: String, mut rest: Vec<String>) -> Vec<String> {
    rest.insert(0, first);
    rest
}

/// Ends a batch of ours.
pub(super) fn sync(link: &mut Link, bytes: &mut Vec<u8>) {
    build::bare(bytes, frontend::SYNC);
    link.expected.push(Expect::Injected(Injected::Statements));
    link.unsynced = false;
}

/// Runs statements as messages of a batch: neither the unnamed statement nor a portal of the client's is
/// touched. What one before left behind when it failed is closed first.
fn run(statements: &[String], back: bool, link: &mut Link, bytes: &mut Vec<u8>) {
    for sql in statements {
        close(back, link, bytes);
        let done = backend::COMMAND_COMPLETE;
        one(sql.as_bytes(), Expect::Aside { done, back }, link, bytes);
    }
    if !statements.is_empty() {
        close(back, link, bytes);
    }
}

/// Runs a statement so, at whose end that is carried out.
pub(super) fn runs(sql: &[u8], end: Expect, link: &mut Link, bytes: &mut Vec<u8>) {
    close(false, link, bytes);
    one(sql, end, link, bytes);
    close(false, link, bytes);
}

fn one(sql: &[u8], end: Expect, link: &mut Link, bytes: &mut Vec<u8>) {
    let back = matches!(end, Expect::Aside { back: true, .. });
    let name = ASIDE.as_bytes();
    build::parse(bytes, name, sql, b"");
    build::bind(bytes, name, name);
    build::execute(bytes, name);
    for done in [backend::PARSE_COMPLETE, backend::BIND_COMPLETE] {
        link.expected.push(Expect::Aside { done, back });
    }
    link.expected.push(end);
}

fn close(back: bool, link: &mut Link, bytes: &mut Vec<u8>) {
    let done = backend::CLOSE_COMPLETE;
    build::of_portal(bytes, frontend::CLOSE, ASIDE.as_bytes());
    build::of_statement(bytes, frontend::CLOSE, ASIDE.as_bytes());
    for _ in 0..2 {
        link.expected.push(Expect::Aside { done, back });
    }
}
