//! One host of the simulated network: its driver's table, and when it wants a turn.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::pair::EndId;
use crate::{Time, Token};

/// What a token names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    Free,
    Listener(SocketAddr),
    End(EndId),
    Departed,
}

#[derive(Debug)]
pub(super) struct Host {
    pub name: String,
    pub ip: IpAddr,
    pub entries: Vec<(u32, Slot)>,
    pub free: Vec<u32>,
    pub departed: Vec<Token>,
    /// Places in the table that may have something to tell.
    pub dirty: BTreeSet<u32>,
    pub woken: bool,
    /// When it wants its next turn; `None` for never.
    pub deadline: Option<Time>,
    pub stalled_until: Time,
    pub muted: bool,
    /// What it does is written down.
    pub watched: bool,
    /// Turns in which nothing had happened.
    pub idle_turns: u64,
    /// Something had happened in its last turn.
    pub worked: bool,
}

impl Host {
    pub fn at(&self, token: Token) -> Slot {
        match self.entries.get(token.index as usize) {
            Some((generation, slot)) if *generation == token.generation => *slot,
            _ => Slot::Free,
        }
    }

    pub fn insert(&mut self, slot: Slot) -> Token {
        let index = self.free.pop().unwrap_or(self.entries.len() as u32);
        if index as usize == self.entries.len() {
            self.entries.push((0, slot));
        }
        let entry = &mut self.entries[index as usize];
        entry.1 = slot;
        let generation = entry.0;
        Token { index, generation }
    }

    pub fn remove(&mut self, token: Token) {
        if self.at(token) != Slot::Free {
            self.entries[token.index as usize] = (token.generation.wrapping_add(1), Slot::Free);
            self.free.push(token.index);
            self.dirty.remove(&token.index);
        }
    }

    pub fn runnable(&self, now: Time) -> bool {
        let due = self.deadline.is_some_and(|at| at <= now);
        self.stalled_until <= now && (due || self.has_news())
    }

    pub fn has_news(&self) -> bool {
        self.woken || !self.dirty.is_empty()
    }
}
