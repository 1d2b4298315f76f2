//! What a text of statements may do to transactions, from either state it may be run in.
//!
//! For one question above all, which `fate` answers: may something have been committed?

/// Whether an explicit transaction is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Idle,
    Transaction,
}

/// Whether it contains a COMMIT: what stands before that is out of reach of an error behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Settles {
    No,
    AtItsEnd,
    /// And goes on.
    OnItsWay,
}

/// One way through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Path {
    pub may_commit: bool,
    /// It may have committed something although it ends in an error.
    pub outlives_error: bool,
    settles: Settles,
    pub end: State,
}

/// Both ways through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Effects {
    idle: Path,
    transaction: Path,
    /// It may change what the names and literals of other statements mean.
    pub alters: bool,
    /// It may deallocate all prepared statements.
    pub forgets: bool,
}

const fn path(may_commit: bool, end: State) -> Path {
    Path {
        may_commit,
        outlives_error: false,
        settles: Settles::No,
        end,
    }
}

impl Effects {
    /// Reads, or steers inside a transaction.
    pub(crate) const NONE: Self = Self {
        idle: path(false, State::Idle),
        transaction: path(false, State::Transaction),
        alters: false,
        forgets: false,
    };
    /// Writes (or may): commits by itself where no transaction is open, all of it or nothing.
    pub(crate) const WRITE: Self = Self {
        idle: path(true, State::Idle),
        ..Self::NONE
    };
    /// Where no transaction is open, commits step by step: procedures, `VACUUM`, `CREATE INDEX
    /// CONCURRENTLY`.
    pub(crate) const STEPS: Self = Self {
        idle: Path {
            outlives_error: true,
            ..path(true, State::Idle)
        },
        alters: true,
        ..Self::NONE
    };
    /// BEGIN.
    pub(crate) const BEGIN: Self = Self {
        idle: path(false, State::Transaction),
        ..Self::NONE
    };
    /// COMMIT, END, PREPARE TRANSACTION.
    pub(crate) const COMMIT: Self = Self {
        idle: Path {
            settles: Settles::AtItsEnd,
            ..path(false, State::Idle)
        },
        transaction: Path {
            settles: Settles::AtItsEnd,
            ..path(true, State::Idle)
        },
        ..Self::NONE
    };
    /// ROLLBACK, ABORT.
    pub(crate) const ROLLBACK: Self = Self {
        transaction: path(false, State::Idle),
        ..Self::NONE
    };
    /// Not understood: anything.
    pub(crate) const UNKNOWN: Self = {
        let anything = Path {
            may_commit: true,
            outlives_error: true,
            settles: Settles::OnItsWay,
            end: State::Idle,
        };
        Self {
            idle: anything,
            transaction: anything,
            alters: true,
            forgets: true,
        }
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
            let goes_on = first.settles != Settles::No || second.settles == Settles::OnItsWay;
            let settled = first.may_commit && goes_on;
            Path {
                may_commit: first.may_commit || second.may_commit,
                outlives_error: first.outlives_error || second.outlives_error || settled,
                settles: match first.settles {
                    Settles::No => second.settles,
                    _ => Settles::OnItsWay,
                },
                end: second.end,
            }
        };
        Self {
            idle: follow(self.idle),
            transaction: follow(self.transaction),
            alters: self.alters || next.alters,
            forgets: self.forgets || next.forgets,
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
        assert!(
            !script
                .then(&Effects::COMMIT)
                .from(State::Idle)
                .outlives_error
        );
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
