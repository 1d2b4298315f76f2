//! The state of a simulated network, and what happens in it as its time goes on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;

use super::host::{Host, Slot};
use super::pair::{End, EndId, Fin, Holder, Pair};
use super::random::Random;
use super::{Act, HostId, Seen};
use crate::{Duration, SendQueue, Time, Token};

/// How long what touches a muted host is put off at a time.
const MUTED_FOR: Duration = Duration::from_millis(20);

/// Lines of the trace that are kept.
const TRACE_LINES: usize = 20_000;

#[derive(Debug)]
pub(super) struct Backlog {
    pub host: usize,
    pub token: Token,
    pub waiting: VecDeque<(EndId, SocketAddr)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Action {
    Connect(EndId, SocketAddr),
    Deliver(EndId),
    Reset(EndId),
}

#[derive(Debug)]
pub(super) struct World {
    pub now: Time,
    pub random: Random,
    pub hosts: Vec<Host>,
    pub pairs: BTreeMap<u64, Pair>,
    pub backlogs: BTreeMap<SocketAddr, Backlog>,
    /// Turns are given by the scheduler; waits never let the time go on.
    pub scheduled: bool,
    pub trace: Option<VecDeque<String>>,
    pub seen: Vec<Seen>,
    agenda: BinaryHeap<Reverse<(Time, u64, Action)>>,
    planned: u64,
    next_pair: u64,
    next_port: u16,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Time(1_000_000_000),
            random: Random::new(seed),
            hosts: Vec::new(),
            pairs: BTreeMap::new(),
            backlogs: BTreeMap::new(),
            scheduled: false,
            trace: None,
            seen: Vec::new(),
            agenda: BinaryHeap::new(),
            planned: 0,
            next_pair: 0,
            next_port: 20_000,
        }
    }

    /// Writes down what a host does, if it is watched.
    pub fn see(&mut self, host: usize, end: EndId, act: impl FnOnce() -> Act) {
        if self.hosts[host].watched {
            self.seen.push(Seen {
                host: HostId(host),
                link: end.pair,
                dialed: end.side == 0,
                act: act(),
            });
        }
    }

    pub fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_none() {
            return;
        }
        let micros = self.now.0 / 1000 - 1_000_000;
        let line = format!(
            "{:>6}.{:06} {}",
            micros / 1_000_000,
            micros % 1_000_000,
            line(self)
        );
        if let Some(trace) = &mut self.trace {
            if trace.len() >= TRACE_LINES {
                trace.pop_front();
            }
            trace.push_back(line);
        }
    }

    /// The host whose turn is next; lets the time go on until somebody has something to do.
    pub fn next_host(&mut self) -> Option<usize> {
        self.scheduled = true;
        self.now = self
            .now
            .after(Duration::from_nanos(self.random.between(500, 20_000)));
        loop {
            while self.act(self.now) {}
            let now = self.now;
            let runnable = |host: &(usize, &Host)| host.1.runnable(now);
            let hosts = self.hosts.iter().enumerate();
            let runnable: Vec<usize> = hosts.filter(runnable).map(|host| host.0).collect();
            if let Some(host) = self.random.pick(&runnable) {
                return Some(*host);
            }
            let deadlines = self.hosts.iter().filter_map(|host| {
                let wanted = if host.has_news() {
                    Some(now)
                } else {
                    host.deadline
                };
                wanted.map(|at| at.max(host.stalled_until))
            });
            let planned = self.agenda.peek().map(|Reverse((at, _, _))| *at);
            self.now = deadlines.chain(planned).min()?.max(self.now);
        }
    }

    /// Carries out the next planned action if it is due by `limit`.
    pub fn act(&mut self, limit: Time) -> bool {
        match self.agenda.peek() {
            Some(Reverse((at, _, _))) if *at <= limit => {}
            _ => return false,
        }
        if let Some(Reverse((at, _, action))) = self.agenda.pop() {
            self.now = self.now.max(at);
            match action {
                Action::Connect(end, address) => self.come_through(end, address),
                Action::Deliver(from) => self.deliver(from),
                Action::Reset(end) => self.reset_end(end),
            }
        }
        true
    }

    fn plan(&mut self, delay: u64, action: Action) {
        self.planned += 1;
        let at = self.now.after(Duration::from_nanos(delay));
        self.agenda.push(Reverse((at, self.planned, action)));
    }

    fn delay(&mut self, latency: u64) -> u64 {
        let often = 1_000 + self.random.below(latency);
        if self.random.one_in(64) {
            often * 20
        } else {
            often
        }
    }

    pub fn connect(&mut self, host: usize, address: SocketAddr) -> Token {
        let id = self.next_pair;
        self.next_pair += 1;
        let end = EndId { pair: id, side: 0 };
        let token = self.hosts[host].insert(Slot::End(end));
        let chunk = match self.random.below(4) {
            0 => self.random.between(1, 16),
            1 => self.random.between(16, 1024),
            _ => 64 * 1024,
        };
        let pair = Pair {
            ends: [
                End::new(Holder::Host(host, token)),
                End::new(Holder::Nobody),
            ],
            hosts: [host, host],
            established: false,
            room: self.random.between(512, 32 * 1024) as usize,
            latency: self.random.between(10_000, 2_000_000),
            chunk,
        };
        let delay = self.delay(pair.latency);
        self.pairs.insert(id, pair);
        self.plan(delay, Action::Connect(end, address));
        token
    }

    /// Another port for a peer's or a listener's address.
    pub fn port(&mut self) -> u16 {
        self.next_port = self.next_port.checked_add(1).unwrap_or(20_000);
        self.next_port
    }

    fn come_through(&mut self, end: EndId, address: SocketAddr) {
        let there = self.hosts.iter().position(|host| host.ip == address.ip());
        let Some(pair) = self.pairs.get_mut(&end.pair) else {
            return;
        };
        let from = pair.hosts[0];
        // Nobody has that address: nobody answers, ever.
        let Some(there) = there else {
            return;
        };
        pair.hosts[1] = there;
        if self.hosts[there].muted || self.hosts[from].muted {
            let delay = MUTED_FOR.as_nanos() as u64;
            return self.plan(delay, Action::Connect(end, address));
        }
        let port = self.port();
        let peer = SocketAddr::new(self.hosts[from].ip, port);
        let Some(backlog) = self.backlogs.get_mut(&address) else {
            return self.break_off(end, ErrorKind::ConnectionRefused);
        };
        backlog.waiting.push_back((end.peer(), peer));
        let (host, token) = (backlog.host, backlog.token);
        self.hosts[host].dirty.insert(token.index);
        if let Some(pair) = self.pairs.get_mut(&end.pair) {
            pair.established = true;
            pair.ends[0].tell_connected = true;
        }
        self.mark(end);
        self.note(|world| {
            format!(
                "{} connected to {address} as #{}",
                world.name(from),
                end.pair
            )
        });
    }

    fn deliver(&mut self, from: EndId) {
        let Some(pair) = self.pairs.get_mut(&from.pair) else {
            return;
        };
        let hosts = pair.hosts;
        let latency = pair.latency;
        let muted = hosts.iter().any(|host| self.hosts[*host].muted);
        if muted {
            return self.plan(MUTED_FOR.as_nanos() as u64, Action::Deliver(from));
        }
        let most = 1 + self.random.below(pair.chunk) as usize;
        // Small pieces are for what is small; bulk moves in bulk, or no run would ever end.
        let most = most.max(pair.ends[from.side].outgoing.len() / 4);
        let (low, high) = pair.ends.split_at_mut(1);
        let (source, sink) = match from.side {
            0 => (&mut low[0], &mut high[0]),
            _ => (&mut high[0], &mut low[0]),
        };
        source.delivering = false;
        if sink.holder == Holder::Gone {
            // The peer's kernel answers bytes for nobody with a reset.
            if source.outgoing.is_empty() {
                source.fin = source.fin.max(Fin::Delivered);
            } else {
                self.break_off(from, ErrorKind::ConnectionReset);
            }
            return;
        }
        let moved = most
            .min(source.outgoing.len())
            .min(pair.room.saturating_sub(sink.inbox.len()));
        sink.inbox.extend(source.outgoing.drain(..moved));
        let over = source.outgoing.is_empty() && source.queue.is_empty();
        if over && source.fin == Fin::Wanted {
            source.fin = Fin::Delivered;
            sink.eof = true;
        }
        let full = sink.inbox.len() >= pair.room;
        let more = source.has_news() && !full;
        source.delivering = more;
        let waiting = !source.queue.is_empty();
        if more {
            let delay = self.delay(latency);
            self.plan(delay, Action::Deliver(from));
        }
        self.mark(from.peer());
        if waiting {
            self.mark(from);
        }
        self.sweep(from.pair);
    }

    /// Plans to deliver what an end has sent.
    pub fn hurry(&mut self, from: EndId) {
        let Some(pair) = self.pairs.get_mut(&from.pair) else {
            return;
        };
        let latency = pair.latency;
        let established = pair.established;
        let end = &mut pair.ends[from.side];
        if established && end.has_news() && !end.delivering && end.broken.is_none() {
            end.delivering = true;
            let delay = self.delay(latency);
            self.plan(delay, Action::Deliver(from));
        }
    }

    fn break_off(&mut self, end: EndId, error: ErrorKind) {
        if let Some(pair) = self.pairs.get_mut(&end.pair) {
            pair.ends[end.side].break_off(error);
            self.note(|_| format!("#{}.{} broke: {error:?}", end.pair, end.side));
            self.mark(end);
        }
    }

    /// A reset arrives, unless its way is blocked.
    fn reset_end(&mut self, end: EndId) {
        let Some(pair) = self.pairs.get(&end.pair) else {
            return;
        };
        if pair.hosts.iter().any(|host| self.hosts[*host].muted) {
            return self.plan(MUTED_FOR.as_nanos() as u64, Action::Reset(end));
        }
        self.break_off(end, ErrorKind::ConnectionReset);
    }

    /// The network loses a connection: both ends get to know.
    pub fn reset(&mut self, pair: u64) {
        for side in 0..2 {
            self.break_off(EndId { pair, side }, ErrorKind::ConnectionReset);
        }
    }

    /// An end may have something to tell its holder.
    pub fn mark(&mut self, end: EndId) {
        let Some(pair) = self.pairs.get(&end.pair) else {
            return;
        };
        if let Holder::Host(host, token) = pair.ends[end.side].holder {
            self.hosts[host].dirty.insert(token.index);
        }
    }

    /// The holder of an end closes it (or never was, or dropped it).
    pub fn close(&mut self, end: EndId) {
        let Some(pair) = self.pairs.get_mut(&end.pair) else {
            return;
        };
        if !pair.established {
            self.pairs.remove(&end.pair);
            return;
        }
        let latency = pair.latency;
        let side = &mut pair.ends[end.side];
        side.holder = Holder::Gone;
        side.queue = SendQueue::default();
        side.fin = side.fin.max(Fin::Wanted);
        let unread = !side.inbox.is_empty();
        if unread {
            // As the kernel does: bytes that nobody will read reset the peer.
            side.outgoing.clear();
            let delay = self.delay(latency);
            self.plan(delay, Action::Reset(end.peer()));
        } else {
            self.hurry(end);
        }
        // What the peer still has under way meets nobody.
        self.hurry(end.peer());
        self.sweep(end.pair);
    }

    /// The holder of an end resets it: nothing that is under way arrives any more.
    pub fn abort(&mut self, end: EndId) {
        let Some(pair) = self.pairs.get_mut(&end.pair) else {
            return;
        };
        if !pair.established {
            self.pairs.remove(&end.pair);
            return;
        }
        let latency = pair.latency;
        let side = &mut pair.ends[end.side];
        side.holder = Holder::Gone;
        side.queue = SendQueue::default();
        side.outgoing.clear();
        side.fin = Fin::Delivered;
        let delay = self.delay(latency);
        self.plan(delay, Action::Reset(end.peer()));
        self.hurry(end.peer());
        self.sweep(end.pair);
    }

    /// Forgets a connection that nobody holds any more.
    fn sweep(&mut self, id: u64) {
        let over = |pair: &Pair| pair.ends.iter().all(|end| end.holder == Holder::Gone);
        if self.pairs.get(&id).is_some_and(over) {
            self.pairs.remove(&id);
        }
    }

    pub fn name(&self, host: usize) -> &str {
        self.hosts.get(host).map_or("?", |host| &host.name)
    }
}
