//! The model PostgreSQL: sockets and log-ins here, statements in `backend`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use dbproxy_driver::sim::{Random, SimDriver};
use dbproxy_driver::{Driver, Duration, Event, Time, Token};

use crate::backend::Session;
use crate::clients::NAMES;
use crate::desired::{database_at, other_door};
use crate::listening::CHANNELS;
use crate::notes::Note;
use crate::sockets::Sockets;
use crate::wire;
use crate::witness::Witness;

/// A connection to the database.
enum Peer {
    /// Nothing understood yet.
    New(Vec<u8>),
    /// Waiting for an MD5 answer.
    Challenged(Vec<u8>, Who),
    Session(Box<Session>, Who),
}

/// Whose session it is, in the database of that name.
#[derive(Clone)]
struct Who {
    user: String,
    name: String,
}

/// A model database server.
pub struct Database {
    pub index: usize,
    pub read_only: bool,
    /// A user that may not log in here, or a database's name that nobody may.
    pub refuses: Option<&'static str>,
    /// The SQLSTATE that they are told.
    pub refusal: &'static str,
    /// It grants TLS to those that ask.
    pub tls: bool,
    /// CancelRequests that came, and those of them that anybody on the way could read.
    pub cancels: u64,
    pub cancels_in_clear: u64,
    sockets: Sockets,
    /// Its two doors, and which of them each connection came through.
    addresses: [SocketAddr; 2],
    listeners: Vec<Token>,
    doors: BTreeMap<Token, usize>,
    peers: BTreeMap<Token, Peer>,
    witness: Rc<RefCell<Witness>>,
    random: Random,
    asks_md5: bool,
    /// It is full then.
    pub max_sessions: usize,
    next_session: u64,
    /// How often somebody notified who isn't a client.
    outside: u64,
    events: Vec<Event<<SimDriver as Driver>::Socket>>,
}

impl Database {
    pub fn new(
        index: usize,
        driver: SimDriver,
        witness: Rc<RefCell<Witness>>,
        mut random: Random,
        max_sessions: usize,
    ) -> Self {
        let asks_md5 = random.one_in(2);
        Self {
            index,
            read_only: false,
            refuses: None,
            refusal: "42501",
            tls: false,
            cancels: 0,
            cancels_in_clear: 0,
            sockets: Sockets::new(driver),
            addresses: [database_at(index), other_door(index)],
            listeners: Vec::new(),
            doors: BTreeMap::new(),
            peers: BTreeMap::new(),
            witness,
            random,
            asks_md5,
            max_sessions,
            next_session: 0,
            outside: 0,
            events: Vec::new(),
        }
    }

    pub fn start(&mut self) {
        if self.listeners.is_empty() {
            let listen = |address| self.sockets.driver.listen(address).expect("a free port");
            self.listeners = self.addresses.map(listen).into();
        }
    }

    /// Who is in stays, others are refused.
    pub fn let_nobody_in(&mut self) {
        for listener in self.listeners.drain(..) {
            self.sockets.driver.close(listener);
        }
    }

    /// All sessions end at once; what wasn't committed is lost.
    pub fn crash(&mut self) {
        for token in std::mem::take(&mut self.peers).into_keys() {
            self.sockets.close(token);
        }
        self.witness.borrow_mut().ghosts.remove(&self.index);
        self.let_nobody_in();
    }

    /// A smart administrator ends all sessions with a FATAL.
    pub fn shut_down_sessions(&mut self) {
        let goodbye = wire::error("FATAL", "57P01", "db: terminating connection");
        for (token, peer) in std::mem::take(&mut self.peers) {
            if matches!(peer, Peer::Session(..)) {
                self.sockets.send(token, goodbye.clone());
            }
            self.sockets.driver.finish(token);
            self.sockets.close(token);
        }
    }

    pub fn sessions(&self) -> usize {
        let session = |peer: &&Peer| matches!(peer, Peer::Session(..));
        self.peers.values().filter(session).count()
    }

    /// Sessions of the same user, and in the same database.
    fn shares(&self, who: &Who) -> [usize; 2] {
        let sessions = || {
            self.peers.values().filter_map(|peer| match peer {
                Peer::Session(_, who) => Some(who),
                _ => None,
            })
        };
        [
            sessions().filter(|other| other.user == who.user).count(),
            sessions().filter(|other| other.name == who.name).count(),
        ]
    }

