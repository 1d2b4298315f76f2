//! Scripted clients: they ask and misbehave. What they say, and what they make of what they hear, is each
//! one's [`Speaker`]'s.

mod login;
mod mischief;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use dbproxy_driver::sim::{Network, Random, SimDriver};
use dbproxy_driver::{Buffer, Driver, Duration, Event, Time, Token};

use crate::speaker::{Canceller, Speaker};
use crate::witness::{Class, Witness};

pub const USERS: [&str; 2] = ["app", "ops"];
/// Of the databases on each server.
pub const NAMES: [&str; 2] = ["shop", "till"];
pub const PASSWORD: &str = "secret";

/// The longest that a request may stay unanswered.
const PATIENCE: Duration = Duration::from_secs(90);

/// Requests that a client that pipelines has under way at once.
const PIPELINE: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Away,
    LoggingIn,
    Ready,
    /// Asked, and waits for all the answers.
    Asking,
}

struct Client<S> {
    speaker: S,
    stage: Stage,
    socket: Option<Token>,
    inbox: Vec<u8>,
    /// When it does its next thing.
    next_at: Time,
    asked_at: Time,
    requests_left: u64,
    misbehaves: bool,
    /// It only reads, and asks on before it is answered.
    pipelines: bool,
    /// It said only a part of what its log-in takes.
    stutters: bool,
    /// It has said something on this connection.
    spoke: bool,
    reads_again_at: Option<Time>,
    /// It has said its last word, and goes at its next turn.
    leaving: bool,
    address: SocketAddr,
    class: Class,
}

/// A connection that brings a cancel.
struct Cancel<C> {
    canceller: C,
    inbox: Vec<u8>,
    client: usize,
    /// The connection whose statement it is for.
    of: Token,
}

/// All clients of a run; they share one host.
pub struct Clients<S: Speaker> {
    driver: SimDriver,
    network: Network,
    clients: Vec<Client<S>>,
    by_socket: BTreeMap<Token, usize>,
    cancels: BTreeMap<Token, Cancel<S::Canceller>>,
    witness: Rc<RefCell<Witness>>,
    random: Random,
    events: Vec<Event<<SimDriver as Driver>::Socket>>,
    /// No new faults of their own: they only finish what they began.
    pub calm: bool,
    /// The proxy is going down: it may close whom it likes.
    pub draining: bool,
}

impl<S: Speaker> Clients<S> {
    pub fn new(
        driver: SimDriver,
        network: Network,
        witness: Rc<RefCell<Witness>>,
        random: Random,
    ) -> Self {
        Self {
            driver,
            network,
            clients: Vec::new(),
            by_socket: BTreeMap::new(),
            cancels: BTreeMap::new(),
            witness,
            random,
            events: Vec::new(),
            calm: false,
            draining: false,
        }
    }

    pub fn add(&mut self, address: SocketAddr, class: Class, requests: u64) {
        let id = self.clients.len() as u64 + 1;
        let misbehaves = self.random.one_in(3);
        let delay = Duration::from_micros(self.random.below(200_000));
        self.clients.push(Client {
            speaker: S::new(id, class),
            stage: Stage::Away,
            socket: None,
            inbox: Vec::new(),
            next_at: self.driver.now().after(delay),
            asked_at: Time::default(),
            requests_left: requests,
            misbehaves,
            pipelines: false,
            stutters: false,
            spoke: false,
            reads_again_at: None,
            leaving: false,
            address,
            class,
        });
        self.witness.borrow_mut().classes.insert(id, class);
    }

    /// One that always has a request under way.
    pub fn add_pipeliner(&mut self, address: SocketAddr, class: Class, requests: u64) {
        self.add(address, class, requests);
        if let Some(client) = self.clients.last_mut() {
            client.misbehaves = false;
            client.pipelines = true;
        }
    }

