//! How far `replies` has looked at a backend's bytes, and which of them go on to the client.

use dbproxy_engine::{Leg, Payload, Step, Steps};

/// How far the backend's bytes are looked at.
pub(super) struct Flow<'a> {
    input: &'a [u8],
    start: usize,
    at: usize,
}

impl<'a> Flow<'a> {
    pub(super) fn of(input: &'a [u8]) -> Self {
        Self {
            input,
            start: 0,
            at: 0,
        }
    }

    /// How much of it is done with.
    pub(super) fn passed(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    pub(super) fn flush(&mut self, out: &mut Steps) {
        if self.at > self.start {
            let range = self.start..self.at;
            out.push(Step::Send(Leg::Client, Payload::Range(range)));
        }
        self.start = self.at;
    }

    pub(super) fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub(super) fn drop(&mut self, bytes: usize, out: &mut Steps) {
        self.flush(out);
        self.at += bytes;
        self.start = self.at;
    }
}
