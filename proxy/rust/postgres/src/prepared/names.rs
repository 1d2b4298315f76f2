//! What a client's names stand for, as far as that is answered.

use std::sync::Arc;

use super::{Parsed, Shared};

/// As much of a name counts for PostgreSQL.
pub(crate) const SIGNIFICANT: usize = 63;

/// A client may have as many shared statements, by number and by bytes, as if it shared none of
/// them. ActiveRecord keeps 1,000, other drivers fewer.
const MOST: usize = 1024;
const MOST_BYTES: usize = 512 * 1024;

/// The part of a name that counts.
pub(crate) fn significant(name: &[u8]) -> &[u8] {
    name.get(..SIGNIFICANT).unwrap_or(name)
}

/// Whether two names are the same for PostgreSQL.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    significant(one) == significant(other)
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub shared: Arc<Shared>,
    pub parsed: Parsed,
}

/// A client's shared statements by name.
#[derive(Default, Debug)]
pub(crate) struct Names {
    /// In order of the names.
    list: Vec<(Arc<[u8]>, Known)>,
    bytes: usize,
}

impl Names {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &Arc<Shared>)> {
        self.list.iter().map(|(name, known)| (name, &known.shared))
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<(&Arc<[u8]>, &Known)> {
        let at = self.place(name).ok()?;
        self.list.get(at).map(|(name, known)| (name, known))
    }

    pub(crate) fn set(&mut self, name: &Arc<[u8]>, known: Known) {
        self.remove(name);
        self.bytes += cost(name, &known.shared);
        if let Err(at) = self.place(name) {
            self.list.insert(at, (Arc::clone(name), known));
        }
    }

    pub(crate) fn remove(&mut self, name: &[u8]) {
        if let Ok(at) = self.place(name) {
            let (name, known) = self.list.remove(at);
            self.bytes -= cost(&name, &known.shared);
        }
    }

    /// Takes the unnamed one out, which stands before all others.
    pub(crate) fn remove_unnamed(&mut self) {
        if self.list.first().is_some_and(|(name, _)| name.is_empty()) {
            self.remove(b"");
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is room for so many more of that size together.
    pub(crate) fn has_room(&self, more: usize, size: usize) -> bool {
        self.list.len() + more <= MOST && self.bytes.saturating_add(size) <= MOST_BYTES
    }

    fn place(&self, name: &[u8]) -> Result<usize, usize> {
        self.list
            .binary_search_by(|(known, _)| significant(known).cmp(significant(name)))
    }
}

fn cost(name: &[u8], shared: &Shared) -> usize {
    name.len() + shared.size()
}
