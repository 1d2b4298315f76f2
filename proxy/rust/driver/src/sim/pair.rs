//! One connection of the simulated network: two ends, and bytes on their way between them.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::{BufferPool, SendQueue, Token};

/// Who holds an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holder {
    /// Under this token on this host.
    Host(usize, Token),
    /// In a listener's queue, or detached and on its way to another driver.
    Nobody,
    /// Nobody ever again.
    Gone,
}

/// How far the closing of a sending side is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Fin {
    No,
    /// To follow what is queued and under way.
    Wanted,
    Delivered,
}

/// One side of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub holder: Holder,
    /// Sent by the owner, not with the "kernel" yet.
    pub queue: SendQueue,
    /// In the "kernel's" send buffer.
    pub outgoing: VecDeque<u8>,
    /// Arrived and not read.
    pub inbox: VecDeque<u8>,
    pub fin: Fin,
    /// A delivery of `outgoing` is on the agenda.
    pub delivering: bool,
    pub armed: bool,
    /// The peer will send no more.
    pub eof: bool,
    pub broken: Option<ErrorKind>,
    /// What the owner is still to be told.
    pub tell_connected: bool,
    pub tell_sent: bool,
    pub told_eof: bool,
    pub told_broken: bool,
    pub detaching: bool,
}

impl End {
    pub fn new(holder: Holder) -> Self {
        Self {
            holder,
            queue: SendQueue::default(),
            outgoing: VecDeque::new(),
            inbox: VecDeque::new(),
            fin: Fin::No,
            delivering: false,
            armed: false,
            eof: false,
            broken: None,
            tell_connected: false,
            tell_sent: false,
            told_eof: false,
            told_broken: false,
            detaching: false,
        }
    }

    /// Moves what fits from the queue to the send buffer.
    pub fn pump(&mut self, room: usize, pool: &mut BufferPool) {
        let free = room.saturating_sub(self.outgoing.len());
        let bytes = self.queue.iter().flat_map(|buffer| buffer.as_slice());
        let before = self.outgoing.len();
        self.outgoing.extend(bytes.take(free));
        self.queue.consume(self.outgoing.len() - before, pool);
    }

    /// Something is to be delivered to the peer.
    pub fn has_news(&self) -> bool {
        !self.outgoing.is_empty() || (self.fin == Fin::Wanted && self.queue.is_empty())
    }

    /// The connection broke; nothing more moves.
    pub fn break_off(&mut self, error: ErrorKind) {
        if self.broken.is_none() {
            self.broken = Some(error);
            self.queue = SendQueue::default();
            self.outgoing.clear();
        }
    }
}

/// A connection: end 0 connected, end 1 accepted.
#[derive(Debug)]
pub(super) struct Pair {
    pub ends: [End; 2],
    pub hosts: [usize; 2],
    pub established: bool,
    /// Bytes each "kernel" buffer holds.
    pub room: usize,
    /// Nanoseconds that a delivery takes at most.
    pub latency: u64,
    /// Bytes that one delivery carries at most.
    pub chunk: u64,
}

/// One end of one connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct EndId {
    pub pair: u64,
    pub side: usize,
}

impl EndId {
    pub fn peer(self) -> Self {
        Self {
            pair: self.pair,
            side: 1 - self.side,
        }
    }
}
