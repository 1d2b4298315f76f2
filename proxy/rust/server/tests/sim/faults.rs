//! What goes wrong in a run: resets, crashes, stalls, silence, a writer that moves.

use dbproxy_driver::sim::{Random, SimDriver};
use dbproxy_driver::{Driver, Duration, Time};

use crate::desired::{database_at, nowhere, other_door};
use crate::fleet::Fleet;
use crate::model::Model;

/// How long faults go on.
const TROUBLE: Duration = Duration::from_secs(6);

/// How long a writer is held, where that is all that goes wrong.
const HELD: Duration = Duration::from_secs(10);

/// How long after the last fault a request may still be refused: a borrow timeout, and some.
const AFTERMATH: Duration = Duration::from_secs(35);

/// The longest that a server is silent after it lost its clients, in milliseconds.
const SILENCE: u64 = 30_000;

enum Later {
    Start(usize),
    Unmute(usize),
    OpenWriter(u64),
    Calm,
}

pub struct Faults {
    driver: Option<SimDriver>,
    random: Random,
    later: Vec<(Time, Later)>,
    next_at: Time,
    ends_at: Time,
    over: bool,
}

impl Faults {
    pub fn new(driver: SimDriver, random: Random) -> Self {
        let now = driver.now();
        Self {
            driver: Some(driver),
            random,
            later: Vec::new(),
            next_at: now.after(Duration::from_millis(50)),
            ends_at: now.after(TROUBLE),
            over: false,
        }
    }

    /// In the place of one that is having its turn.
    pub fn gone() -> Self {
        Self {
            driver: None,
            random: Random::new(0),
            later: Vec::new(),
            next_at: Time(u64::MAX),
            ends_at: Time(u64::MAX),
            over: true,
        }
    }

