//! The stage of a scene: a whole proxy between model databases, and clients moved by hand.
//!
//! Databases 0 and 1 are the targets `db0` and `db1`; the others are servers that an address may
//! move to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use dbproxy_driver::sim::{HostId, Network, Random, SimDriver};
use dbproxy_driver::{Buffer, Driver, Duration, Event, Token};
use dbproxy_postgres::Postgres;
use dbproxy_server::{Front, Notice, Notices, Worker};

use super::abroad::Pod;
use super::person::Person;
use crate::clients::USERS;
use crate::desired::{database_at, ip, WRITE_PORT};
use crate::fleet::QUEUE_LIMIT;
use crate::postgres::wire;
use crate::postgres::{Database, Desired, Proxy};
use crate::witness::{Class, Witness};

/// Who clients are, unless told otherwise.
const USER: &str = USERS[0];
/// How many model databases there are.
const DATABASES: usize = 4;

/// The longest that a scene waits for something.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a client that floods says in one go at most, and how long it waits for room.
const PIECE: usize = 64 * 1024;
const STUCK: Duration = Duration::from_secs(2);

pub struct Stage {
    pub network: Network,
    pub shared: Arc<Proxy>,
    pub desired: Desired,
    pub witness: Rc<RefCell<Witness>>,
    pub databases: Vec<(HostId, Database)>,
    pub workers: Vec<(HostId, Worker<Postgres, SimDriver>)>,
    pub notices: Vec<Notice>,
    pub front: (HostId, Front<Postgres, SimDriver>),
    /// Another pod of the fleet.
    pub other: Option<Pod>,
    driver: SimDriver,
    clients: HostId,
    people: BTreeMap<Token, Person>,
}

impl Stage {
    /// With one worker, as the first seed has it.
    pub fn new() -> Self {
        Self::with(1, 1)
    }

    pub fn with(seed: u64, workers: usize) -> Self {
        let network = Network::new(seed);
        let mut random = Random::new(seed);
        let witness = Rc::new(RefCell::new(Witness {
            budgets: vec![100; DATABASES],
            ledgers: vec![Default::default(); DATABASES],
            ..Witness::default()
        }));
        let (front_host, front_driver) = network.host("front", ip(1));
        let seats: Vec<_> = (0..workers)
            .map(|n| network.host(&format!("worker{n}"), ip(1)))
            .collect();
        let wakers = seats.iter().map(|(_, driver)| driver.waker()).collect();
        let notices = Notices::new(Arc::new(|| ()));
        let shared = Proxy::new(front_driver.waker(), wakers, notices).found_at(ip(1));
        let shared = Arc::new(shared);
        let mut bytes = || -> dbproxy_server::Random {
            let mut random = random.fork();
            Box::new(move |buffer| random.fill(buffer))
        };
        let front = Front::new(front_driver, shared.clone(), ip(1), bytes());
        let workers = seats.into_iter().enumerate().map(|(index, seat)| {
            let worker = Worker::new(index, seat.1, shared.clone(), bytes());
            (seat.0, worker)
        });
        let workers = workers.collect();
        let databases = (0..DATABASES).map(|index| {
            let address = database_at(index);
            let (host, driver) = network.host(&format!("db{index}"), address.ip());
            let (witness, random) = (witness.clone(), random.fork());
            let database = Database::new(index, driver, witness, random, 100);
            (host, database)
        });
        let databases = databases.collect();
        let (clients, driver) = network.host("clients", ip(40));
        let mut stage = Self {
            desired: Desired::new(&shared),
            network,
            shared,
            witness,
            databases,
            workers,
            notices: Vec::new(),
            front: (front_host, front),
            other: None,
            driver,
            clients,
            people: BTreeMap::new(),
        };
        stage.databases.iter_mut().for_each(|d| d.1.start());
        stage.apply();
        stage.pass(Duration::from_millis(20));
        stage
    }