    /// Whether the script of the client that was added as that one is at its end.
    pub fn is_done(&self, at: usize) -> bool {
        let client = &self.clients[at];
        client.requests_left == 0 && client.stage == Stage::Away
    }

    /// All scripts are at their end.
    pub fn finished(&self) -> bool {
        (0..self.clients.len()).all(|at| self.is_done(at)) && self.cancels.is_empty()
    }

    /// Lets them hear what came, and do what is due.
    pub fn turn(&mut self) {
        let waits = self.clients.iter().filter_map(Client::<S>::due).min();
        let tick = self.driver.now().after(Duration::from_secs(5));
        let deadline = waits.map_or(tick, |at| at.min(tick));
        let mut events = std::mem::take(&mut self.events);
        self.driver.wait(Some(deadline), &mut events);
        for event in events.drain(..) {
            self.event(event);
        }
        self.events = events;
        let now = self.driver.now();
        for at in 0..self.clients.len() {
            if self.clients[at].due().is_some_and(|due| due <= now) {
                self.act(at);
            }
            self.look_for_stuck(at);
        }
    }

    fn look_for_stuck(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let waits = matches!(client.stage, Stage::Asking | Stage::LoggingIn);
        if waits && self.driver.now().since(client.asked_at) > PATIENCE {
            let expects = format!("{:?} {:?}", client.stage, client.speaker);
            let text = format!("client {} waits in vain: {expects}", at + 1);
            self.witness.borrow_mut().violation(text);
            client.asked_at = self.driver.now();
        }
    }

    fn event(&mut self, event: Event<<SimDriver as Driver>::Socket>) {
        match event {
            Event::Connected { socket } => match self.by_socket.get(&socket).copied() {
                Some(at) => self.greet(at, socket),
                None => {
                    if let Some(cancel) = self.cancels.get(&socket) {
                        let hello = cancel.canceller.hello();
                        self.driver.arm(socket, true);
                        self.send(socket, hello);
                    }
                }
            },
            Event::Received { socket, data } => {
                if let Some(at) = self.by_socket.get(&socket).copied() {
                    self.clients[at].inbox.extend(data.as_slice());
                    self.read(at);
                } else if let Some(cancel) = self.cancels.get_mut(&socket) {
                    cancel.inbox.extend(data.as_slice());
                    self.bring(socket);
                }
                self.driver.recycle(data);
            }
            Event::Closed { socket, error } => {
                self.brought(socket, error.is_none());
                if let Some(at) = self.by_socket.remove(&socket) {
                    self.cut_off(at, error.is_some());
                }
                self.driver.close(socket);
            }
            _ => {}
        }
    }

    /// The proxy (or the network) closed the connection.
    fn cut_off(&mut self, at: usize, broken: bool) {
        let client = &mut self.clients[at];
        let excused = broken || self.draining || client.leaving;
        let logged_in = client.stage != Stage::LoggingIn;
        let mut witness = self.witness.borrow_mut();
        client.speaker.closed(logged_in, excused, &mut witness);
        self.network
            .note(|| format!("client {}: closed by the proxy", at + 1));
        drop(witness);
        self.away(at);
    }

    fn away(&mut self, at: usize) {
        let pause = Duration::from_micros(self.random.below(300_000));
        let client = &mut self.clients[at];
        client.stage = Stage::Away;
        client.socket = None;
        client.stutters = false;
        client.spoke = false;
        client.reads_again_at = None;
        client.leaving = false;
        client.inbox.clear();
        client.speaker.begin();
        client.next_at = self.driver.now().after(pause);
        if self.draining {
            client.requests_left = 0;
        }
    }

    fn leave(&mut self, at: usize) {
        if let Some(socket) = self.clients[at].socket {
            self.by_socket.remove(&socket);
            self.driver.close(socket);
        }
        self.away(at);
    }

    fn read(&mut self, at: usize) {
        while let Some(message) = S::take_message(&mut self.clients[at].inbox) {
            self.message(at, &message);
        }
    }

