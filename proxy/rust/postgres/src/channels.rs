//! Follows which channels the session that holds a backend begins and ceases to listen to. As in a
//! server nothing of it counts before its transaction is committed, and a savepoint takes back what
//! came behind it.

use std::sync::Arc;

use dbproxy_engine::Channels;

use crate::statement::Act;

/// More changes than these of one transaction aren't followed.
const MOST: usize = 1024;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Listen(Arc<[u8]>),
    Unlisten(Arc<[u8]>),
    UnlistenAll,
}

impl Change {
    fn of(act: &Act) -> Option<Self> {
        Some(match act {
            Act::Listen(channel) => Self::Listen(Arc::clone(channel)),
            Act::Unlisten(channel) => Self::Unlisten(Arc::clone(channel)),
            Act::UnlistenAll | Act::DiscardAll => Self::UnlistenAll,
            _ => return None,
        })
    }

    /// Carries it out.
    pub(crate) fn apply(&self, channels: &mut Channels) {
        match self {
            Self::Listen(channel) => drop(channels.insert(Arc::clone(channel))),
            Self::Unlisten(channel) => drop(channels.remove(channel)),
            Self::UnlistenAll => channels.clear(),
        }
    }
}

/// The changes of what is being answered.
#[derive(Clone, Default, Debug)]
pub(crate) struct Changes {
    committed: Vec<Change>,
    pending: Vec<Change>,
    /// How many were pending at each open savepoint.
    savepoints: Vec<(Box<str>, usize)>,
    /// The request at hand has ended a transaction.
    ended: bool,
}

impl Changes {
    /// A statement is complete; `tag` is its command tag. Answers whether that could be followed.
    pub(crate) fn done(&mut self, act: &Act, tag: &[u8]) -> bool {
        self.ended |= matches!(act, Act::Commit | Act::Rollback);
        match act {
            Act::Commit if tag != b"ROLLBACK" => self.commit(),
            Act::Commit | Act::Rollback => self.roll_back(),
            // Where none of them is pending the settings' own tracker knows how deep it may go.
            Act::Savepoint(name) => self.savepoints.push((name.clone(), self.pending.len())),
            Act::RollbackTo(name) => {
                if let Some(at) = self.find(name) {
                    self.savepoints.truncate(at + 1);
                    let kept = self.savepoints.last().map_or(0, |(_, kept)| *kept);
                    self.pending.truncate(kept);
                }
            }
            Act::Release(name) => {
                if let Some(at) = self.find(name) {
                    self.savepoints.truncate(at);
                }
            }
            // It is committed at once, whatever follows in its batch.
            Act::DiscardAll => {
                self.pending.extend(Change::of(act));
                self.commit();
            }
            _ => self.pending.extend(Change::of(act)),
        }
        let deepest = self.savepoints.len().max(self.pending.len());
        deepest <= MOST && self.committed.len() <= MOST
    }

    /// A request is answered outside of a transaction. `failed`: with an error, which undid what wasn't
    /// committed. `within`: it was sent in a transaction, which a text may have ended that isn't
    /// understood: its client goes on to listen to what it had then, and its own backend to the rest.
    /// Answers what counts from now on.
    pub(crate) fn ready(&mut self, failed: bool, within: bool) -> Vec<Change> {
        let ended = std::mem::take(&mut self.ended);
        if failed || within && !ended {
            self.roll_back();
        }
        self.commit();
        std::mem::take(&mut self.committed)
    }

    /// Whether something that isn't committed yet begins to listen.
    pub(crate) fn begins(&self) -> bool {
        let begins = |change: &Change| matches!(change, Change::Listen(_));
        self.pending.iter().any(begins)
    }

    /// A request is answered within a transaction.
    pub(crate) fn goes_on(&mut self) {
        self.ended = false;
    }

    /// Whether something counts already that its client isn't told of.
    pub(crate) fn committed(&self) -> bool {
        !self.committed.is_empty()
    }

    /// Whether the backend may listen to that channel by now.
    pub(crate) fn may_listen(&self, channel: &[u8]) -> bool {
        let mut all = self.committed.iter().chain(&self.pending);
        all.any(|change| matches!(change, Change::Listen(own) if **own == *channel))
    }

    fn commit(&mut self) {
        self.committed.append(&mut self.pending);
        self.savepoints.clear();
    }

    fn roll_back(&mut self) {
        self.pending.clear();
        self.savepoints.clear();
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|(own, _)| **own == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discard_all_is_committed_whatever_undoes_the_rest_of_its_batch() {
        for end in [Act::Rollback, Act::UnlistenAll] {
            let mut changes = Changes::default();
            assert!(changes.done(&Act::DiscardAll, b"DISCARD ALL"));
            assert!(changes.done(&end, b"ROLLBACK"));
            assert_eq!(changes.ready(true, false), [Change::UnlistenAll]);
        }
    }
}
