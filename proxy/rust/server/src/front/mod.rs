//! The front thread: it accepts, does TLS and the password exchange, and hands a client that may
//! come in to the least-loaded worker. A storm of log-ins stalls no worker.

mod errands;
mod gate;
mod guests;
mod parting;
mod visitors;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use dbproxy_driver::{Buffer, Driver, Duration, Event, Time, Token};
use dbproxy_engine::{CloseReason, Engine, Killed};

use crate::shared::{FrontLetter, Shared};
use crate::snapshot::{Listener, Snapshot};
use crate::stats::EndpointStats;
use crate::wire::Wire;
use crate::Random;
use errands::Errands;
use gate::Gate;
use guests::{Guest, Stage};
use visitors::Visitors;

/// How long the accept queue is emptied after a drain was asked for.
const ACCEPT_TAIL: Duration = Duration::from_millis(50);
/// How often deadlines are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// An idle loop turns this often, to show that it lives.
const IDLE_TURN: Duration = Duration::from_secs(1);

/// The front thread's state.
pub struct Front<E: Engine, D: Driver> {
    driver: D,
    shared: Arc<Shared<E, D>>,
    snapshot: Option<Arc<Snapshot<E::Credential>>>,
    address: IpAddr,
    listeners: BTreeMap<Token, Arc<Listener>>,
    guests: BTreeMap<Token, Guest<E>>,
    /// Guests that said who they are, and may be inside soon.
    claims: u32,
    gate: Gate,
    stats: HashMap<Arc<str>, Arc<EndpointStats>>,
    events: Vec<Event<D::Socket>>,
    errands: Errands,
    visitors: Visitors,
    random: Random,
    closing_at: Option<Time>,
    looked_at: Time,
    draining: bool,
}

impl<E: Engine, D: Driver> Front<E, D> {
    /// A front thread that will listen on `address`.
    pub fn new(driver: D, shared: Arc<Shared<E, D>>, address: IpAddr, random: Random) -> Self {
        Self {
            driver,
            shared,
            snapshot: None,
            address,
            listeners: BTreeMap::new(),
            guests: BTreeMap::new(),
            claims: 0,
            gate: Gate::default(),
            stats: HashMap::new(),
            events: Vec::new(),
            errands: Errands::default(),
            visitors: Visitors::default(),
            random,
            closing_at: None,
            looked_at: Time::default(),
            draining: false,
        }
    }

    /// Turns until the threads shall end.
    pub fn run(&mut self) {
        while !self.shared.stopping.load(Ordering::Acquire) {
            self.turn();
        }
    }

    /// Waits for something to happen, and deals with it.
    pub fn turn(&mut self) {
        let idle = self.driver.now().after(IDLE_TURN);
        let deadline = self.closing_at.map_or(idle, |at| at.min(idle));
        let mut events = std::mem::take(&mut self.events);
        self.driver.wait(Some(deadline), &mut events);
        let turned_at = &self.shared.front_turned_at;
        turned_at.store(self.driver.now().0, Ordering::Relaxed);
        for event in events.drain(..) {
            self.event(event);
        }
        self.events = events;
        for letter in self.shared.front.collect() {
            match letter {
                FrontLetter::Snapshot(snapshot, answer) => {
                    let outcome = self.open_listeners(&snapshot);
                    // Nobody waits for the answer when the caller gave up: nothing to tell then.
                    answer.try_send(outcome).ok();
                    self.snapshot = Some(snapshot);
                    self.advance_all();
                }
                FrontLetter::Return(back) => self.takes_back(*back),
                FrontLetter::Kill(asked) => self.pass_on_kill(asked),
                FrontLetter::CancelOver(asker, outcome) => self.tell_asker(asker, outcome),
                FrontLetter::CancelUnknown(asked) if asked.endpoint.is_none() => {
                    self.tell_asker(asked.asker, Killed::Unknown);
                }
                FrontLetter::CancelUnknown(asked) => self.ask_abroad(asked),
                FrontLetter::Peers(peers) => self.meet(peers),
                FrontLetter::Drain => {
                    self.draining = true;
                    self.closing_at = Some(self.driver.now().after(ACCEPT_TAIL));
                }
            }
        }
        self.tick();
    }

