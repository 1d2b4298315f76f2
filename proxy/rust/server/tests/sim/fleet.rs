//! A whole proxy between model databases and scripted clients, in one thread under a seed.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use dbproxy_driver::sim::{Act, HostId, Network, Random, Seen, SimDriver};
use dbproxy_driver::{Driver, Duration};
use dbproxy_server::{Field, Front, Notice, Notices, Worker};

use crate::clients::{Clients, NAMES, USERS};
use crate::database::Database;
use crate::desired::{budget_of, database_at, ip, Desired, Proxy, READ_PORT, WRITE_PORT};
use crate::drains::Drains;
use crate::faults::Faults;
use crate::model::Model;
use crate::order::Order;
use crate::plan::Plan;
use crate::room::Room;
use crate::summary::Summary;
use crate::witness::{Class, Waits, Witness};

/// Bytes of memory that one leg's queue may take: when it takes more than the high-water mark, its
/// peer is not read for, and what was read before is at most one request's beginning and one read.
pub const QUEUE_LIMIT: usize = (64 + 16 + 256 + 16) * 1024;

pub struct Fleet<M: Model> {
    pub network: Network,
    pub shared: Arc<Proxy<M>>,
    pub witness: Rc<RefCell<Witness>>,
    pub databases: Vec<(HostId, Database<M::Peer>)>,
    pub workers: Vec<(HostId, Worker<M, SimDriver>)>,
    pub front: (HostId, Front<M, SimDriver>),
    pub clients: (HostId, Clients<M::Speaker>),
    pub desired: Desired<M>,
    pub plan: Plan,
    faults: (HostId, Faults),
    order: Order<M::Overheard>,
    room: Room,
    drains: Drains,
}

/// How it didn't.
pub struct Failure {
    pub violations: Vec<String>,
    pub trace: Vec<String>,
}

fn databases<M: Model>(
    network: &Network,
    plan: &Plan,
    witness: &Rc<RefCell<Witness>>,
    random: &mut Random,
) -> Vec<(HostId, Database<M::Peer>)> {
    let made = (0..plan.databases).map(|index| {
        let address = database_at(index);
        let (host, driver) = network.host(&format!("db{index}"), address.ip());
        let budget = budget_of(plan.budget, plan.unequal, index) as usize;
        let most = budget + random.index(2) - usize::from(budget > 2);
        let random = random.fork();
        let mut database = Database::new(index, driver, witness.clone(), random, most);
        database.read_only = index > 0;
        database.refuses = (plan.refuses == Some(index)).then_some(USERS[1]);
        (host, database)
    });
    made.collect()
}

fn clients<M: Model>(
    network: &Network,
    plan: &Plan,
    witness: &Rc<RefCell<Witness>>,
    random: &mut Random,
) -> (HostId, Clients<M::Speaker>) {
    let (client_host, driver) = network.host("clients", ip(40));
    let client_random = random.fork();
    let mut clients = Clients::new(driver, network.clone(), witness.clone(), client_random);
    for _ in 0..plan.clients {
        let writes = !random.one_in(if plan.databases > 2 { 2 } else { 5 });
        let port = if writes { WRITE_PORT } else { READ_PORT };
        let database = NAMES[usize::from(random.one_in(4))];
        let user = USERS[usize::from(random.one_in(4))];
        let class = Class {
            user,
            database,
            writes,
        };
        clients.add(SocketAddr::new(ip(1), port), class, random.between(5, 30));
    }
    (client_host, clients)
}