    pub fn turn<M: Model>(&mut self, fleet: &mut Fleet<M>) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        let later = self.later.iter().map(|(at, _)| *at).min();
        let next = if self.over { None } else { Some(self.next_at) };
        let deadline = later.into_iter().chain(next).min();
        driver.wait(deadline, &mut Vec::new());
        let now = driver.now();
        for (at, what) in std::mem::take(&mut self.later) {
            if at <= now {
                self.carry_out(what, fleet);
            } else {
                self.later.push((at, what));
            }
        }
        if self.over || now < self.next_at {
            return;
        }
        let pause = Duration::from_micros(self.random.between(1_000, 900_000));
        self.next_at = now.after(pause);
        if now >= self.ends_at {
            self.over = true;
            fleet.clients.1.calm = true;
            fleet.desired.reader_available = true;
            fleet.apply();
            self.later.push((now.after(AFTERMATH), Later::Calm));
            if fleet.plan.drains {
                fleet.network.note(|| "drain".into());
                fleet.clients.1.draining = true;
                fleet.shared.drain();
            }
        } else if fleet.plan.holds_writer {
            self.hold_writer(now, fleet);
        } else if !fleet.plan.calm {
            self.strike(now, fleet);
        }
    }

    fn carry_out<M: Model>(&mut self, what: Later, fleet: &mut Fleet<M>) {
        fleet.witness.borrow_mut().trouble(fleet.network.now());
        match what {
            Later::Start(at) => {
                fleet.network.note(|| format!("db{at} starts"));
                fleet.databases[at].1.start();
            }
            Later::Unmute(at) => fleet.network.mute(fleet.databases[at].0, false),
            Later::OpenWriter(epoch) if fleet.desired.writer.epoch >= epoch => {
                fleet.network.note(|| format!("epoch {epoch} opens"));
                fleet.desired.writer.open = true;
                fleet.apply();
            }
            Later::OpenWriter(_) => {}
            Later::Calm => fleet.witness.borrow_mut().calm = true,
        }
    }

    fn soon<M: Model>(&mut self, now: Time, most: u64, what: Later, fleet: &Fleet<M>) {
        let delay = Duration::from_millis(self.random.between(1, most));
        let at = now.after(delay);
        fleet.witness.borrow_mut().trouble(at);
        self.later.push((at, what));
    }

    /// The writer stays who it is, but nobody may use it for a long time.
    fn hold_writer<M: Model>(&mut self, now: Time, fleet: &mut Fleet<M>) {
        fleet.network.note(|| "the writer is held".into());
        fleet.desired.writer.open = false;
        fleet.apply();
        let epoch = fleet.desired.writer.epoch;
        self.later.push((now.after(HELD), Later::OpenWriter(epoch)));
        self.ends_at = now;
    }

    fn strike<M: Model>(&mut self, now: Time, fleet: &mut Fleet<M>) {
        fleet.witness.borrow_mut().trouble(now);
        let database = self.random.index(fleet.databases.len());
        let host = fleet.databases[database].0;
        match self.random.below(23) {
            0..=4 => self.reset(fleet, true),
            5 | 6 => self.reset(fleet, false),
            7 | 8 => {
                fleet.network.note(|| format!("db{database} crashes"));
                fleet.databases[database].1.crash();
                self.soon(now, 1500, Later::Start(database), fleet);
            }
            9 => {
                fleet
                    .network
                    .note(|| format!("db{database} ends all sessions"));
                fleet.databases[database].1.shut_down_sessions();
            }
            10..=12 => {
                let worker = self.random.index(fleet.workers.len());
                let stall = Duration::from_millis(self.random.between(1, 400));
                fleet.witness.borrow_mut().trouble(now.after(stall));
                fleet.network.stall(fleet.workers[worker].0, stall);
            }
            13 => {
                let stall = Duration::from_millis(self.random.between(1, 400));
                fleet.witness.borrow_mut().trouble(now.after(stall));
                fleet.network.stall(fleet.front.0, stall);
            }
            14 | 15 => {
                fleet.network.mute(host, true);
                self.soon(now, 800, Later::Unmute(database), fleet);
            }
            16 => {
                fleet.desired.reader_available = self.random.one_in(2);
                fleet.apply();
            }
            17..=19 => self.move_writer(now, fleet),
            20 => self.move_address(database, now, fleet),
            _ => {
                fleet.desired.budget = self.random.between(1, 6) as u32;
                let budgets = fleet.desired.budgets();
                fleet.network.note(|| format!("budgets {budgets:?}"));
                fleet.witness.borrow_mut().allow(budgets, now);
                fleet.apply();
            }
        }
    }

    fn reset<M: Model>(&mut self, fleet: &mut Fleet<M>, backend: bool) {
        let databases: Vec<_> = fleet.databases.iter().map(|d| d.0).collect();
        let mut links = fleet.network.links();
        links.retain(|link| databases.contains(&link.to) == backend);
        let Some(link) = self.random.pick(&links) else {
            return;
        };
        if let Some(at) = databases.iter().position(|host| *host == link.to) {
            *fleet.witness.borrow_mut().ghosts.entry(at).or_default() += 1;
        }
        fleet.network.note(|| format!("reset #{}", link.id));
        fleet.network.reset(link.id);
    }

    /// A server that loses its clients may be one that nobody hears from.
    fn perhaps_silence<M: Model>(&mut self, database: usize, now: Time, fleet: &Fleet<M>) {
        if self.random.one_in(4) {
            fleet.network.mute(fleet.databases[database].0, true);
            self.soon(now, SILENCE, Later::Unmute(database), fleet);
        }
    }

    /// A target is found elsewhere from now on, perhaps behind an address that doesn't answer.
    fn move_address<M: Model>(&mut self, database: usize, now: Time, fleet: &mut Fleet<M>) {
        let mut addresses = vec![database_at(database), other_door(database)];
        self.random.shuffle(&mut addresses);
        addresses.truncate(self.random.between(1, 2) as usize);
        if self.random.one_in(3) {
            addresses.insert(0, nowhere());
        }
        fleet
            .network
            .note(|| format!("db{database} is at {addresses:?}"));
        fleet.desired.addresses[database] = addresses;
        let writes = usize::from(fleet.desired.writer.target.0) == database;
        fleet.desired.writer.epoch += u64::from(writes && self.random.one_in(2));
        self.perhaps_silence(database, now, fleet);
        fleet.apply();
    }

    fn move_writer<M: Model>(&mut self, now: Time, fleet: &mut Fleet<M>) {
        let old = usize::from(fleet.desired.writer.target.0);
        let refusing = fleet.plan.refuses;
        let others = (0..fleet.databases.len()).filter(|at| *at != old && Some(*at) != refusing);
        let others: Vec<usize> = others.collect();
        let Some(new) = self.random.pick(&others).copied() else {
            return;
        };
        fleet.desired.writer.target = fleet.shared.target_id(&format!("db{new}")).0;
        fleet.desired.writer.epoch += 1;
        fleet.desired.writer.open = self.random.one_in(3);
        let epoch = fleet.desired.writer.epoch;
        fleet
            .network
            .note(|| format!("epoch {epoch}: db{new} becomes the writer"));
        self.perhaps_silence(old, now, fleet);
        fleet.databases[old].1.read_only = self.random.one_in(2);
        fleet.databases[new].1.read_only = false;
        fleet.apply();
        if !fleet.desired.writer.open {
            self.soon(now, 600, Later::OpenWriter(epoch), fleet);
        }
    }
}
