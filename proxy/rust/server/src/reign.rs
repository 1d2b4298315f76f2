//! Who the writer is by the word of one snapshot, and whether the next one deposes it. Kept by the
//! book, which numbers the terms.

use std::net::SocketAddr;

use crate::snapshot::{Snapshot, TargetId};

/// Who the writer is, or that there is none, as the last snapshot said.
pub struct Reign {
    /// The writer; `None`: there is none.
    pub target: Option<TargetId>,
    /// The last one that named a writer.
    pub epoch: u64,
    /// The addresses that were known last.
    addresses: Vec<SocketAddr>,
}

impl Reign {
    /// The word of a snapshot, after that of an earlier one.
    pub fn of<C>(snapshot: &Snapshot<C>, before: Option<&Self>) -> Self {
        let target = snapshot.writer.map(|writer| writer.target);
        // "There is no writer" carries no epoch of its own: it goes by the last one's.
        let last = before.map_or(0, |reign| reign.epoch);
        let known = target.and_then(|id| snapshot.target(id));
        let mut addresses = known.map_or_else(Vec::new, |known| known.addresses.clone());
        let same = before.filter(|reign| reign.target == target);
        if let (Some(same), Some(true)) = (same, known.map(|known| known.addresses.is_empty())) {
            addresses.clone_from(&same.addresses);
        }
        Self {
            target,
            epoch: snapshot.writer.map_or(last, |writer| writer.epoch),
            addresses,
        }
    }

    /// Its target, if that is a former writer by the word of a snapshot: another one writes, or it
    /// left an address.
    pub fn deposed_by<C>(&self, snapshot: &Snapshot<C>) -> Option<TargetId> {
        let target = self.target?;
        let named = snapshot
            .writer
            .is_some_and(|writer| writer.target == target);
        let mut addresses = self.addresses.iter();
        let moved = addresses.any(|address| !snapshot.writes_at(target, *address));
        (!named || moved).then_some(target)
    }
}
