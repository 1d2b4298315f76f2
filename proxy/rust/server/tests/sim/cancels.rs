//! Which answers of a client's may be those of who was cancelled, as its judge counts them.

/// A client's cancels, of which nobody knows when they strike.
#[derive(Debug, Default)]
pub struct Cancels {
    /// Those that are not over.
    open: u32,
    /// How many of the next answers one may have struck that is over.
    exposed: usize,
}

impl Cancels {
    pub fn begin(&mut self) {
        self.open += 1;
    }

    /// One is over, while so many answers are owed: it strikes nothing that is asked from here on.
    pub fn end(&mut self, owed: usize) {
        self.open -= 1;
        self.exposed = self.exposed.max(owed);
    }

    /// An answer was heard whole.
    pub fn answered(&mut self) {
        self.exposed = self.exposed.saturating_sub(1);
    }

    /// The answer at hand may be one of these.
    pub fn may_strike(&self) -> bool {
        self.open > 0 || self.exposed > 0
    }
}
