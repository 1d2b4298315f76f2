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

    /// Everything that the invariants are about did occur.
    pub fn is_telling(&self) -> bool {
        let counts = [
            self.answered,
            self.acknowledged,
            self.unknown,
            self.aborted,
            self.refused,
            self.pinned_lost,
            self.cancelled,
            self.idled,
            self.unpinned,
            self.heard,
            self.outlived,
            self.drained,
            self.moved,
            self.queued,
            self.capped,
        ];
        counts.iter().all(|count| *count > 0)
    }
}
