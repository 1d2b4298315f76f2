//! What a worker keeps of its clients, its backends and their queues.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::Time;
use dbproxy_engine::{CancelSecret, Engine, PinReason, TlsFacts};

use crate::book::Permit;
use crate::gauge::Seat;
use crate::ids::Id;
use crate::limits::Life;
use crate::origin::Origin;
use crate::slab::Key;
use crate::snapshot::{Listener, Role, Target, TargetId};
use crate::stats::{EndpointStats, TargetStats};
use crate::warrant::Asker;
use crate::wire::Wire;

use super::hearing::Hearing;
use super::places::BackendPlace;

/// So much of an answer is read on for, when its client went: the server itself would soon have found
/// nobody to send it to.
const MOST_DISCARDED: u64 = 16 << 20;

/// Whose socket a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A client.
    Client(Key),
    /// A backend.
    Backend(Key),
    /// A connection that delivers a CancelRequest.
    Cancel(Key),
}

/// Where a client stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientPlace {
    /// It has nothing to do, or has sent only a part of a request.
    Idle,
    /// It is in its lane's queue.
    Waiting,
    /// It holds this backend.
    Holding(Key),
    /// It was told goodbye; its bytes are thrown away until it leaves.
    Leaving,
}

/// One client.
pub struct Client<E: Engine> {
    /// Its leg.
    pub wire: Wire,
    /// Its session; `None` until it was welcomed, and when it is leaving.
    pub session: Option<E::Session>,
    /// Where it stands.
    pub place: ClientPlace,
    /// Its pool key's queue.
    pub lane: Key,
    /// Where it came in.
    pub listener: Arc<Listener>,
    /// Its endpoint's counters.
    pub stats: Arc<EndpointStats>,
    /// It goes back to the front thread with this.
    pub login: Option<E::ClientLogin>,
    /// What its log-in left to its session, until that is there.
    pub handover: Option<E::Handover>,
    /// The number that stands for it.
    pub id: Id,
    /// The secret half of its cancel key.
    pub secret: CancelSecret,
    /// Since when it stands where it stands.
    pub since: Time,
    /// When its request first asked for a backend: its age in the queue.
    pub wanted_at: Time,
    /// When its oldest unanswered request was forwarded.
    pub asked_at: Time,
    /// Since when it has begun a request and not ended it, while it holds no backend.
    pub begun: Option<Time>,
    /// Whether a timer is set that looks after that.
    pub begun_rings: bool,
    /// Since when it doesn't read what is queued for it.
    pub stalled_since: Option<Time>,
    /// It sends no more; so long it is kept for the answers to what it sent.
    pub kept_until: Option<Time>,
    /// It has asked for a KILL, and waits so long for what becomes of that.
    pub kills_until: Option<Time>,
    /// The reader it used last.
    pub reader: Option<TargetId>,
    /// What listens for it.
    pub hearing: Hearing,
    /// Why it counts as pinned, if it does.
    pub pinned: Option<PinReason>,
    /// Its endpoint is gone: it goes at its transaction's end.
    pub departing: bool,
    /// Since when it is connected.
    pub life: Life,
    /// That is long enough: it goes at its transaction's end.
    pub outlived: bool,
    /// Its place among its user's clients; free again when it is forgotten.
    pub _seat: Seat,
    /// Its address, for the log.
    pub peer: SocketAddr,
}

impl<E: Engine> Client<E> {
    /// Where its requests go.
    pub fn role(&self) -> Role {
        self.listener.role
    }
}

/// A backend's log-in under way.
pub struct Opening<E: Engine> {
    /// The protocol's machine; `None` until the socket is connected.
    pub login: Option<E::BackendLogin>,
    /// What its finished TLS handshake found out.
    pub facts: Option<TlsFacts>,
    /// For which kind of waiter.
    pub role: Role,
    /// Which of the user's passwords is tried.
    pub password: usize,
    /// The target's addresses that were tried, this one last.
    pub tried: Vec<SocketAddr>,
    /// It counts as failed then.
    pub deadline: Time,
}

/// One connection to a database.
pub struct Backend<E: Engine> {
    /// Its leg.
    pub wire: Wire,
    /// Where it stands.
    pub place: BackendPlace<E>,
    /// Its state; `None` while it logs in.
    pub link: Option<E::Link>,
    /// Its pool key.
    pub lane: Key,
    /// Its server, as of when it was opened.
    pub target: Arc<Target>,
    /// Its server's counters.
    pub stats: Arc<TargetStats>,
    /// Its place in the budget; `None` once it went elsewhere.
    pub permit: Option<Permit>,
    /// What it was opened for.
    pub origin: Origin,
    /// Since when it is open.
    pub life: Life,
    /// Since when it stands where it stands.
    pub since: Time,
    /// How long it may stand there; `None`: for as long as it likes.
    pub due: Option<Time>,
    /// When its timer rings.
    pub rings: Option<Time>,
    /// Bytes that nobody was there for, in this state.
    pub discarded: u64,
    /// Cancels for it that are on their way.
    pub cancels: u32,
    /// A cancel waits until it strikes what it is for, and nothing else of the proxy's: the request behind
    /// so many answered ones.
    pub cancel_wanted: Option<u64>,
    /// Who wants it.
    pub cancel_askers: Vec<Asker>,
    /// It is being cut: nothing more is written to it.
    pub cut: bool,
    /// Close it at its release.
    pub retired: bool,
    /// Counted as a TLS connection.
    pub counted_tls: bool,
}

impl<E: Engine> Backend<E> {
    /// So much of an answer was for nobody. Says when that becomes too much to read on for.
    pub fn discards(&mut self, bytes: usize) -> bool {
        let before = self.discarded;
        self.discarded += bytes as u64;
        before < MOST_DISCARDED && self.discarded >= MOST_DISCARDED
    }
}

/// A cancel under way.
pub struct Cancel<E: Engine> {
    /// Its connection.
    pub wire: Wire,
    /// What is said on it.
    pub machine: E::Canceller,
    /// What its finished TLS handshake found out.
    pub facts: Option<TlsFacts>,
    /// How its backend was opened.
    pub origin: Origin,
    /// It may strike by now.
    pub sent: bool,
    /// Whose statement it ends.
    pub backend: Key,
    /// Who is told when it is over.
    pub askers: Vec<Asker>,
}

/// What is due at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Timer {
    /// A backend may have stood where it stands for too long.
    Backend(Key),
    /// A cancel takes too long.
    Cancel(Key),
    /// A client that was told goodbye takes too long.
    Leaving(Key),
    /// A client that sends no more waits for too long.
    Kept(Key),
    /// A client began a request a while ago.
    Begun(Key),
    /// A client's KILL takes too long.
    Kills(Key),
}

/// Rare deadlines, soonest first. They are not taken back: who is woken looks whether it still
/// matters.
#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Time, u64, Timer)>>,
    made: u64,
}

impl Timers {
    /// Due at `at`.
    pub fn set(&mut self, at: Time, timer: Timer) {
        self.made += 1;
        self.heap.push(Reverse((at, self.made, timer)));
    }

    /// The soonest.
    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// One that is due.
    pub fn due(&mut self, now: Time) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, timer))| timer)
    }
}

/// Work that one event leaves for right after it, so that nothing recurses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Todo {
    /// A backend is free: who gets it?
    Offer(Key),
    /// A client may go on.
    Pump(Key),
    /// A lane's waiters look for a backend.
    Seek(Key, Role),
}