    /// Sessions that were ever let in.
    pub fn admitted(&self) -> u64 {
        self.next_session
    }

    pub fn turn(&mut self) {
        let busy = |peer: &Peer| match peer {
            Peer::Session(session, _) => session.busy_until(),
            _ => None,
        };
        let due = self.peers.values().filter_map(busy).min();
        let soon = self.sockets.driver.now().after(Duration::from_micros(100));
        let due = due
            .into_iter()
            .chain(self.is_sending().then_some(soon))
            .min();
        let tick = self.sockets.driver.now().after(Duration::from_secs(1));
        let deadline = due.map_or(tick, |due| due.min(tick));
        let mut events = std::mem::take(&mut self.events);
        self.sockets.driver.wait(Some(deadline), &mut events);
        for event in events.drain(..) {
            self.event(event);
        }
        self.events = events;
        let now = self.sockets.driver.now();
        let due = |peer: &Peer| busy(peer).is_some_and(|at| at <= now);
        let due: Vec<Token> = self
            .peers
            .iter()
            .filter(|p| due(p.1))
            .map(|p| *p.0)
            .collect();
        for token in due {
            self.advance(token, Vec::new());
        }
        self.send_more();
        self.notify();
    }

    /// All listening sessions hear so many notifications.
    pub fn notify_often(&mut self, times: usize) {
        for (token, peer) in &self.peers {
            if let Peer::Session(session, _) = peer {
                let bytes = session.notification();
                if !bytes.is_empty() {
                    self.sockets.send(*token, bytes.repeat(times));
                }
            }
        }
    }

    /// Whether some session still sends a result without an end.
    pub fn is_sending(&self) -> bool {
        let endless = |peer: &Peer| matches!(peer, Peer::Session(s, _) if s.is_endless());
        self.peers.values().any(endless)
    }

    /// More of the results without an end, as far as they are read.
    fn send_more(&mut self) {
        for (token, peer) in &mut self.peers {
            if let Peer::Session(session, _) = peer {
                if session.is_endless() && self.sockets.driver.queued(*token) == 0 {
                    self.sockets.send(*token, session.more_rows());
                }
            }
        }
    }

    /// Now and then somebody notifies who isn't a client of the proxy.
    fn notify(&mut self) {
        if !self.random.one_in(10) {
            return;
        }
        self.outside += 1;
        let pick = |names: [&str; 2], at: u64| names[at as usize % 2].to_owned();
        let note = Note {
            place: (self.index, pick(NAMES, self.outside / 2)),
            channel: pick(CHANNELS, self.outside),
            payload: format!("x{}", 1000 * self.outside + self.index as u64),
        };
        self.witness.borrow_mut().notes.publish(note.clone());
        self.spread(&[(1, note)]);
    }

    /// Lets all sessions hear what was notified.
    fn spread(&mut self, notes: &[(u32, Note)]) {
        for (token, peer) in &mut self.peers {
            let Peer::Session(session, _) = peer else {
                continue;
            };
            notes
                .iter()
                .for_each(|(pid, note)| session.hear(*pid, note));
            let out = std::mem::take(&mut session.out);
            if !out.is_empty() {
                self.sockets.send(*token, out);
            }
        }
    }

    fn event(&mut self, event: Event<<SimDriver as Driver>::Socket>) {
        match event {
            Event::Accepted {
                socket, listener, ..
            } => {
                let door = self.listeners.iter().position(|door| *door == listener);
                self.doors.insert(socket, door.unwrap_or(0));
                self.sockets.driver.arm(socket, true);
                self.peers.insert(socket, Peer::New(Vec::new()));
            }
            Event::Received { socket, data } => {
                let bytes = self.sockets.take(socket, data);
                self.advance(socket, bytes);
            }
            Event::Closed { socket, error } => {
                self.doors.remove(&socket);
                let session = matches!(self.peers.remove(&socket), Some(Peer::Session(..)));
                if session && error.is_some() {
                    let mut witness = self.witness.borrow_mut();
                    let ghosts = witness.ghosts.entry(self.index).or_default();
                    *ghosts = ghosts.saturating_sub(1);
                }
                self.sockets.close(socket);
            }
            _ => {}
        }
    }

