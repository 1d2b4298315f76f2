//! What a text of statements may do to transactions, from either state it may be run in.
//!
//! Only for one question: when a backend is lost with this text unanswered, may something have been
//! committed? The answer "no" must be certain.

/// Whether an explicit transaction is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Idle,
    Transaction,
}

/// One way through: may it commit, and where it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Path {
    pub may_commit: bool,
    pub end: State,
}

/// Both ways through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Effects {
    idle: Path,
    transaction: Path,
}

const fn path(may_commit: bool, end: State) -> Path {
    Path { may_commit, end }
}

impl Effects {
    /// Reads, or steers inside a transaction.
    pub(crate) const NONE: Self = Self {
        idle: path(false, State::Idle),
        transaction: path(false, State::Transaction),
    };
    /// Writes (or may): commits by itself where no transaction is open.
    pub(crate) const WRITE: Self = Self {
        idle: path(true, State::Idle),
        transaction: path(false, State::Transaction),
    };
    /// BEGIN.
    pub(crate) const BEGIN: Self = Self {
        idle: path(false, State::Transaction),
        transaction: path(false, State::Transaction),
    };
    /// COMMIT, END, PREPARE TRANSACTION.
    pub(crate) const COMMIT: Self = Self {
        idle: path(false, State::Idle),
        transaction: path(true, State::Idle),
    };
    /// ROLLBACK, ABORT.
    pub(crate) const ROLLBACK: Self = Self {
        idle: path(false, State::Idle),
        transaction: path(false, State::Idle),
    };
    /// Not understood: anything.
    pub(crate) const UNKNOWN: Self = Self {
        idle: path(true, State::Idle),
        transaction: path(true, State::Idle),
    };

    /// The way from `state`.
    pub(crate) fn from(&self, state: State) -> Path {
        match state {
            State::Idle => self.idle,
            State::Transaction => self.transaction,
        }
    }

    /// Whether it may begin or end a transaction.
    pub(crate) fn steers(&self) -> bool {
        self.idle.end != State::Idle || self.transaction.end != State::Transaction
    }

    /// This, then `next`.
    pub(crate) fn then(&self, next: &Self) -> Self {
        let follow = |first: Path| {
            let second = next.from(first.end);
            path(first.may_commit || second.may_commit, second.end)
        };
        Self {
            idle: follow(self.idle),
            transaction: follow(self.transaction),
        }
    }
}

impl Default for Effects {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_counts_only_inside_a_transaction() {
        let script = Effects::BEGIN.then(&Effects::WRITE);
        assert_eq!(script.from(State::Idle), path(false, State::Transaction));
        let script = script.then(&Effects::COMMIT);
        assert!(script.from(State::Idle).may_commit);
        let undone = Effects::WRITE.then(&Effects::ROLLBACK);
        assert!(!undone.from(State::Transaction).may_commit);
        assert!(
            undone
                .then(&Effects::WRITE)
                .from(State::Transaction)
                .may_commit
        );
    }
}