    /// One connection to the writer for all.
    pub fn with_one_connection() -> Self {
        let mut stage = Self::new();
        stage.desired.budget = 1;
        stage.apply();
        stage.pass(Duration::from_millis(20));
        stage
    }

    /// Hands the desired state to the proxy.
    pub fn apply(&self) {
        self.desired.apply(&self.shared);
    }

    /// The other target, or the same one under a new epoch, is the writer from here on.
    pub fn name_writer(&mut self, target: &str) {
        self.desired.writer.target = self.shared.target_id(target).0;
        self.desired.writer.epoch += 1;
        self.apply();
    }

    fn step(&mut self) {
        let Some(turn) = self.network.next_turn() else {
            panic!("nothing will ever happen again");
        };
        if turn == self.front.0 {
            self.front.1.turn();
        } else if turn == self.clients {
            self.hear();
        } else if let Some(other) = self.other.as_mut().filter(|other| other.is(turn)) {
            other.turn(turn);
        } else if let Some(worker) = self.workers.iter_mut().find(|w| w.0 == turn) {
            worker.1.turn();
            let queued = self.network.longest_queue(turn);
            assert!(queued <= QUEUE_LIMIT, "{queued} bytes wait on one leg");
        } else if let Some(database) = self.databases.iter_mut().find(|d| d.0 == turn) {
            database.1.turn();
        }
        self.notices.extend(self.shared.notices.take());
        let violations = &self.witness.borrow().violations;
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// Goes on until it is so.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.network.now().after(PATIENCE);
        while !done(self) {
            assert!(self.network.now() < end, "in vain: {what}");
            self.step();
        }
    }

    /// Goes on for a while.
    pub fn pass(&mut self, time: Duration) {
        let end = self.network.now().after(time);
        while self.network.now() < end {
            self.step();
        }
    }

    fn hear(&mut self) {
        let tick = self.driver.now().after(Duration::from_millis(10));
        let mut events = Vec::new();
        self.driver.wait(Some(tick), &mut events);
        for event in events {
            match event {
                Event::Connected { socket } => {
                    let hello = std::mem::take(&mut self.person_mut(socket).hello);
                    self.driver.arm(socket, true);
                    self.driver.send(socket, Buffer::from_vec(hello));
                }
                Event::Received { socket, data } => {
                    let answer = self.person_mut(socket).hear(data.as_slice());
                    self.driver.recycle(data);
                    if let Some(answer) = answer {
                        self.send(socket, answer);
                    }
                }
                Event::Closed { socket, .. } => self.person_mut(socket).closed = true,
                _ => {}
            }
        }
    }

    fn connect(&mut self, port: u16, database: &'static str, hello: Vec<u8>) -> Token {
        self.connect_to(SocketAddr::new(ip(1), port), database, hello)
    }

    pub fn connect_to(
        &mut self,
        address: SocketAddr,
        database: &'static str,
        hello: Vec<u8>,
    ) -> Token {
        let socket = self.driver.connect(address);
        let number = self.people.len() as u64 + 1;
        let class = Class {
            user: USER,
            database,
            writes: address.port() == WRITE_PORT,
        };
        self.witness.borrow_mut().classes.insert(number, class);
        self.people.insert(socket, Person::new(number, USER, hello));
        socket
    }

    /// A client that says nothing yet.
    pub fn call(&mut self, port: u16) -> Token {
        self.connect(port, "shop", Vec::new())
    }

    /// A client begins to log in to a database.
    pub fn dial(&mut self, port: u16, database: &'static str) -> Token {
        self.connect(port, database, wire::startup(USER, database))
    }

    /// Another user's client logs in to a database.
    pub fn join_as(&mut self, user: &'static str, port: u16, database: &'static str) -> Token {
        let socket = self.connect(port, database, wire::startup(user, database));
        let number = self.people.len() as u64;
        self.people.insert(
            socket,
            Person::new(number, user, wire::startup(user, database)),
        );
        self.until("the log-in", |stage| stage.person(socket).ready == 1);
        socket
    }