    fn message(&mut self, at: usize, message: &[u8]) {
        let network = self.network.clone();
        let client = &mut self.clients[at];
        let Some(socket) = client.socket else {
            return;
        };
        if let Some(shown) = client.speaker.readable(message) {
            network.note(|| format!("client {}: gets {shown}", at + 1));
        }
        if client.stage == Stage::LoggingIn {
            return self.log_in(at, socket, message);
        }
        let mut witness = self.witness.borrow_mut();
        if client.speaker.hear(message, &mut witness) {
            drop(witness);
            self.send_file(at, socket);
        }
        let client = &mut self.clients[at];
        if client.stage == Stage::Asking && (client.speaker.owed() == 0 || client.asks_on()) {
            client.stage = Stage::Ready;
            let pause = match self.random.below(10) {
                _ if client.pipelines => 0,
                0 => self.random.below(2_000_000),
                1 | 2 => self.random.below(20_000),
                _ => 0,
            };
            client.next_at = self.driver.now().after(Duration::from_micros(pause));
        }
    }

    /// A client's time has come.
    fn act(&mut self, at: usize) {
        let now = self.driver.now();
        let client = &mut self.clients[at];
        match client.stage {
            Stage::Away if client.requests_left > 0 => {
                let socket = self.driver.connect(client.address);
                client.socket = Some(socket);
                client.stage = Stage::LoggingIn;
                client.asked_at = now;
                self.by_socket.insert(socket, at);
            }
            Stage::Ready if client.requests_left == 0 && client.speaker.is_idle() => {
                if let Some(socket) = client.socket {
                    let goodbye = client.speaker.goodbye();
                    self.driver.send(socket, Buffer::from_vec(goodbye));
                }
                self.leave(at);
            }
            Stage::Ready if client.leaving => self.leave(at),
            Stage::Ready => {
                self.ask(at);
                while self.clients[at].asks_on() {
                    self.ask(at);
                }
            }
            Stage::Asking => self.asking(at),
            Stage::Away | Stage::LoggingIn => {}
        }
    }

    fn ask(&mut self, at: usize) {
        let now = self.driver.now();
        let client = &mut self.clients[at];
        let Some(socket) = client.socket else {
            return;
        };
        client.requests_left = client.requests_left.saturating_sub(1);
        let witness = self.witness.borrow();
        let only_reads = client.pipelines;
        let mut asked = client.speaker.ask(&mut self.random, only_reads, &witness);
        drop(witness);
        let shown = &asked.shown;
        self.network
            .note(|| format!("client {}: asks {shown}", at + 1));
        client.stage = Stage::Asking;
        client.asked_at = now;
        client.next_at = Time(u64::MAX);
        if client.misbehaves && !self.calm && self.random.one_in(12) {
            return self.misbehave(at, socket, &mut asked.bytes);
        }
        if asked.sleeps && self.random.one_in(2) {
            client.next_at = now.after(Duration::from_micros(self.random.below(400_000)));
        }
        self.driver.send(socket, Buffer::from_vec(asked.bytes));
    }

    /// How its requests stand, for the report of a failure.
    pub fn waiting(&self) -> VecDeque<String> {
        let busy = self.clients.iter().enumerate();
        let busy = busy.filter(|(_, c)| c.stage != Stage::Away || c.requests_left > 0);
        busy.map(|(at, c)| format!("client {}: {:?} {:?}", at + 1, c.stage, c.speaker))
            .collect()
    }
}

impl<S: Speaker> Client<S> {
    /// It needs no answer to say more.
    fn asks_on(&self) -> bool {
        self.pipelines && self.requests_left > 0 && self.speaker.owed() < PIPELINE
    }

    fn due(&self) -> Option<Time> {
        match self.stage {
            Stage::Away if self.requests_left == 0 => None,
            Stage::LoggingIn => None,
            _ => Some(self.next_at),
        }
    }
}
