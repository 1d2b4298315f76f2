//! How a client's statement comes to be: its own PREPARE always goes on, and is answered by a number of the proxy's;
//! a backend that hasn't the statement which a client executes there has it prepared first.

use std::sync::Arc;

use dbproxy_engine::{Leg, Payload, PinReason, Step, Steps};

use crate::link::{Link, Of, Ours, Owed, Request};
use crate::message::error::Report;
use crate::message::{command, frame, prepared};
use crate::prepared::{Key, Numbers, Own, Statement};
use crate::reply::Shape;
use crate::statement::{After, Memory};
use crate::texts::Fault;

use super::judge::Judged;
use super::{texts, Session, ANSWER};

/// There are as many as the server wants to have.
const TOO_MANY: u16 = 1461;

/// Whether a backend has a statement.
pub(super) enum Here {
    Yes,
    /// It is asked.
    Soon,
    /// The server says so, or it can't be asked.
    No(Fault),
}

impl Session {
    pub(super) fn numbers(&mut self) -> &mut Numbers {
        self.numbers.get_or_insert_default()
    }

    /// What executing the text of a PREPARE may do, if any other backend may have it prepared. `Err`: it is one
    /// backend's, as is what reads a user's variable (whose type a server knows from when it prepares that) or sets
    /// one (which is made then), and what asks or changes something that is kept of the session from one statement
    /// to the next.
    pub(super) fn shareable(&self, body: &[u8], memory: &mut Memory) -> Result<Judged, Judged> {
        let alone = Judged::command(command::STMT_EXECUTE);
        let text = body.get(1..).ok_or(alone)?;
        let class = memory.classify(text, self.dialect());
        let judged = Judged::text(&class);
        let keeps = judged.asks_before() || judged.asks_warnings || judged.calculates;
        let sets = judged.assigns || judged.next_only || judged.deed.is_some();
        let kills = judged.kills.is_some();
        let names = class.asks.user_variables || judged.pins.has(PinReason::UserVariable);
        if names || keeps || sets || kills || judged.own.is_some() {
            return Err(alone);
        }
        Ok(Judged {
            moves: false,
            after: After::Unsure,
            ..judged
        })
    }

    /// What it makes.
    pub(super) fn drafts(&self, body: &[u8], memory: &mut Memory) -> Statement {
        let judged = self.shareable(body, memory);
        let text = body.get(1..).filter(|_| judged.is_ok());
        let judged = judged.unwrap_or_else(|judged| judged);
        Statement::new(text, self.database.clone(), self.settings.clone(), judged)
    }

    /// The error of a client that has as many statements as it may.
    pub(super) fn has_too_many(&self, size: usize) -> Option<Fault> {
        let count = self.numbers.as_ref()?.is_full(size)?;
        let text = format!(
            "Can't create more than max_prepared_stmt_count statements (current value: {count})"
        );
        Some(Fault::new(TOO_MANY, b"42000", text))
    }

    /// What is set in the backend isn't known for certain. Answers whether the command has to wait until it is.
    pub(super) fn settles_first(&mut self, link: &mut Link, out: &mut Steps) -> bool {
        let asked = |owed: &Owed| {
            let asks = [
                Ours::Changes,
                Ours::LeftOver,
                Ours::InsertId,
                Ours::Collation,
            ];
            asks.iter().any(|ours| owed.of == Of::Ours(*ours))
        };
        let unsure = link.unheard || link.collates || self.id_lost && link.inserted;
        link.owed.iter().any(asked) || unsure && self.asks_first(link, out)
    }

    /// A statement as it is shared now, as long as it wasn't executed.
    pub(super) fn key(&self, statement: &Arc<Statement>) -> Key {
        Key {
            statement: Arc::clone(statement),
            now: Arc::clone(&self.settings),
            bound: None,
        }
    }