    /// A client logs in to `shop`.
    pub fn join(&mut self, port: u16) -> Token {
        let socket = self.dial(port, "shop");
        self.until("the log-in", |stage| stage.person(socket).ready == 1);
        socket
    }

    /// A client whose write the first database, mute from now on, does not answer.
    pub fn join_and_write_in_vain(&mut self) -> Token {
        let client = self.join(WRITE_PORT);
        self.mute(0, true);
        self.ask(client, "INSERT INTO orders VALUES (?)");
        self.pass(Duration::from_millis(50));
        client
    }

    pub fn person(&self, socket: Token) -> &Person {
        &self.people[&socket]
    }

    pub fn person_mut(&mut self, socket: Token) -> &mut Person {
        self.people.get_mut(&socket).expect("somebody")
    }

    /// A new connection asks to cancel what a client runs.
    pub fn cancel(&mut self, client: Token) -> Token {
        let (id, secret) = self.person(client).key;
        self.cancel_by(id, secret)
    }

    /// A new connection shows a cancel key.
    pub fn cancel_by(&mut self, id: u32, secret: u32) -> Token {
        self.connect(WRITE_PORT, "shop", wire::cancel(id, secret))
    }

    pub fn send(&mut self, socket: Token, bytes: Vec<u8>) {
        self.driver.send(socket, Buffer::from_vec(bytes));
    }

    /// A client takes in what comes, or nothing more.
    pub fn reads(&mut self, socket: Token, reads: bool) {
        self.driver.arm(socket, reads);
    }

    /// A client says the same again and again until the proxy takes no more for a while, or took
    /// `most` bytes; answers how many it took.
    pub fn flood(&mut self, socket: Token, request: &[u8], most: usize) -> usize {
        let piece = request.repeat(PIECE / request.len());
        let mut sent = 0;
        while sent < most && !self.person(socket).closed {
            self.send(socket, piece.clone());
            sent += piece.len();
            let end = self.network.now().after(STUCK);
            while self.driver.queued(socket) > 0 && self.network.now() <= end {
                self.step();
            }
            let left = self.driver.queued(socket);
            if left > 0 {
                return sent - left.min(sent);
            }
        }
        sent
    }

    /// A client says nothing more, and reads on.
    pub fn finish(&mut self, socket: Token) {
        self.driver.finish(socket);
    }

    /// A client goes without a word.
    pub fn leave(&mut self, socket: Token) {
        self.driver.close(socket);
    }

    /// Sends a statement, with a token of its own in the place of `?`.
    pub fn ask(&mut self, socket: Token, sql: &str) {
        let statement = self.person_mut(socket).statement(sql);
        self.send(socket, statement);
    }

    /// Asks, and waits for the end of the answer; what its error was, if it had one.
    pub fn query(&mut self, socket: Token, sql: &str) -> Option<String> {
        let (ready, errors) = (self.person(socket).ready, self.person(socket).errors.len());
        self.ask(socket, sql);
        self.until(sql, |stage| {
            let person = stage.person(socket);
            person.ready > ready || person.closed
        });
        self.person(socket).errors.get(errors).cloned()
    }

    /// The number of the database that a statement of a client ran on.
    pub fn served_by(&mut self, socket: Token) -> usize {
        let error = self.query(socket, "SELECT ?");
        assert_eq!(error, None, "a read failed");
        let session = &self.person(socket).session;
        let digits = session.strip_prefix("db").and_then(|s| s.split('-').next());
        digits.and_then(|d| d.parse().ok()).expect("a session")
    }

    /// Breaks what stands between the proxy and a database.
    pub fn reset_links_to(&self, database: usize) {
        let host = self.databases[database].0;
        for link in self.network.links().iter().filter(|link| link.to == host) {
            self.network.reset(link.id);
        }
    }

    pub fn mute(&self, database: usize, muted: bool) {
        self.network.mute(self.databases[database].0, muted);
    }
}
