//! The driver's table: tokens are places in it, and a generation tells their users apart.

use std::os::fd::OwnedFd;

use dbproxy_driver::Token;

use crate::connection::Connection;

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    pub fd: OwnedFd,
    /// Not accepting until the driver's pause is over.
    pub paused: bool,
}

/// What a token names.
#[derive(Debug)]
pub(crate) enum Slot {
    Free,
    Connection(Connection),
    Listener(Listener),
    /// Detached; its place isn't given away before its owner can know.
    Departed,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    slot: Slot,
}

/// All tokens of one driver.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

impl Slots {
    pub fn insert(&mut self, slot: Slot) -> Token {
        if let Some(index) = self.free.pop() {
            if let Some(entry) = self.entries.get_mut(index as usize) {
                entry.slot = slot;
                let generation = entry.generation;
                return Token { index, generation };
            }
        }
        // A process has far fewer descriptors than that.
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let generation = 0;
        self.entries.push(Entry { generation, slot });
        Token { index, generation }
    }

    /// Frees a token's place and returns what it named; `Free` for a token that is dead already.
    pub fn remove(&mut self, token: Token) -> Slot {
        let Some(slot) = self.at(token) else {
            return Slot::Free;
        };
        if matches!(slot, Slot::Free) {
            return Slot::Free;
        }
        let slot = std::mem::replace(slot, Slot::Free);
        if let Some(entry) = self.entries.get_mut(token.index as usize) {
            entry.generation = entry.generation.wrapping_add(1);
        }
        self.free.push(token.index);
        slot
    }

    pub fn at(&mut self, token: Token) -> Option<&mut Slot> {
        let entry = self.entries.get_mut(token.index as usize)?;
        (entry.generation == token.generation).then_some(&mut entry.slot)
    }

    pub fn connection(&mut self, token: Token) -> Option<&mut Connection> {
        match self.at(token)? {
            Slot::Connection(connection) => Some(connection),
            _ => None,
        }
    }

    pub fn listener(&mut self, token: Token) -> Option<&mut Listener> {
        match self.at(token)? {
            Slot::Listener(listener) => Some(listener),
            _ => None,
        }
    }

    /// Bytes of memory that what is queued on a token's connection takes.
    pub fn queued(&self, token: Token) -> usize {
        match self.entries.get(token.index as usize) {
            Some(Entry {
                generation,
                slot: Slot::Connection(connection),
            }) if *generation == token.generation => connection.queue.held(),
            _ => 0,
        }
    }

    /// The sockets that listen.
    pub fn listeners(&self) -> impl Iterator<Item = &OwnedFd> {
        self.entries.iter().filter_map(|entry| match &entry.slot {
            Slot::Listener(listener) => Some(&listener.fd),
            _ => None,
        })
    }

    /// The socket behind a listening token.
    pub fn listening(&self, token: Token) -> Option<&OwnedFd> {
        match self.entries.get(token.index as usize)? {
            Entry {
                generation,
                slot: Slot::Listener(listener),
            } if *generation == token.generation => Some(&listener.fd),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_token_names_nothing_even_when_its_place_is_taken_again() {
        let mut slots = Slots::default();
        let first = slots.insert(Slot::Departed);
        assert!(matches!(slots.remove(first), Slot::Departed));
        assert!(matches!(slots.remove(first), Slot::Free));
        let second = slots.insert(Slot::Departed);
        assert_eq!(first.index, second.index);
        assert_ne!(first, second);
        assert!(slots.at(first).is_none());
        assert!(slots.at(second).is_some());
    }
}
