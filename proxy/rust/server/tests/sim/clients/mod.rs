//! Scripted clients: they ask, misbehave, and hold what they are told against the witness.

mod login;
mod mischief;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use dbproxy_driver::sim::{Network, Random, SimDriver};
use dbproxy_driver::{Buffer, Driver, Duration, Event, Time, Token};

use crate::judge::Judge;
use crate::script::{Kind, Mood, Names, Script};
use crate::wire;
use crate::witness::{Class, Witness, PER_CLIENT};

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

struct Client {
    stage: Stage,
    socket: Option<Token>,
    inbox: Vec<u8>,
    judge: Judge,
    key: Option<(u32, u32)>,
    /// When it does its next thing.
    next_at: Time,
    asked_at: Time,
    requests_left: u64,
    next_token: u64,
    names: Names,
    misbehaves: bool,
    /// It only reads, and asks on before it is answered.
    pipelines: bool,
    /// It said only a part of what its log-in takes.
    stutters: bool,
    reads_again_at: Option<Time>,
    /// It has said its last word, and goes at its next turn.
    leaving: bool,
    address: SocketAddr,
    class: Class,
}

/// A connection that brings a cancel.
struct Cancel {
    key: (u32, u32),
    client: usize,
    /// The connection whose statement it is for.
    of: Token,
}

/// All clients of a run; they share one host.
pub struct Clients {
    driver: SimDriver,
    network: Network,
    clients: Vec<Client>,
    by_socket: BTreeMap<Token, usize>,
    cancels: BTreeMap<Token, Cancel>,
    witness: Rc<RefCell<Witness>>,
    random: Random,
    events: Vec<Event<<SimDriver as Driver>::Socket>>,
    /// No new faults of their own: they only finish what they began.
    pub calm: bool,
    /// The proxy is going down: it may close whom it likes.
    pub draining: bool,
}

impl Clients {
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
            stage: Stage::Away,
            socket: None,
            inbox: Vec::new(),
            judge: Judge::new(id),
            key: None,
            next_at: self.driver.now().after(delay),
            asked_at: Time::default(),
            requests_left: requests,
            next_token: id * PER_CLIENT,
            names: Names::new(),
            misbehaves,
            pipelines: false,
            stutters: false,
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
        let waits = self.clients.iter().filter_map(Client::due).min();
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
            let expects = format!("{:?} {:?}", client.stage, client.judge);
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
                        let (pid, secret) = cancel.key;
                        let bytes = wire::cancel(pid, secret);
                        self.driver.arm(socket, true);
                        self.driver.send(socket, Buffer::from_vec(bytes));
                    }
                }
            },
            Event::Received { socket, data } => {
                if let Some(at) = self.by_socket.get(&socket).copied() {
                    self.clients[at].inbox.extend(data.as_slice());
                    self.read(at);
                }
                self.driver.recycle(data);
            }
            Event::Closed { socket, error } => {
                if let Some(cancel) = self.cancels.remove(&socket) {
                    let client = &mut self.clients[cancel.client];
                    if error.is_none() && client.socket == Some(cancel.of) {
                        client.judge.cancel_over();
                    }
                }
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
        client.judge.closed(logged_in, excused, &mut witness);
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
        client.key = None;
        client.names.clear();
        client.stutters = false;
        client.reads_again_at = None;
        client.leaving = false;
        client.inbox.clear();
        client.judge.begin();
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
        while let Some(message) = wire::take_message(&mut self.clients[at].inbox) {
            self.message(at, &message);
        }
    }

    fn message(&mut self, at: usize, message: &[u8]) {
        let network = self.network.clone();
        let client = &mut self.clients[at];
        let Some(socket) = client.socket else {
            return;
        };
        // Rows would drown the rest.
        if !matches!(message[0], b'D' | b'd' | b'T' | b'S') {
            network.note(|| format!("client {}: gets {}", at + 1, wire::readable(message)));
        }
        if client.stage == Stage::LoggingIn {
            return self.log_in(at, socket, message);
        }
        if message[0] == b'E' {
            // What was refused was not parsed.
            client.names.clear();
        }
        let mut witness = self.witness.borrow_mut();
        if client.judge.hear(message, &mut witness) {
            drop(witness);
            self.answer_copy(at, socket);
        }
        let client = &mut self.clients[at];
        if client.stage == Stage::Asking && (client.judge.content() || client.asks_on()) {
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
            Stage::Ready if client.requests_left == 0 && client.judge.mood() == Mood::Idle => {
                if let Some(socket) = client.socket {
                    let goodbye = wire::message(b'X', &[]);
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
        let (random, token) = (&mut self.random, &mut client.next_token);
        let (writes, judge) = (client.class.writes, &client.judge);
        let script = Script::new(random, token, writes, &mut client.names, judge);
        let mut request = match client.pipelines {
            true => script.only_reads(),
            false => script.next(client.judge.mood()),
        };
        self.network.note(|| {
            let first = request
                .expects
                .first()
                .map(|e| (e.kind, e.tokens.first().copied()));
            format!(
                "client {}: asks {first:?} (+{})",
                at + 1,
                request.expects.len() - 1
            )
        });
        let sleeps = request.expects.iter().any(|e| e.kind == Kind::Sleep);
        let witness = self.witness.borrow();
        client.judge.ask(request.expects, &witness);
        drop(witness);
        client.stage = Stage::Asking;
        client.asked_at = now;
        client.next_at = Time(u64::MAX);
        if client.misbehaves && !self.calm && self.random.one_in(12) {
            return self.misbehave(at, socket, &mut request.bytes);
        }
        if sleeps && self.random.one_in(2) {
            client.next_at = now.after(Duration::from_micros(self.random.below(400_000)));
        }
        self.driver.send(socket, Buffer::from_vec(request.bytes));
    }

    /// How its requests stand, for the report of a failure.
    pub fn waiting(&self) -> VecDeque<String> {
        let busy = self.clients.iter().enumerate();
        let busy = busy.filter(|(_, c)| c.stage != Stage::Away || c.requests_left > 0);
        busy.map(|(at, c)| format!("client {}: {:?} {:?}", at + 1, c.stage, c.judge))
            .collect()
    }
}

impl Client {
    /// It needs no answer to say more.
    fn asks_on(&self) -> bool {
        self.pipelines && self.requests_left > 0 && self.judge.owed() < PIPELINE
    }

    fn due(&self) -> Option<Time> {
        match self.stage {
            Stage::Away if self.requests_left == 0 => None,
            Stage::LoggingIn => None,
            _ => Some(self.next_at),
        }
    }
}
