//! May this have been committed? The one place that answers, for requests that were forwarded and
//! whose ReadyForQuery never came. *No* must be certain.
//!
//! | the request                      | heard of it         | in a transaction             | in none |
//! |----------------------------------|---------------------|------------------------------|---------|
//! | reads, or steers                 | anything            | no                           | no      |
//! | changes                          | nothing             | no: its COMMIT is what counts | perhaps |
//! | changes                          | an error            | no                           | no      |
//! | changes in steps (CALL, DO, …)   | nothing or an error | no: it can't commit there    | perhaps |
//! | COMMIT                           | nothing             | perhaps; not of a failed one | no      |
//! | COMMIT                           | an error            | no                           | no      |
//! | is more behind a COMMIT, or isn't understood | nothing or an error | perhaps      | perhaps |
//! | any                              | it went out in part | no                           | no      |
//!
//! Asked when a backend is lost (`session::lost`), when a statement is cancelled because its backend
//! is being cut (`session::judge`), and when a client leaves (through the engine's `Link`).

use crate::expect::Expect;
use crate::link::{Link, Status};
use crate::statement::{Effects, State};

/// What came back of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Nothing,
    /// An error, not yet its ReadyForQuery.
    Error,
    /// The server never had all of it.
    InPart,
}

/// What may have become of a row of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fate {
    pub may_commit: bool,
    /// The client is, or was about to be, in a transaction.
    pub aborted: bool,
    /// Which states may be: a request that fails begins nothing, and what stands behind it is run.
    idle: bool,
    open: bool,
    /// The transaction has failed: its COMMIT is a ROLLBACK.
    failed: bool,
}

impl Fate {
    /// Of none, as the last ReadyForQuery left it.
    fn after(status: Status) -> Self {
        let open = status != Status::Idle;
        Self {
            may_commit: false,
            aborted: open,
            idle: !open,
            open,
            failed: status == Status::Failed,
        }
    }

    /// Of one more. `sure`: it can't have failed.
    fn and(self, effects: &Effects, heard: Heard, sure: bool) -> Self {
        let undone = self.failed && *effects == Effects::COMMIT;
        let effects = if undone { &Effects::ROLLBACK } else { effects };
        let mut next = Self {
            idle: false,
            open: false,
            ..self
        };
        for (possible, state) in [(self.idle, State::Idle), (self.open, State::Transaction)] {
            if !possible {
                continue;
            }
            let path = effects.from(state);
            next.may_commit |= match heard {
                Heard::Nothing => path.may_commit,
                Heard::Error => path.outlives_error,
                Heard::InPart => false,
            };
            next.reach(path.end);
            if !sure {
                next.reach(state);
            }
        }
        next.aborted |= next.open;
        next.failed &= !next.idle;
        next
    }

    fn reach(&mut self, state: State) {
        match state {
            State::Idle => self.idle = true,
            State::Transaction => self.open = true,
        }
    }
}

/// Of everything that a backend owes.
pub(crate) fn outstanding(link: &Link) -> Fate {
    let mut fate = Fate::after(link.status);
    let mut request = link.done;
    let mut heard = heard(link);
    // Nothing stands before it in its request that could keep the server from reading it.
    let mut alone = heard == Heard::Nothing;
    let last = link.expected.len().wrapping_sub(1);
    for (index, expect) in link.expected.iter().enumerate() {
        let in_part = index == last && link.has_part();
        if !in_part {
            request = request.then(&expect.effects());
        }
        if !expect.is_request() {
            alone &= !expect.is_extended();
            continue;
        }
        let begins = matches!(expect, Expect::Query { begins: true, .. });
        let sure = begins && alone && !link.cutting;
        fate = fate.and(&request, heard, sure);
        if in_part {
            fate = fate.and(&expect.effects(), Heard::InPart, false);
        }
        request = Effects::NONE;
        heard = Heard::Nothing;
        alone = true;
    }
    if link.unsynced {
        fate = fate.and(&request, heard, false);
    }
    fate
}

/// Whether what is being answered may have committed something although it ends in an error.
pub(crate) fn outlives_error(link: &Link) -> bool {
    let front = link.expected.front().map_or(Effects::NONE, Expect::effects);
    Fate::after(link.status)
        .and(&link.done.then(&front), Heard::Error, false)
        .may_commit
}

fn heard(link: &Link) -> Heard {
    if link.reported {
        Heard::Error
    } else {
        Heard::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table above, row by row: whether it may be committed, in a transaction and in none.
    #[test]
    fn only_what_certainly_is_not_committed_is_said_not_to_be() {
        use Heard::{Error, InPart, Nothing};
        let more = Effects::COMMIT.then(&Effects::NONE);
        for (effects, heard, expected) in [
            (Effects::NONE, Nothing, (false, false)),
            (Effects::BEGIN, Nothing, (false, false)),
            (Effects::ROLLBACK, Nothing, (false, false)),
            (Effects::WRITE, Nothing, (false, true)),
            (Effects::WRITE, Error, (false, false)),
            (Effects::STEPS, Nothing, (false, true)),
            (Effects::STEPS, Error, (false, true)),
            (Effects::COMMIT, Nothing, (true, false)),
            (Effects::COMMIT, Error, (false, false)),
            (more, Nothing, (true, false)),
            (more, Error, (true, false)),
            (Effects::WRITE.then(&more), Error, (true, true)),
            (Effects::UNKNOWN, Nothing, (true, true)),
            (Effects::UNKNOWN, Error, (true, true)),
            (Effects::UNKNOWN, InPart, (false, false)),
            (Effects::COMMIT, InPart, (false, false)),
        ] {
            let told = |status| Fate::after(status).and(&effects, heard, false).may_commit;
            let got = (told(Status::Transaction), told(Status::Idle));
            assert_eq!(got, expected, "{effects:?} {heard:?}");
        }
    }

    #[test]
    fn commit_of_a_failed_transaction_is_its_rollback() {
        let failed = Fate::after(Status::Failed).and(&Effects::COMMIT, Heard::Nothing, false);
        assert!(!failed.may_commit && failed.aborted);
        let next = failed.and(&Effects::WRITE, Heard::Nothing, false);
        assert!(next.may_commit, "behind it is no transaction any more");
    }
}