    /// Whether the backend has a statement; else it is asked to prepare it.
    pub(super) fn has_here(
        &mut self,
        number: u32,
        key: &Key,
        link: &mut Link,
        out: &mut Steps,
    ) -> Here {
        if self.numbers().held(number).is_some() {
            return Here::Yes;
        }
        // The one that was prepared last takes the other's place.
        let fresh = key.bound.as_ref().map(|_| key.unbound());
        if let Some(own) = fresh.and_then(|fresh| link.statements.takes(&fresh)) {
            link.shares(key.clone(), own, out);
        }
        if link.statements.has(key) {
            return Here::Yes;
        }
        if let Some(fault) = self.unprepared.take() {
            return Here::No(fault);
        }
        match self.prepares_here(key.clone(), link, out) {
            true => Here::Soon,
            false => Here::No(texts::no_database()),
        }
    }

    /// Has the backend prepare it as the client did: in that database, under those settings, and back again.
    fn prepares_here(&mut self, key: Key, link: &mut Link, out: &mut Steps) -> bool {
        let statement = Arc::clone(&key.statement);
        let Some(text) = &statement.text else {
            return false;
        };
        let there = statement.database.as_ref();
        let elsewhere = there.filter(|name| link.database.as_ref() != Some(*name));
        // Nothing takes a session out of a database again.
        if elsewhere.is_some() && link.database.is_none() {
            return false;
        }
        let mut bytes = Vec::new();
        let then = self.settings.reading_as(&statement.settings);
        if let Some(sql) = link.wants(&Arc::new(then)) {
            link.ask(Ours::Aside, command::QUERY, sql.as_bytes(), &mut bytes);
        }
        if let Some(name) = elsewhere {
            link.ask(Ours::Aside, command::INIT_DB, name, &mut bytes);
        }
        link.ask(Ours::Prepare, command::STMT_PREPARE, text, &mut bytes);
        if let Some(name) = link.database.clone().filter(|_| elsewhere.is_some()) {
            link.ask(Ours::Aside, command::INIT_DB, &name, &mut bytes);
        }
        if let Some(sql) = link.wants(&self.settings) {
            link.ask(Ours::Aside, command::QUERY, sql.as_bytes(), &mut bytes);
        }
        link.statements.awaits(key);
        out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
        true
    }

    /// The server has prepared what the client asked for; answers what the client is told.
    pub(super) fn prepared(
        &mut self,
        prepared: &prepared::Prepared,
        link: &mut Link,
        out: &mut Steps,
    ) -> Option<Vec<u8>> {
        let statement = Arc::new(self.numbers().coming.take()?);
        let key = self.key(&statement);
        let shared = statement.is_shared();
        let number = self.numbers().adds(statement, prepared.parameters);
        let own = Own::new(prepared.id);
        match shared {
            true => link.shares(key, own, out),
            false => self.numbers().takes(number, key, own),
        }
        let mut payload = Vec::new();
        prepared::Prepared {
            id: number,
            ..*prepared
        }
        .write(&mut payload);
        Some(payload)
    }

    /// The server hasn't; answers whether it is asked again, with more room.
    pub(super) fn prepare_failed(
        &mut self,
        request: &Request,
        report: &Report<'_>,
        link: &mut Link,
        out: &mut Steps,
    ) -> bool {
        let text = self.numbers().coming.as_ref();
        let text = text.and_then(|statement| statement.text.clone());
        let text = text.filter(|_| report.code == TOO_MANY && link.makes_room(out));
        let Some(text) = text else {
            self.numbers().fails();
            return false;
        };
        let mut bytes = Vec::new();
        let body = |out: &mut Vec<u8>| {
            out.push(command::STMT_PREPARE);
            out.extend_from_slice(&text);
        };
        frame::packets(&mut bytes, 0, body);
        out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
        link.owed.push_back(Owed {
            shape: Shape::Prepared,
            first: ANSWER,
            of: Of::Client(*request),
        });
        true
    }

    /// The server can't prepare what a client executes: as if it were its answer to that.
    pub(super) fn prepare_refused(
        &mut self,
        report: &Report<'_>,
        link: &mut Link,
        out: &mut Steps,
    ) {
        let again = report.code == TOO_MANY && link.makes_room(out);
        if !again {
            self.unprepared = Some(texts::refused(report));
        }
    }
}
