//! What is collected of the client's bytes while they are looked at, and what of ours is put between
//! them; and what the next message waits for. For `forward` and those that judge a message for it.

use dbproxy_engine::{Leg, Payload, Step, Steps};

use crate::link::{CopyIn, Link};
use crate::statement::Memory;

/// The part of the input that is being collected into one send.
pub(super) struct Run<'a> {
    pub start: usize,
    /// Where the message at hand begins.
    pub at: usize,
    /// The input from there on.
    pub rest: &'a [u8],
    /// Where the batch at hand begins, if it began in this input.
    pub batch: Option<usize>,
    /// Where bytes of our own were put in last, and as which step.
    pub inserted: Option<(usize, usize)>,
    pub memory: &'a mut Memory,
}

impl Run<'_> {
    pub(super) fn flush(&mut self, upto: usize, out: &mut Steps) {
        if upto > self.start {
            let range = self.start..upto;
            out.push(Step::Send(Leg::Server, Payload::Range(range)));
        }
        self.start = upto;
    }

    /// Whether something can be put in there: what stands there isn't sent yet.
    pub(super) fn holds(&self, at: usize) -> bool {
        at >= self.start || self.inserted.is_some_and(|(place, _)| place == at)
    }

    /// Puts bytes of our own before the message at hand, behind all that was put there already. What
    /// is put before its batch later still finds its place.
    pub(super) fn put(&mut self, bytes: Vec<u8>, out: &mut Steps) {
        if let Some(batch) = self.batch.filter(|at| *at >= self.start) {
            self.flush(batch, out);
            if self.inserted.is_none_or(|(place, _)| place != batch) {
                self.inserted = Some((batch, out.len()));
            }
        }
        self.flush(self.at, out);
        out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
    }

    /// What was put in so far is a batch of its own: nothing is put before it any more.
    pub(super) fn seal(&mut self) {
        self.inserted = None;
    }

    /// Puts bytes of our own before position `at`, and before those that were put there already.
    pub(super) fn insert(&mut self, at: usize, bytes: Vec<u8>, out: &mut Steps) {
        if at >= self.start {
            self.flush(at, out);
        }
        let step = match self.inserted {
            Some((place, step)) if place == at => step,
            _ => out.len(),
        };
        self.inserted = Some((at, step));
        out.insert(step, Step::Send(Leg::Server, Payload::Bytes(bytes)));
    }
}

/// Until when the next message waits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Until {
    #[default]
    Now,
    /// The requests before it are answered.
    Requests,
    /// Everything is.
    All,
}

impl Until {
    /// Whether that isn't so yet, and isn't the client's to bring about.
    pub(super) fn is_ahead(self, link: &Link) -> bool {
        let ahead = match self {
            Self::Now => false,
            Self::Requests => link.expected.requests() > 0,
            Self::All => !link.expected.is_empty(),
        };
        ahead && link.copy_in != CopyIn::Active
    }
}