    fn advance(&mut self, token: Token, bytes: Vec<u8>) {
        let Some(peer) = self.peers.remove(&token) else {
            return;
        };
        let kept = match peer {
            Peer::New(mut buffer) => {
                buffer.extend(bytes);
                self.greet(token, buffer)
            }
            Peer::Challenged(mut buffer, who) => {
                buffer.extend(bytes);
                match wire::take_message(&mut buffer) {
                    Some(_) => self.admit(token, who),
                    None => Some(Peer::Challenged(buffer, who)),
                }
            }
            Peer::Session(session, who) => self.serve(token, session, who, &bytes),
        };
        match kept {
            Some(peer) => {
                self.peers.insert(token, peer);
            }
            None => self.sockets.close(token),
        }
    }

    fn greet(&mut self, token: Token, mut buffer: Vec<u8>) -> Option<Peer> {
        let Some(packet) = wire::take_packet(&mut buffer) else {
            return Some(Peer::New(buffer));
        };
        let number = |at: usize| {
            let bytes = packet.get(at..at + 4).and_then(|b| b.try_into().ok());
            bytes.map_or(0, u32::from_be_bytes)
        };
        match number(4) {
            80_877_102 => {
                self.cancels_in_clear += u64::from(!self.sockets.is_secret(token));
                self.cancel(number(8), number(12));
                return None;
            }
            80_877_103 => {
                self.sockets
                    .send(token, vec![if self.tls { b'S' } else { b'N' }]);
                if self.tls {
                    self.sockets.start_tls(token);
                }
                return Some(Peer::New(buffer));
            }
            _ => {}
        }
        let user = wire::startup_setting(&packet, "user").unwrap_or_default();
        let name = wire::startup_setting(&packet, "database").unwrap_or_default();
        if self.refuses.is_some_and(|one| one == user || one == name) {
            let refusal = wire::error("FATAL", self.refusal, "db: this one may not log in");
            self.sockets.send(token, refusal);
            return None;
        }
        let who = Who { user, name };
        if self.asks_md5 {
            let challenge = wire::message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]);
            self.sockets.send(token, challenge);
            return Some(Peer::Challenged(buffer, who));
        }
        self.admit(token, who)
    }

    fn admit(&mut self, token: Token, who: Who) -> Option<Peer> {
        let open = self.sessions() + 1;
        let [of_user, of_database] = self.shares(&who).map(|before| before + 1);
        if open > self.max_sessions {
            let refusal = wire::error("FATAL", "53300", "db: too many clients already");
            self.sockets.send(token, refusal);
            return None;
        }
        let now = self.sockets.driver.now();
        let mut witness = self.witness.borrow_mut();
        witness.sessions(self.index, open, now);
        witness.shares(self.index, of_user, of_database);
        drop(witness);
        self.next_session += 1;
        let secret = self.random.number() as u32;
        let place = (self.index, self.doors.get(&token).copied().unwrap_or(0));
        let mut session = Session::new(place, who.name.clone(), self.next_session, secret);
        let welcome = session.welcome(self.read_only);
        self.sockets.send(token, welcome);
        Some(Peer::Session(Box::new(session), who))
    }

    fn serve(
        &mut self,
        token: Token,
        mut session: Box<Session>,
        who: Who,
        bytes: &[u8],
    ) -> Option<Peer> {
        let mut witness = self.witness.borrow_mut();
        let now: Time = self.sockets.driver.now();
        let goes_on = session.feed(bytes, now, self.read_only, &mut witness);
        drop(witness);
        self.spread(&std::mem::take(&mut session.published));
        let out = std::mem::take(&mut session.out);
        if !out.is_empty() {
            self.sockets.send(token, out);
        }
        goes_on.then_some(Peer::Session(session, who))
    }

    fn cancel(&mut self, pid: u32, secret: u32) {
        self.cancels += 1;
        let target = self.peers.iter_mut().find_map(|(token, peer)| match peer {
            Peer::Session(session, _) if session.is(pid, secret) => Some((*token, session)),
            _ => None,
        });
        if let Some((token, session)) = target {
            if session.cancel() {
                self.advance(token, Vec::new());
            }
        }
    }
}
