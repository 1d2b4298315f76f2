//! An in-memory network under a seed, with virtual time: the main instrument of proof.
//!
//! Tests make a [`Network`] and a [`SimDriver`] per host, and either let the hosts wait in turn
//! (the time goes on while one of them waits), or let [`Network::next_turn`] say whose turn it is.
//! Then the order of turns, the latency, the sizes of what arrives and of the buffers in between
//! follow from the seed, and so do the faults that the test makes: hosts that stall or fall
//! silent, connections that reset. Everything that happens can be traced.

mod driver;
mod host;
mod pair;
mod random;
mod telling;
mod world;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use driver::{SimDriver, SimSocket, SimWaker};
pub use random::Random;

use crate::{Duration, Time};
use host::Host;
use world::World;

/// A simulated network; clones are the same one.
#[derive(Clone, Debug)]
pub struct Network(Arc<Mutex<World>>);

/// A host of a network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostId(usize);

/// A connection that stands, as the network sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// For [`Network::reset`].
    pub id: u64,
    /// Who connected.
    pub from: HostId,
    /// Who listened.
    pub to: HostId,
}

/// What a watched host did with one of its connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// It read these bytes.
    Received(Vec<u8>),
    /// It sent these.
    Sent(Vec<u8>),
    /// It closed its end.
    Closed,
    /// It reset the connection.
    Aborted,
}

/// Something that a watched host did, see [`Network::watch`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Who.
    pub host: HostId,
    /// On which connection ([`Link::id`]).
    pub link: u64,
    /// The host's side connected (and didn't accept).
    pub dialed: bool,
    /// What.
    pub act: Act,
}

impl Network {
    /// An empty network whose weather follows from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World::new(seed))))
    }

    /// Adds a host. Several hosts may share an address (threads of one machine): the first of
    /// them stands for it in faults.
    pub fn host(&self, name: &str, ip: IpAddr) -> (HostId, SimDriver) {
        let mut world = self.world();
        let id = world.hosts.len();
        let now = world.now;
        world.hosts.push(Host {
            name: name.to_owned(),
            ip,
            entries: Vec::new(),
            free: Vec::new(),
            departed: Vec::new(),
            dirty: BTreeSet::new(),
            woken: false,
            deadline: Some(now),
            stalled_until: now,
            muted: false,
            watched: false,
            idle_turns: 0,
            worked: false,
        });
        drop(world);
        (HostId(id), SimDriver::new(self.clone(), id))
    }

    /// Whose turn it is; the time goes on until somebody has something to do. `None` when nothing
    /// will ever happen again.
    pub fn next_turn(&self) -> Option<HostId> {
        self.world().next_host().map(HostId)
    }

    /// How many turns a host has had in which nothing had happened.
    pub fn idle_turns(&self, host: HostId) -> u64 {
        self.world()
            .hosts
            .get(host.0)
            .map_or(0, |host| host.idle_turns)
    }

    /// The network's time.
    pub fn now(&self) -> Time {
        self.world().now
    }

    /// A generator that follows from the seed.
    pub fn random(&self) -> Random {
        self.world().random.fork()
    }

    /// A host gets no turn for a while.
    pub fn stall(&self, host: HostId, duration: Duration) {
        let mut world = self.world();
        let until = world.now.after(duration);
        world.note(|world| format!("{} stalls for {duration:?}", world.name(host.0)));
        if let Some(host) = world.hosts.get_mut(host.0) {
            host.stalled_until = until;
        }
    }

    /// A host falls silent: nothing reaches it, nothing leaves it, until it is unmuted.
    pub fn mute(&self, host: HostId, muted: bool) {
        let mut world = self.world();
        world.note(|world| format!("{} muted: {muted}", world.name(host.0)));
        if let Some(host) = world.hosts.get_mut(host.0) {
            host.muted = muted;
        }
    }

    /// The connections that stand.
    pub fn links(&self) -> Vec<Link> {
        let world = self.world();
        let pairs = world.pairs.iter().filter(|(_, pair)| pair.established);
        let link = |(id, pair): (&u64, &pair::Pair)| Link {
            id: *id,
            from: HostId(pair.hosts[0]),
            to: HostId(pair.hosts[1]),
        };
        pairs.map(link).collect()
    }

    /// Breaks a connection: both ends are reset, what was under way is lost.
    pub fn reset(&self, id: u64) {
        self.world().reset(id);
    }

    /// Bytes of memory that the longest of a host's drivers' queues takes.
    pub fn longest_queue(&self, host: HostId) -> usize {
        let world = self.world();
        let ends = world.pairs.values().flat_map(|pair| &pair.ends);
        let held =
            |end: &&pair::End| matches!(end.holder, pair::Holder::Host(at, _) if at == host.0);
        let queues = ends.filter(held).map(|end| end.queue.held());
        queues.max().unwrap_or(0)
    }

    /// Begins to write down what a host reads, sends and closes.
    pub fn watch(&self, host: HostId) {
        if let Some(host) = self.world().hosts.get_mut(host.0) {
            host.watched = true;
        }
    }

    /// What watched hosts did since the last call, in order.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.world().seen)
    }

    /// Begins to keep a trace.
    pub fn start_trace(&self) {
        self.world().trace = Some(VecDeque::new());
    }

    /// Adds a line to the trace, if one is kept.
    pub fn note(&self, line: impl FnOnce() -> String) {
        self.world().note(|_| line());
    }

    /// The last lines of the trace.
    pub fn trace(&self, lines: usize) -> Vec<String> {
        let world = self.world();
        let trace = world.trace.iter().flatten();
        let skipped = world
            .trace
            .as_ref()
            .map_or(0, |t| t.len().saturating_sub(lines));
        trace.skip(skipped).cloned().collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        Self::locked(&self.0)
    }

    /// A panic in one host's turn is the test's failure; the network itself stays whole.
    fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
        world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