    fn open_listeners(&mut self, snapshot: &Snapshot<E::Credential>) -> Result<(), String> {
        if self.draining {
            return Ok(());
        }
        self.driver
            .set_tcp(snapshot.limits.client_tcp)
            .map_err(|error| format!("TCP options of clients: {error}"))?;
        let wanted = &snapshot.listeners;
        let gone: Vec<Token> = self
            .listeners
            .iter()
            .filter(|(_, open)| !wanted.iter().any(|want| want.port == open.port))
            .map(|(token, _)| *token)
            .collect();
        for token in gone {
            self.listeners.remove(&token);
            self.driver.close(token);
        }
        for want in wanted {
            let open = self.listeners.values_mut().find(|o| o.port == want.port);
            if let Some(open) = open {
                *open = want.clone();
                continue;
            }
            let address = SocketAddr::new(self.address, want.port);
            let token = self
                .driver
                .listen(address)
                .map_err(|error| format!("endpoint {}: listen on {address}: {error}", want.name))?;
            self.listeners.insert(token, want.clone());
        }
        Ok(())
    }

    fn event(&mut self, event: Event<D::Socket>) {
        match event {
            Event::Accepted {
                listener, socket, ..
            } if self.visitors.come_to(listener) => self.visited(socket),
            Event::Accepted {
                listener,
                socket,
                peer,
            } => self.accepted(listener, socket, peer),
            Event::Received { socket, data } => {
                let now = self.driver.now();
                let Some(guest) = self.guests.get_mut(&socket) else {
                    return self.heard_from_peer(socket, data);
                };
                if matches!(guest.stage, Stage::Lingering | Stage::Cancelling) {
                    return self.driver.recycle(data);
                }
                guest.hears(now);
                match guest.wire.receive(&mut self.driver, data) {
                    Ok(()) => self.advance(socket),
                    Err(_) => self.refuse(socket, None, CloseReason::TlsFailed),
                }
            }
            Event::Closed { socket, .. } => match self.guests.get(&socket).map(|g| &g.stage) {
                Some(Stage::Lingering | Stage::Cancelling) => self.remove(socket),
                Some(_) => {
                    self.count(socket, CloseReason::ClientLeft);
                    self.remove(socket);
                }
                None => self.peer_closed(socket),
            },
            Event::Sent { socket } => self.hand_over(socket),
            Event::Detached { socket, detached } => self.deliver(socket, detached),
            Event::Connected { socket } => self.errand_connected(socket),
            Event::Woken => {}
        }
    }

    fn heard_from_peer(&mut self, socket: Token, data: Buffer) {
        if self.errands.has(socket) {
            self.errand_received(socket, data);
        } else {
            self.visitor_received(socket, data);
        }
    }

    fn peer_closed(&mut self, socket: Token) {
        if self.errands.has(socket) {
            self.errand_failed(socket, "it closed the connection");
        } else {
            self.end_visit(socket);
        }
    }

    fn accepted(&mut self, listener: Token, socket: Token, peer: SocketAddr) {
        let Some(listener) = self.listeners.get(&listener).cloned() else {
            return self.driver.close(socket);
        };
        self.stats_of(&listener.name).received.add(1);
        self.make_room();
        let mut wire = Wire::new(socket);
        wire.arm(&mut self.driver, true);
        let now = self.driver.now();
        let limits = self.snapshot.as_ref().map(|s| &s.limits);
        let too_fast = limits.is_some_and(|limits| self.gate.is_too_fast(limits, now));
        let id = self.shared.ids.give(self.shared.badge);
        let guest = Guest::new(wire, E::login(), (listener, peer), id, now, too_fast);
        self.guests.insert(socket, guest);
        self.shared.guests.change(1);
        // Where the server speaks first, so does its proxy.
        self.advance(socket);
    }

    /// What guests waited for may be known now.
    fn advance_all(&mut self) {
        let guests: Vec<Token> = self.guests.keys().copied().collect();
        for guest in guests {
            self.advance(guest);
        }
    }

    pub(super) fn stats_of(&mut self, name: &Arc<str>) -> Arc<EndpointStats> {
        let shared = &self.shared;
        self.stats
            .entry(name.clone())
            .or_insert_with(|| shared.stats.endpoint(name))
            .clone()
    }

    fn tick(&mut self) {
        let now = self.driver.now();
        if self.closing_at.is_none() && now < self.looked_at.after(LOOK) {
            return;
        }
        self.looked_at = now;
        self.shared.notices.ripen(now);
        if let Some(snapshot) = &self.snapshot {
            self.gate.tidy(&snapshot.limits, now);
        }
        if self.closing_at.is_some_and(|at| at <= now) {
            self.closing_at = None;
            for (token, _) in std::mem::take(&mut self.listeners) {
                self.driver.close(token);
            }
        }
        let late: Vec<Token> = self
            .guests
            .iter()
            .filter(|(_, guest)| guest.due() <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            self.time_out(token);
        }
        self.time_out_errands(now);
        self.time_out_visitors(now);
    }
}