impl<M: Model> Fleet<M> {
    pub fn new(seed: u64, traced: bool) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let mut plan = Plan::draw(&mut random);
        if !M::KEYED_BY_DATABASE {
            plan.caps.of_database = None;
        }
        let network = Network::new(seed);
        if traced {
            network.start_trace();
        }
        Self::with_plan(network, plan, random)
    }

    /// One of that size and those ways.
    pub fn with_plan(network: Network, plan: Plan, mut random: Random) -> Self {
        let witness = Rc::new(RefCell::new(Witness {
            initialised: plan.init_query,
            ledgers: vec![Default::default(); plan.databases],
            ..Witness::default()
        }));
        let databases = databases::<M>(&network, &plan, &witness, &mut random);
        let (front_host, front_driver) = network.host("front", ip(1));
        let seats = (0..plan.workers).map(|n| network.host(&format!("worker{n}"), ip(1)));
        let seats: Vec<_> = seats.collect();
        seats.iter().for_each(|(host, _)| network.watch(*host));
        let wakers = seats.iter().map(|(_, driver)| driver.waker()).collect();
        let notices = Notices::new(Arc::new(|| ()));
        let shared = Arc::new(Proxy::<M>::new(front_driver.waker(), wakers, notices));
        let mut bytes = || -> dbproxy_server::Random {
            let mut random = random.fork();
            Box::new(move |buffer| random.fill(buffer))
        };
        let front = Front::new(front_driver, shared.clone(), ip(1), bytes());
        let workers = seats
            .into_iter()
            .enumerate()
            .map(|(index, (host, driver))| {
                (host, Worker::new(index, driver, shared.clone(), bytes()))
            });
        let workers = workers.collect();
        let clients = clients::<M>(&network, &plan, &witness, &mut random);
        let (fault_host, driver) = network.host("faults", ip(50));
        let keeps = if plan.keeps_idle { 3600 } else { 10 };
        let mut desired = Desired {
            budget: plan.budget,
            unequal: plan.unequal,
            init_query: plan.init_query.then_some(M::INIT_QUERY),
            min_idle: plan.min_idle,
            ..Desired::new(&shared).with_databases(&shared, plan.databases)
        };
        desired.limits.idle_backend_timeout = Duration::from_secs(keeps);
        desired.limits.idle_in_transaction_timeout = plan.idle_in_transaction;
        desired.limits.client_lifetime = plan.lifetime;
        desired.limits.backend_lifetime = plan.lifetime;
        desired.limits.caps = plan.caps;
        witness.borrow_mut().budgets = desired.budgets();
        witness.borrow_mut().caps = plan.caps;
        let order = Order::new(witness.clone());
        Self {
            network,
            shared,
            witness,
            databases,
            workers,
            front: (front_host, front),
            clients,
            desired,
            plan,
            faults: (fault_host, Faults::new(driver, random)),
            order,
            room: Room::default(),
            drains: Drains::default(),
        }
    }

    /// Hands the desired state of now to the proxy.
    pub fn apply(&mut self) {
        let now = self.network.now();
        let mut witness = self.witness.borrow_mut();
        self.drains.applied(&self.desired, &mut witness, now);
        drop(witness);
        self.desired.apply(&self.shared);
    }

    /// One host's turn; false when nothing will ever happen again.
    fn step(&mut self) -> bool {
        let Some(turn) = self.network.next_turn() else {
            return false;
        };
        self.turn(turn);
        true
    }

    /// The turn of one of the fleet's hosts.
    pub fn turn(&mut self, turn: HostId) {
        if turn == self.front.0 {
            self.front.1.turn();
        } else if turn == self.clients.0 {
            self.clients.1.turn();
        } else if turn == self.faults.0 {
            let mut faults = std::mem::replace(&mut self.faults.1, Faults::gone());
            faults.turn(self);
            self.faults.1 = faults;
        } else if let Some(worker) = self.workers.iter_mut().find(|w| w.0 == turn) {
            worker.1.turn();
            let queued = self.network.longest_queue(turn);
            if queued > QUEUE_LIMIT {
                let text = format!("{queued} bytes wait on one leg");
                self.witness.borrow_mut().violation(text);
            }
        } else if let Some(database) = self.databases.iter_mut().find(|d| d.0 == turn) {
            database.1.turn();
        }
        let now = self.network.now();
        for seen in self.network.take_seen() {
            self.count_ghosts(&seen);
            self.order.see(&seen, now);
        }
        self.order.turned();
        self.look_for_room();
        self.hear_notices();
    }

    /// What the proxy reset, its database still counts until it hears of that.
    fn count_ghosts(&mut self, seen: &Seen) {
        if seen.dialed && seen.act == Act::Aborted {
            let links = self.network.links();
            let link = links.iter().find(|link| link.id == seen.link);
            let databases = self.databases.iter();
            let hosts = databases
                .map(|d| d.0)
                .position(|host| link.is_some_and(|l| l.to == host));
            if let Some(at) = hosts {
                *self.witness.borrow_mut().ghosts.entry(at).or_default() += 1;
            }
        }
    }

    fn look_for_room(&mut self) {
        if !self.room.is_due(self.network.now()) {
            return;
        }
        let mut room = std::mem::take(&mut self.room);
        let requests = self.order.waiting();
        let waiting: Vec<Waits> = requests.chain(self.clients.1.logging_in()).collect();
        room.look(self, &waiting, &self.order.busy());
        self.room = room;
    }

    /// How many sessions a database lets the proxy have: it may be full sooner than it should.
    pub fn places(&self, database: usize) -> u64 {
        let most = self.databases[database].1.max_sessions;
        most.min(self.desired.budget_of(database) as usize) as u64
    }

    /// Whether a database lets a user in.
    pub fn refuses(&self, database: usize, user: &str) -> bool {
        self.databases[database].1.refuses == Some(user)
    }

    fn hear_notices(&mut self) {
        for notice in self.shared.notices.take() {
            self.network.note(|| format!("notice {notice:?}"));
            if notice.event == "writer_drained" {
                self.drained(&notice);
            }
        }
    }

    /// From here on no byte of a writing client may reach the former writer.
    fn drained(&mut self, notice: &Notice) {
        let field = |name: &str| notice.fields.iter().find(|f| f.0 == name).map(|f| &f.1);
        let (Some(Field::Number(epoch)), Some(Field::Text(from))) =
            (field("epoch"), field("target"))
        else {
            return;
        };
        let from = from.strip_prefix("db").and_then(|n| n.parse().ok());
        let mut witness = self.witness.borrow_mut();
        let now = self.network.now();
        self.drains.told(*epoch, from, &mut witness, now);
    }

    fn failed(&self) -> bool {
        !self.witness.borrow().violations.is_empty()
    }

    /// Starts the databases and hands over the desired state.
    pub fn open(&mut self) {
        self.databases.iter_mut().for_each(|d| d.1.start());
        self.apply();
    }

    /// Runs until something is so; false if it wasn't within the time, or if something went wrong.
    pub fn run_until(
        &mut self,
        limit: Duration,
        turns: &mut u64,
        done: impl Fn(&Self) -> bool,
    ) -> bool {
        let end = self.network.now().after(limit);
        while !done(self) {
            *turns += 1;
            if self.failed() || self.network.now() > end || !self.step() {
                return false;
            }
        }
        true
    }

    /// Runs scripts and faults to their end; then everything must have come to rest.
    pub fn run(mut self) -> Result<Summary, Failure> {
        let mut turns = 0;
        self.open();
        let finished = self.run_until(Duration::from_secs(600), &mut turns, |fleet| {
            fleet.clients.1.finished()
        });
        if !finished && !self.failed() {
            let waiting = self.clients.1.waiting();
            let text = format!("not at rest: {waiting:#?}");
            self.witness.borrow_mut().violation(text);
        }
        // What is opened ahead would never come to rest.
        self.desired.min_idle = 0;
        self.apply();
        // Longer than any deadline of the proxy's own.
        let start = self.network.now();
        self.run_until(Duration::from_secs(90), &mut turns, |fleet| {
            fleet.network.now().since(start) > Duration::from_secs(50)
        });
        if !self.failed() {
            self.check_rest();
        }
        let trace = self.network.trace(400);
        let witness = self.witness.borrow();
        if witness.violations.is_empty() {
            Ok(Summary {
                answered: witness.answered,
                acknowledged: witness.acknowledged,
                unknown: witness.unknown,
                aborted: witness.aborted,
                refused: witness.refused,
                pinned_lost: witness.pinned_lost,
                cancelled: witness.cancelled,
                idled: witness.idled,
                unpinned: witness.unpinned,
                heard: witness.heard,
                outlived: witness.outlived,
                drained: witness.drained,
                moved: witness.moved,
                queued: witness.queued,
                capped: witness.capped,
                turns,
            })
        } else {
            Err(Failure {
                violations: witness.violations.clone(),
                trace,
            })
        }
    }

    /// Nothing is borrowed, nothing is lost.
    fn check_rest(&mut self) {
        let mut witness = self.witness.borrow_mut();
        let owed = self.drains.owed();
        if !owed.is_empty() {
            witness.violation(format!("never drained: {owed:?}"));
        }
        let clients = self.shared.clients();
        if clients != 0 {
            witness.violation(format!("{clients} clients counted, all are gone"));
        }
        for (name, sum) in self.shared.stats.targets() {
            if sum.borrowed != 0 {
                witness.violation(format!("{name}: {} still borrowed", sum.borrowed));
            }
        }
        for (_, database) in &self.databases {
            let (id, signs) = self.shared.target_id(&format!("db{}", database.index));
            let used = self.shared.usage(id).0 as usize;
            let open = database.sessions();
            if open > self.desired.budget_of(database.index) as usize {
                witness.violation(format!("db{}: {open} sessions at rest", database.index));
            }
            if used != open {
                let text = format!("db{}: {used} permits, {open} sessions", database.index);
                witness.violation(text);
            }
            let load = signs.load();
            if load != 0 {
                witness.violation(format!("db{}: load {load}", database.index));
            }
        }
    }
}
