//! What a worker keeps of its clients, its backends and their queues.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::Time;
use dbproxy_engine::{Engine, Identity};

use crate::book::Permit;
use crate::slab::{Key, Slab};
use crate::snapshot::{Listener, Role, Target, TargetId};
use crate::stats::{EndpointStats, TargetStats};
use crate::wire::Wire;

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
    /// Told to its session at the welcome.
    pub application_name: Arc<str>,
    /// The secret half of its cancel key.
    pub secret: u32,
    /// Since when it stands where it stands.
    pub since: Time,
    /// When its oldest unanswered request was forwarded.
    pub asked_at: Time,
    /// Since when it doesn't read what is queued for it.
    pub stalled_since: Option<Time>,
    /// The reader it used last.
    pub reader: Option<TargetId>,
    /// Counted as pinned.
    pub pinned: bool,
    /// Its endpoint is gone: it goes at its transaction's end.
    pub departing: bool,
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
    /// For which kind of waiter.
    pub role: Role,
    /// Which of the user's passwords is tried.
    pub password: usize,
    /// Which of the target's addresses is tried.
    pub address: usize,
    /// It counts as failed then.
    pub deadline: Time,
}

/// Where a backend stands.
pub enum BackendPlace<E: Engine> {
    /// Connecting and logging in.
    Opening(Box<Opening<E>>),
    /// In its lane's idle list, or about to be offered.
    Idle,
    /// Lent to this client.
    Lent(Key),
    /// Its client left; the request runs to its end.
    Orphaned,
    /// Its session's state is being discarded.
    Resetting,
    /// Free, but a cancel for it is still on its way.
    Settling,
    /// On its way to another worker.
    Departing(usize),
    /// Goodbye was said; waiting for the server's EOF.
    Closing,
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
    /// The address it is connected to, where its cancels go too.
    pub address: SocketAddr,
    /// Since when it stands where it stands.
    pub since: Time,
    /// Cancels for it that are on their way.
    pub cancels: u32,
    /// A cancel waits until a replay is over.
    pub cancel_wanted: bool,
    /// It is being cut: nothing more is written to it.
    pub cut: bool,
    /// Close it at its release.
    pub retired: bool,
    /// Counted as a TLS connection.
    pub counted_tls: bool,
}

/// A CancelRequest under way.
pub struct Cancel {
    /// Its connection.
    pub wire: Wire,
    /// The bytes to deliver.
    pub request: Vec<u8>,
    /// Whose statement it ends.
    pub backend: Key,
}

/// All that one pool key has on this worker.
pub struct Lane {
    /// The key (with the target).
    pub identity: Identity,
    /// The key, hashed: what other workers see of it.
    pub hash: u64,
    /// Clients that wait, oldest first: for the writer, for a reader.
    waiting: [VecDeque<Key>; 2],
    /// Idle backends by target, the last used last.
    pub idle: Vec<(TargetId, Vec<Key>)>,
    /// Log-ins under way, for the writer and for readers.
    opening: [u32; 2],
    /// Clients and backends that name this lane.
    pub members: u32,
}

fn at(role: Role) -> usize {
    match role {
        Role::ReadWrite => 0,
        Role::ReadOnly => 1,
    }
}

impl Lane {
    /// The queue of one role.
    pub fn waiting(&self, role: Role) -> &VecDeque<Key> {
        let [writes, reads] = &self.waiting;
        if at(role) == 0 {
            writes
        } else {
            reads
        }
    }

    /// The queue of one role.
    fn waiting_mut(&mut self, role: Role) -> &mut VecDeque<Key> {
        let [writes, reads] = &mut self.waiting;
        if at(role) == 0 {
            writes
        } else {
            reads
        }
    }

    /// Whether anybody waits here.
    pub fn has_waiters(&self) -> bool {
        self.waiting.iter().any(|queue| !queue.is_empty())
    }

    /// Log-ins under way for one role.
    pub fn opening_mut(&mut self, role: Role) -> &mut u32 {
        let [writes, reads] = &mut self.opening;
        if at(role) == 0 {
            writes
        } else {
            reads
        }
    }

    /// The idle backends on one target.
    pub fn idle_mut(&mut self, target: TargetId) -> &mut Vec<Key> {
        let at = self.idle.iter().position(|(known, _)| *known == target);
        let at = at.unwrap_or_else(|| {
            self.idle.push((target, Vec::new()));
            self.idle.len() - 1
        });
        &mut self.idle[at].1
    }
}

/// The lanes of one worker.
#[derive(Default)]
pub struct Lanes {
    /// All of them.
    pub all: Slab<Lane>,
    by_identity: HashMap<Identity, Key>,
    /// Those that have waiters.
    wanting: Vec<Key>,
}

impl Lanes {
    /// The lane of that key, with one more member.
    pub fn join(&mut self, identity: &Identity) -> Key {
        if let Some(key) = self.by_identity.get(identity) {
            if let Some(lane) = self.all.get_mut(*key) {
                lane.members += 1;
                return *key;
            }
        }
        let key = self.all.insert(Lane {
            identity: identity.clone(),
            hash: hash_of(identity),
            waiting: Default::default(),
            idle: Vec::new(),
            opening: [0; 2],
            members: 1,
        });
        self.by_identity.insert(identity.clone(), key);
        key
    }

    /// The lanes that have waiters.
    pub fn wanting(&self) -> &[Key] {
        &self.wanting
    }

    /// Adds a waiter, at the end of its queue or (`first`) at its head.
    pub fn queue(&mut self, key: Key, role: Role, client: Key, first: bool) {
        let Some(lane) = self.all.get_mut(key) else {
            return;
        };
        if !lane.has_waiters() {
            self.wanting.push(key);
        }
        let queue = lane.waiting_mut(role);
        if first {
            queue.push_front(client);
        } else {
            queue.push_back(client);
        }
    }

    /// Takes a waiter out of its queue.
    pub fn unqueue(&mut self, key: Key, role: Role, client: Key) {
        let Some(lane) = self.all.get_mut(key) else {
            return;
        };
        let queue = lane.waiting_mut(role);
        if let Some(at) = queue.iter().position(|waiting| *waiting == client) {
            queue.remove(at);
            if !lane.has_waiters() {
                self.wanting.retain(|wanting| *wanting != key);
            }
        }
    }

    /// One member fewer; a lane without members goes.
    pub fn leave(&mut self, key: Key) {
        let Some(lane) = self.all.get_mut(key) else {
            return;
        };
        lane.members = lane.members.saturating_sub(1);
        if lane.members == 0 {
            if let Some(lane) = self.all.remove(key) {
                self.by_identity.remove(&lane.identity);
            }
        }
    }
}

fn hash_of(identity: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish()
}

/// What is due at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Timer {
    /// A log-in takes too long.
    Opening(Key),
    /// A cut backend's outcome takes too long.
    Cut(Key),
    /// A server's EOF takes too long.
    Closing(Key),
    /// A cancel takes too long.
    Cancel(Key),
    /// A client that was told goodbye takes too long.
    Leaving(Key),
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
