//! A quiet fleet with one client that does what a test says: for what a single client can do to the
//! proxy. Time is virtual, so that every wait has a deadline and costs nothing.

use std::net::SocketAddr;

use dbproxy_driver::sim::{HostId, Network, Random, SimDriver};
use dbproxy_driver::{Buffer, Driver, Duration, Event, Token};

use crate::clients::{PASSWORD, USERS};
use crate::desired::{ip, WRITE_PORT};
use crate::fleet::Fleet;
use crate::plan::Plan;
use crate::wire;
use crate::witness::{Class, PER_CLIENT};

/// The longest that anything that a test waits for may take.
const DEADLINE: Duration = Duration::from_secs(120);

fn proxy() -> SocketAddr {
    SocketAddr::new(ip(1), WRITE_PORT)
}

/// What the client says in one go at most.
const PIECE: usize = 64 * 1024;

/// A token of the one client's.
pub const TOKEN: u64 = PER_CLIENT + 1;

pub struct Scene {
    pub fleet: Fleet,
    host: HostId,
    driver: SimDriver,
    socket: Token,
    inbox: Vec<u8>,
    /// The messages that the client read.
    pub heard: Vec<Vec<u8>>,
    /// The connection is over.
    pub closed: bool,
}

impl Scene {
    /// A client that is logged in.
    pub fn logged_in(seed: u64) -> Self {
        let mut scene = Self::connected(seed);
        scene.log_in();
        scene
    }

    /// Logs the client in.
    pub fn log_in(&mut self) {
        self.send(&wire::startup(USERS[0], "shop"));
        self.until("the welcome", |scene| scene.heard_any(b'Z'));
        self.heard.clear();
    }

    /// A client that has said nothing yet.
    pub fn connected(seed: u64) -> Self {
        let network = Network::new(seed);
        let mut fleet = Fleet::with_plan(network, Plan::empty(), Random::new(seed));
        let class = Class {
            user: USERS[0],
            database: "shop",
            writes: true,
        };
        fleet.witness.borrow_mut().classes.insert(1, class);
        fleet.open();
        let (host, mut driver) = fleet.network.host("client", ip(60));
        let begun = fleet.network.now();
        while fleet.network.now().since(begun) < Duration::from_millis(10) {
            match fleet.network.next_turn() {
                Some(turn) if turn == host => {
                    let later = driver.now().after(Duration::from_millis(1));
                    driver.wait(Some(later), &mut Vec::new());
                }
                Some(turn) => fleet.turn(turn),
                None => break,
            }
        }
        let socket = driver.connect(proxy());
        driver.arm(socket, true);
        Self {
            fleet,
            host,
            driver,
            socket,
            inbox: Vec::new(),
            heard: Vec::new(),
            closed: false,
        }
    }

    /// More connections, which say nothing.
    pub fn connect_silently(&mut self, count: usize) {
        for _ in 0..count {
            let socket = self.driver.connect(proxy());
            self.driver.arm(socket, true);
        }
    }

    /// Leaves without a word.
    pub fn leave(&mut self) {
        self.driver.close(self.socket);
    }

    /// The client comes again, on another connection.
    pub fn reconnect(&mut self) {
        self.socket = self.driver.connect(proxy());
        self.driver.arm(self.socket, true);
        self.closed = false;
        self.heard.clear();
        self.inbox.clear();
    }

    /// Connections that finish what the client left behind.
    pub fn orphaned(&self) -> u64 {
        let targets = self.fleet.shared.stats.targets();
        targets.values().map(|sum| sum.orphaned).sum()
    }

    /// How many clients were closed for that reason.
    pub fn closed_for(&self, reason: &str) -> u64 {
        let endpoints = self.fleet.shared.stats.endpoints();
        let sums = endpoints.values().filter_map(|sum| sum.closed.get(reason));
        sums.sum()
    }

    pub fn send(&mut self, bytes: &[u8]) {
        let bytes = Buffer::from_vec(bytes.to_vec());
        self.driver.send(self.socket, bytes);
    }

    /// Asks, and reads until it is ready again.
    pub fn ask(&mut self, request: &[u8]) {
        self.heard.clear();
        self.send(request);
        self.until("an answer", |scene| scene.heard_any(b'Z'));
    }

    pub fn reads(&mut self, reads: bool) {
        self.driver.arm(self.socket, reads);
    }

    /// Says the same again and again until the proxy takes no more for a while, or took `most`
    /// bytes; answers how many it took.
    pub fn flood(&mut self, request: &[u8], most: usize) -> usize {
        let piece = request.repeat(PIECE / request.len());
        let mut sent = 0;
        while sent < most && !self.closed {
            self.send(&piece);
            sent += piece.len();
            let begun = self.fleet.network.now();
            self.turns(|scene| {
                let waited = scene.fleet.network.now().since(begun);
                scene.driver.queued(scene.socket) == 0 || waited > Duration::from_secs(2)
            });
            let left = self.driver.queued(self.socket);
            if left > 0 {
                return sent - left.min(sent);
            }
        }
        sent
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.fleet.network.now().after(time);
        self.turns(|scene| scene.fleet.network.now() >= until);
    }

    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.fleet.network.now().after(DEADLINE);
        self.turns(|scene| done(scene) || scene.fleet.network.now() > end);
        assert!(done(self), "in vain: {what}; heard {:?}", self.heard.last());
    }

    /// Whether a message of that type was read.
    pub fn heard_any(&self, tag: u8) -> bool {
        self.heard.iter().any(|message| message[0] == tag)
    }

    fn turns(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let Some(turn) = self.fleet.network.next_turn() else {
                return;
            };
            if turn == self.host {
                self.turn();
            } else {
                self.fleet.turn(turn);
            }
            let violations = self.fleet.witness.borrow().violations.clone();
            assert!(violations.is_empty(), "{violations:#?}");
        }
    }

    fn turn(&mut self) {
        let deadline = self.driver.now().after(Duration::from_millis(200));
        let mut events = Vec::new();
        self.driver.wait(Some(deadline), &mut events);
        for event in events {
            match event {
                Event::Received { socket, data } if socket == self.socket => {
                    self.inbox.extend(data.as_slice());
                    self.driver.recycle(data);
                    self.read();
                }
                Event::Closed { socket, .. } => {
                    self.closed |= socket == self.socket;
                    self.driver.close(socket);
                }
                _ => {}
            }
        }
    }

    fn read(&mut self) {
        // The answer to an SSLRequest is no message.
        if self.inbox.first() == Some(&b'N') {
            self.heard.push(self.inbox.drain(..1).collect());
        }
        while let Some(message) = wire::take_message(&mut self.inbox) {
            let body = message.get(5..).unwrap_or_default();
            if message[0] == b'R' && body.get(..4) == Some(&[0, 0, 0, 5]) {
                let answer = wire::md5_answer(USERS[0], PASSWORD, &body[4..8]);
                self.send(&wire::message(b'p', &wire::texts(&[&answer])));
            }
            self.heard.push(message);
        }
    }
}
