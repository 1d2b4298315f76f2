//! A worker: one thread's clients and backends, and everything that happens between them.
//!
//! `clients`, `opening` (with `failing`) and `backends` deal with the two kinds of legs, `cancels`
//! with CancelRequests, `kills` with KILL. `places` is a backend's life: where it may stand, and what goes with that.
//! `returning` sends clients back that log in again. `relay` carries out what the session machines say, `begun` waits for the ends of requests. `pool` (check-out), `checkin` and `trade`
//! (other workers) decide who gets which backend. `ears` has the backends that listen for clients,
//! `attending` asks them, and `hearing` tells those clients. `change` follows new snapshots, losses and
//! the drain, `sweep` looks after deadlines, `lifetimes` after what is old.

mod attending;
mod backends;
mod barred;
mod begun;
mod cancels;
mod change;
mod checkin;
mod clients;
mod ears;
mod ends;
mod failing;
mod hearing;
mod kills;
mod lanes;
mod lifetimes;
mod opening;
mod pause;
mod places;
mod pool;
mod relay;
mod returning;
mod state;
mod stock;
mod sweep;
mod trade;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use dbproxy_driver::{Driver, Event, Time, Token};
use dbproxy_engine::{DerivedKeys, Engine, Session, Steps};

use crate::limits::Allowance;
use crate::shared::{Letter, Shared};
use crate::slab::{Key, Slab};
use crate::snapshot::{Snapshot, TargetId};
use crate::stats::{EndpointStats, TargetStats};
use crate::Random;
use lanes::Lanes;
use pause::Pauses;
use state::{Backend, Cancel, Client, Owner, Timers, Todo};

