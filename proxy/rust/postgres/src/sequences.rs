//! Whose values the sequence functions of one backend would show.
//!
//! PostgreSQL keeps what `currval` and `lastval` answer per connection, so that of a shared one they
//! answer with whoever moved the sequence last. Kept with the [`Link`](crate::link::Link): it
//! outlives the sessions. `session::sequences` says when the values of others must go.

use dbproxy_engine::CancelKey;

/// Who may have moved sequences since they were last discarded.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Movers {
    #[default]
    Nobody,
    One(CancelKey),
    Several,
}

impl Movers {
    fn and(self, session: CancelKey) -> Self {
        match self {
            Self::Nobody => Self::One(session),
            Self::One(other) if other == session => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// What is known of one backend's values.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Sequences {
    movers: Movers,
    /// The same since a `DISCARD SEQUENCES` that is forwarded, will be read, and isn't answered yet.
    discarding: Option<Movers>,
}

impl Sequences {
    /// `session` may have moved some.
    pub(crate) fn moved(&mut self, session: CancelKey) {
        self.movers = self.movers.and(session);
        self.discarding = self.discarding.map(|movers| movers.and(session));
    }

    /// Whether values of others than `session` may be shown. One's own change takes nothing away:
    /// it may have moved another sequence, or none.
    pub(crate) fn of_others(&self, session: CancelKey) -> bool {
        match self.discarding.unwrap_or(self.movers) {
            Movers::Nobody => false,
            Movers::One(mover) => mover != session,
            Movers::Several => true,
        }
    }

    /// `DISCARD SEQUENCES` is forwarded. `sure`: no failed transaction can be in its way. If one may
    /// be, nothing is built on it.
    pub(crate) fn discarding(&mut self, sure: bool) {
        if sure {
            self.discarding = Some(Movers::Nobody);
        }
    }

    /// It was never read, because of an error before it.
    pub(crate) fn kept(&mut self) {
        self.discarding = None;
    }

    /// It succeeded.
    pub(crate) fn discarded(&mut self) {
        if let Some(since) = self.discarding.take() {
            self.movers = since;
        }
    }
}
