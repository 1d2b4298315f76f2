//! What a text of statements may do to transactions, from either state it may be run in.
//!
//! For one question above all: may something have been committed? *No* must be certain. With
//! `autocommit` off a transaction is always open, as far as this question goes.

/// Whether a transaction is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// None is: each statement commits by itself.
    Idle,
    /// One is, or `autocommit` is off.
    Transaction,
    /// Either of them.
    Unknown,
}

/// One way through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Something may be committed.
    pub may_commit: bool,
    /// How it stands behind it.
    pub end: State,
}

/// Both ways through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effects {
    idle: Path,
    transaction: Path,
}

const fn path(may_commit: bool, end: State) -> Path {
    Path { may_commit, end }
}

impl Effects {
    /// Reads, or steers inside a transaction.
    pub const NONE: Self = Self {
        idle: path(false, State::Idle),
        transaction: path(false, State::Transaction),
    };
    /// Writes (or may): commits by itself where no transaction is open.
    pub const WRITE: Self = Self {
        idle: path(true, State::Idle),
        ..Self::NONE
    };
    /// DDL and whatever else commits the transaction that is open, and then itself.
    pub const IMPLICIT: Self = Self {
        idle: path(true, State::Idle),
        transaction: path(true, State::Idle),
    };
    /// What commits the transaction that is open, and nothing else: `LOCK TABLES`.
    pub const SETTLE: Self = Self {
        idle: path(false, State::Idle),
        transaction: path(true, State::Idle),
    };
    /// BEGIN, which commits the transaction before it.
    pub const BEGIN: Self = Self {
        idle: path(false, State::Transaction),
        transaction: path(true, State::Transaction),
    };
    /// COMMIT. `completion_type` may make it begin another.
    pub const COMMIT: Self = Self {
        idle: path(false, State::Unknown),
        transaction: path(true, State::Unknown),
    };
    /// ROLLBACK, to its beginning.
    pub const ROLLBACK: Self = Self {
        idle: path(false, State::Unknown),
        transaction: path(false, State::Unknown),
    };
    /// `SET autocommit`, which commits if that turns it on.
    pub const AUTOCOMMIT: Self = Self {
        idle: path(false, State::Unknown),
        transaction: path(true, State::Unknown),
    };
    /// Not understood: anything.
    pub const UNKNOWN: Self = Self {
        idle: path(true, State::Unknown),
        transaction: path(true, State::Unknown),
    };

    /// The way from `state`.
    pub fn from(&self, state: State) -> Path {
        match state {
            State::Idle => self.idle,
            State::Transaction => self.transaction,
            State::Unknown => Path {
                may_commit: self.idle.may_commit || self.transaction.may_commit,
                end: match self.idle.end == self.transaction.end {
                    true => self.idle.end,
                    false => State::Unknown,
                },
            },
        }
    }

    /// Whether it may begin or end a transaction.
    pub fn steers(&self) -> bool {
        self.idle.end != State::Idle || self.transaction.end != State::Transaction
    }

    /// This, then `next`.
    pub fn then(&self, next: &Self) -> Self {
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

    fn commits(effects: Effects) -> (bool, bool) {
        let from = |state| effects.from(state).may_commit;
        (from(State::Idle), from(State::Transaction))
    }

    #[test]
    fn what_stands_in_a_transaction_commits_with_its_commit_or_with_the_next_begin() {
        let begun = Effects::BEGIN.then(&Effects::WRITE);
        assert_eq!(commits(begun), (false, true));
        assert_eq!(begun.from(State::Idle).end, State::Transaction);
        for end in [
            Effects::COMMIT,
            Effects::BEGIN,
            Effects::IMPLICIT,
            Effects::SETTLE,
        ] {
            assert_eq!(commits(begun.then(&end)), (true, true));
        }
        assert_eq!(
            commits(Effects::WRITE.then(&Effects::ROLLBACK)),
            (true, false)
        );
        let undone = Effects::ROLLBACK.then(&Effects::WRITE);
        assert_eq!(commits(undone), (true, true), "in none, or in the next one");
    }

    #[test]
    fn from_a_state_that_is_not_known_it_may_do_what_it_may_from_either() {
        assert!(Effects::WRITE.from(State::Unknown).may_commit);
        assert!(!Effects::NONE.from(State::Unknown).may_commit);
        assert_eq!(Effects::BEGIN.from(State::Unknown).end, State::Transaction);
        assert!(Effects::BEGIN.steers() && !Effects::WRITE.steers());
    }
}