/// One worker's state.
pub struct Worker<E: Engine, D: Driver> {
    index: usize,
    driver: D,
    shared: Arc<Shared<E, D>>,
    snapshot: Option<Arc<Snapshot<E::Credential>>>,
    clients: Slab<Client<E>>,
    /// By their numbers.
    ears: BTreeMap<u64, ears::Ear>,
    /// The last question to an ear.
    serial: u64,
    backends: Slab<Backend<E>>,
    cancels: Slab<Cancel<E>>,
    owners: Vec<Option<(u32, Owner)>>,
    lanes: Lanes,
    timers: Timers,
    todo: VecDeque<Todo>,
    steps: Steps,
    /// What its clients said lately.
    memory: <E::Session as Session>::Memory,
    events: Vec<Event<D::Socket>>,
    endpoint_stats: HashMap<Arc<str>, Arc<EndpointStats>>,
    target_stats: HashMap<Arc<str>, Arc<TargetStats>>,
    /// Targets that can't be reached or take nobody in for now. (Those that refuse one pool key
    /// are its lane's.)
    pauses: Pauses,
    /// Per target: the budget has no room before this time, unless a letter says otherwise.
    exhausted_until: BTreeMap<TargetId, Time>,
    /// Where it shows waiters that are barred.
    asking: barred::Asking,
    /// Per user: which password the database accepted last.
    good_password: HashMap<Arc<str>, usize>,
    /// Keys derived from passwords for log-ins before.
    keys: DerivedKeys,
    /// Log-ins that have more to compute: each turn does a piece of one.
    working: VecDeque<Key>,
    logins_in_flight: u32,
    /// Clients and backends that may be ended for their age before the next sweep.
    farewells: Allowance,
    retirements: Allowance,
    swept_at: Time,
    sought_at: Time,
    /// For each role, when other workers were asked last.
    pleaded_at: [Time; 2],
    random: Random,
    draining: bool,
}

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Worker number `index`.
    pub fn new(index: usize, driver: D, shared: Arc<Shared<E, D>>, random: Random) -> Self {
        Self {
            index,
            driver,
            shared,
            snapshot: None,
            clients: Slab::default(),
            ears: BTreeMap::new(),
            serial: 0,
            backends: Slab::default(),
            cancels: Slab::default(),
            owners: Vec::new(),
            lanes: Lanes::default(),
            timers: Timers::default(),
            todo: VecDeque::new(),
            steps: Steps::new(),
            memory: Default::default(),
            events: Vec::new(),
            endpoint_stats: HashMap::new(),
            target_stats: HashMap::new(),
            pauses: Pauses::default(),
            exhausted_until: BTreeMap::new(),
            asking: Default::default(),
            good_password: HashMap::new(),
            keys: DerivedKeys::default(),
            working: VecDeque::new(),
            logins_in_flight: 0,
            farewells: Allowance::default(),
            retirements: Allowance::default(),
            swept_at: Time::default(),
            sought_at: Time::default(),
            pleaded_at: Default::default(),
            random,
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
        let deadline = self.next_deadline();
        let mut events = std::mem::take(&mut self.events);
        self.driver.wait(Some(deadline), &mut events);
        let now = self.driver.now();
        if let Some(signs) = self.shared.signs.get(self.index) {
            signs.turned_at.store(now.0, Ordering::Relaxed);
        }
        for event in events.drain(..) {
            if matches!(event, Event::Woken) {
                self.open_mail();
            } else {
                self.event(event);
            }
            self.work_off();
        }
        self.events = events;
        if let Some(backend) = self.working.pop_front() {
            self.go_on_opening(backend);
        }
        self.sweep(now);
        self.work_off();
    }

    fn work_off(&mut self) {
        while let Some(todo) = self.todo.pop_front() {
            match todo {
                Todo::Offer(backend) => self.offer(backend),
                Todo::Pump(client) => self.pump_client(client),
                Todo::Seek(lane, role) => self.seek(lane, role),
            }
        }
    }

    fn open_mail(&mut self) {
        let Some(mailbox) = self.shared.workers.get(self.index) else {
            return;
        };
        for letter in mailbox.collect() {
            match letter {
                Letter::Arrival(arrival) => self.arrived(*arrival),
                Letter::Snapshot(snapshot) => self.take_over(snapshot),
                Letter::Cancel(asked) => self.cancel(asked),
                Letter::Killed(client, until, outcome) => self.killed(client, until, outcome),
                Letter::PermitFree(target, shares) => self.permit_free(target, &shares),
                Letter::Plea(plea) => self.answer_plea(&plea),
                Letter::Loan(loan) => self.take_loan(*loan),
                Letter::Ear(letter) => self.ear_letter(letter),
                Letter::Drain => self.drain(),
            }
            self.work_off();
        }
    }

    fn event(&mut self, event: Event<D::Socket>) {
        match event {
            Event::Received { socket, data } => match self.owner(socket) {
                Some(Owner::Client(key)) => self.client_received(key, data),
                Some(Owner::Backend(key)) => self.backend_received(key, data),
                Some(Owner::Cancel(key)) => self.cancel_received(key, data),
                None => self.driver.recycle(data),
            },
            Event::Sent { socket } => match self.owner(socket) {
                Some(Owner::Client(key)) => self.client_drained(key),
                Some(Owner::Backend(key)) => self.backend_drained(key),
                Some(Owner::Cancel(_)) | None => {}
            },
            Event::Closed { socket, error } => match self.owner(socket) {
                Some(Owner::Client(key)) => self.client_closed(key, error),
                Some(Owner::Backend(key)) => self.backend_closed(key, error),
                Some(Owner::Cancel(key)) => self.cancel_closed(key, error),
                None => {}
            },
            Event::Connected { socket } => match self.owner(socket) {
                Some(Owner::Backend(key)) => self.backend_connected(key),
                Some(Owner::Cancel(key)) => self.cancel_connected(key),
                Some(Owner::Client(_)) | None => {}
            },
            Event::Detached { socket, detached } => {
                let owner = self.owner(socket);
                self.disown(socket);
                match owner {
                    Some(Owner::Backend(key)) => self.send_loan(key, detached),
                    Some(Owner::Client(key)) => self.send_back(key, detached),
                    Some(Owner::Cancel(_)) | None => {}
                }
            }
            Event::Accepted { socket, .. } => self.driver.close(socket),
            Event::Woken => {}
        }
    }

    fn owner(&self, token: Token) -> Option<Owner> {
        let (generation, owner) = (*self.owners.get(token.index as usize)?)?;
        (generation == token.generation).then_some(owner)
    }

    fn own(&mut self, token: Token, owner: Owner) {
        let at = token.index as usize;
        if self.owners.len() <= at {
            self.owners.resize(at + 1, None);
        }
        if let Some(entry) = self.owners.get_mut(at) {
            *entry = Some((token.generation, owner));
        }
    }

    fn disown(&mut self, token: Token) {
        if self.owner(token).is_some() {
            if let Some(entry) = self.owners.get_mut(token.index as usize) {
                *entry = None;
            }
        }
    }

    fn endpoint_stats(&mut self, name: &Arc<str>) -> Arc<EndpointStats> {
        let shared = &self.shared;
        self.endpoint_stats
            .entry(name.clone())
            .or_insert_with(|| shared.stats.endpoint(name))
            .clone()
    }

    fn target_stats(&mut self, name: &Arc<str>) -> Arc<TargetStats> {
        let shared = &self.shared;
        self.target_stats
            .entry(name.clone())
            .or_insert_with(|| shared.stats.target(name))
            .clone()
    }
}
