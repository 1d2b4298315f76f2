//! What a client's numbers stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::texts::Fault;

use super::{Key, Statement};

/// A client has as many, by number and by bytes of their texts.
const MOST: usize = 16_382;
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// MariaDB: the statement that was prepared last.
const LATEST: u32 = u32::MAX;

/// The types of so many parameters, as a client has sent them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Types {
    pub count: u64,
    pub bytes: Arc<[u8]>,
}

/// A statement as a server has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Own {
    /// The server's number.
    pub id: u32,
    /// The types that were sent last; `None`: none, or nobody knows.
    pub types: Option<Types>,
}

impl Own {
    pub(crate) fn new(id: u32) -> Self {
        Self { id, types: None }
    }
}

/// A client's statement.
#[derive(Debug)]
pub(crate) struct Known {
    pub statement: Arc<Statement>,
    pub parameters: u16,
    /// What the client has sent last.
    pub types: Option<Types>,
}

/// What of the backend at hand is one statement's and nobody else's.
#[derive(Debug)]
pub(crate) struct Held {
    number: u32,
    /// What it is to others.
    pub key: Key,
    pub own: Own,
    /// A cursor is open.
    pub cursor: bool,
    /// Parameters were sent ahead.
    pub ahead: bool,
    /// It is nothing to others any more.
    pub spent: bool,
}

/// All of a client's.
#[derive(Default, Debug)]
pub(crate) struct Numbers {
    /// The number given last.
    last: u32,
    latest: Option<u32>,
    known: BTreeMap<u32, Known>,
    bytes: usize,
    held: Vec<Held>,
    /// Whose parameters, or cursor, are gone, and what it is told.
    lost: Vec<(u32, Fault)>,
    /// What the client has asked for, until that is answered.
    pub coming: Option<Statement>,
}

impl Numbers {
    /// How many there are, if there can't be one more of that size.
    pub(crate) fn is_full(&self, size: usize) -> Option<usize> {
        let full = self.known.len() >= MOST || self.bytes.saturating_add(size) > MOST_BYTES;
        full.then_some(self.known.len())
    }

    /// What the client asked for is there; answers its number.
    pub(crate) fn adds(&mut self, statement: Arc<Statement>, parameters: u16) -> u32 {
        self.bytes += statement.size();
        loop {
            self.last = self.last.wrapping_add(1);
            let taken = matches!(self.last, 0 | LATEST) || self.known.contains_key(&self.last);
            if !taken {
                break;
            }
        }
        let known = Known {
            statement,
            parameters,
            types: None,
        };
        self.known.insert(self.last, known);
        self.latest = Some(self.last);
        self.last
    }

    /// What the client asked for can't be.
    pub(crate) fn fails(&mut self) {
        self.coming = None;
        self.latest = None;
    }

    /// The number that a client means, of a server of MariaDB's.
    pub(crate) fn meant(&self, number: u32) -> u32 {
        match number {
            LATEST => self.latest.unwrap_or(LATEST),
            number => number,
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Known> {
        self.known.get(&number)
    }

    /// A statement, and what of the backend is its own.
    pub(crate) fn both(&mut self, number: u32) -> Option<(&mut Known, Option<&mut Held>)> {
        let known = self.known.get_mut(&number)?;
        let held = self.held.iter_mut().find(|held| held.number == number);
        Some((known, held))
    }

    /// The client is done with it; answers what of the backend was its own.
    pub(crate) fn removes(&mut self, number: u32) -> Option<Own> {
        let known = self.known.remove(&number)?;
        self.bytes = self.bytes.saturating_sub(known.statement.size());
        if self.latest == Some(number) {
            self.latest = None;
        }
        self.forgives(number);
        self.frees(number).map(|held| held.own)
    }

    /// Something is bound to the backend at hand.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    pub(crate) fn held(&mut self, number: u32) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| held.number == number)
    }

    /// The server's own is that statement's alone from here on.
    pub(crate) fn takes(&mut self, number: u32, key: Key, own: Own) {
        self.held.push(Held {
            number,
            key,
            own,
            cursor: false,
            ahead: false,
            spent: false,
        });
    }

    /// And no longer.
    pub(crate) fn frees(&mut self, number: u32) -> Option<Held> {
        let at = self.held.iter().position(|held| held.number == number)?;
        Some(self.held.swap_remove(at))
    }

    /// The backend is gone, and what it alone had. The one that was executed there is told so anyway.
    pub(crate) fn loses(&mut self, executed: u32, fault: &Fault) {
        for held in std::mem::take(&mut self.held) {
            if held.number != executed {
                self.spoils(held.number, fault.clone());
            }
        }
    }

    /// Parameters of it that were sent ahead are nowhere.
    pub(crate) fn spoils(&mut self, number: u32, fault: Fault) {
        if self.known.contains_key(&number) {
            self.forgives(number);
            self.lost.push((number, fault));
        }
    }

    pub(crate) fn is_spoilt(&self, number: u32) -> bool {
        self.lost.iter().any(|(lost, _)| *lost == number)
    }

    /// What its client is told of that, once.
    pub(crate) fn forgives(&mut self, number: u32) -> Option<Fault> {
        let at = self.lost.iter().position(|(lost, _)| *lost == number)?;
        Some(self.lost.swap_remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::judge::Judged;

    fn statement(text: &[u8]) -> Arc<Statement> {
        let judged = Judged::harmless();
        Arc::new(Statement::new(Some(text), None, Arc::default(), judged))
    }

    #[test]
    fn a_client_has_so_many_and_so_much() {
        let mut numbers = Numbers::default();
        for number in 1..=MOST as u32 {
            assert_eq!(numbers.is_full(0), None);
            assert_eq!(numbers.adds(statement(b"a"), 0), number);
        }
        assert_eq!(numbers.is_full(0), Some(MOST));
        numbers.removes(7);
        assert_eq!(numbers.is_full(0), None);
        assert_eq!(numbers.is_full(MOST_BYTES), Some(MOST - 1));
        numbers.last = u32::MAX - 1;
        assert_eq!(
            numbers.adds(statement(b"a"), 0),
            7,
            "the first that is free"
        );
        for number in 1..=MOST as u32 {
            numbers.removes(number);
        }
        assert_eq!(numbers.bytes, 0);
    }

    #[test]
    fn the_latest_is_the_one_that_was_prepared_last_if_it_is_there() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.meant(LATEST), LATEST);
        numbers.adds(statement(b"a"), 0);
        numbers.adds(statement(b"b"), 0);
        assert_eq!((numbers.meant(LATEST), numbers.meant(1)), (2, 1));
        numbers.removes(2);
        assert_eq!(numbers.meant(LATEST), LATEST);
        numbers.adds(statement(b"c"), 0);
        numbers.fails();
        assert_eq!(numbers.meant(LATEST), LATEST);
    }
}
