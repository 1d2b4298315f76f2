//! What occurred in runs that ended well: counts that show that the invariants were put to the test.

/// How a run ended well.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub answered: u64,
    pub acknowledged: u64,
    pub unknown: u64,
    pub aborted: u64,
    pub refused: u64,
    pub pinned_lost: u64,
    pub cancelled: u64,
    pub idled: u64,
    pub unpinned: u64,
    pub heard: u64,
    pub outlived: u64,
    pub drained: u64,
    pub moved: u64,
    pub queued: u64,
    pub capped: u64,
    pub turns: u64,
}

impl Summary {
    /// Adds another run's.
    pub fn add(&mut self, other: &Summary) {
        self.answered += other.answered;
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.aborted += other.aborted;
        self.refused += other.refused;
        self.pinned_lost += other.pinned_lost;
        self.cancelled += other.cancelled;
        self.idled += other.idled;
        self.unpinned += other.unpinned;
        self.heard += other.heard;
        self.outlived += other.outlived;
        self.drained += other.drained;
        self.moved += other.moved;
        self.queued += other.queued;
        self.capped += other.capped;
        self.turns += other.turns;
    }

    /// What of all that the invariants are about never occurred, but for what can't.
    pub fn lacking(&self, never: &[&str]) -> Vec<&'static str> {
        let counts = [
            ("answered", self.answered),
            ("acknowledged", self.acknowledged),
            ("unknown", self.unknown),
            ("aborted", self.aborted),
            ("refused", self.refused),
            ("pinned_lost", self.pinned_lost),
            ("cancelled", self.cancelled),
            ("idled", self.idled),
            ("unpinned", self.unpinned),
            ("heard", self.heard),
            ("outlived", self.outlived),
            ("drained", self.drained),
            ("moved", self.moved),
            ("queued", self.queued),
            ("capped", self.capped),
        ];
        let lacking = counts.into_iter().filter(|(_, count)| *count == 0);
        let names = lacking.map(|(name, _)| name);
        names.filter(|name| !never.contains(name)).collect()
    }
}
