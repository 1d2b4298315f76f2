//! A model database server: its sockets, and who may log in. What is said on a connection is its [`Peer`]'s.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use dbproxy_driver::sim::{Random, SimDriver};
use dbproxy_driver::{Driver, Duration, Event, Token};

use crate::clients::NAMES;
use crate::desired::{database_at, other_door};
use crate::notes::Note;
use crate::peer::{Around, Greeting, Next, Peer, Seat, Who};
use crate::sockets::Sockets;
use crate::witness::Witness;

/// A model database server.
pub struct Database<P> {
    pub index: usize,
    pub read_only: bool,
    /// A user that may not log in here, or a database's name that nobody may.
    pub refuses: Option<&'static str>,
    /// The code that they are told.
    pub refusal: &'static str,
    /// It grants TLS to those that ask.
    pub tls: bool,
    /// Cancels that came, and those of them that anybody on the way could read.
    pub cancels: u64,
    pub cancels_in_clear: u64,
    sockets: Sockets,
    /// Its two doors, and which of them each connection came through.
    addresses: [SocketAddr; 2],
    listeners: Vec<Token>,
    doors: BTreeMap<Token, usize>,
    peers: BTreeMap<Token, P>,
    witness: Rc<RefCell<Witness>>,
    random: Random,
    way: bool,
    /// It is full then.
    pub max_sessions: usize,
    next_connection: u32,
    next_session: u64,
    /// How often somebody notified who isn't a client.
    outside: u64,
    events: Vec<Event<<SimDriver as Driver>::Socket>>,
}

impl<P: Peer> Database<P> {
    pub fn new(
        index: usize,
        driver: SimDriver,
        witness: Rc<RefCell<Witness>>,
        mut random: Random,
        max_sessions: usize,
    ) -> Self {
        let way = random.one_in(2);
        Self {
            index,
            read_only: false,
            refuses: None,
            refusal: P::REFUSAL,
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
            way,
            max_sessions,
            next_connection: 0,
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
        for (token, peer) in std::mem::take(&mut self.peers) {
            if peer.who().is_some() {
                self.sockets.send(token, peer.goodbye());
            }
            self.sockets.driver.finish(token);
            self.sockets.close(token);
        }
    }

    pub fn sessions(&self) -> usize {
        self.peers.values().filter_map(P::who).count()
    }

    /// Sessions of the same user, and in the same database.
    fn shares(&self, who: &Who) -> [usize; 2] {
        let counted = || self.peers.values().filter(|peer| peer.counts());
        let sessions = || counted().filter_map(P::who);
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
        let due = self.peers.values().filter_map(P::busy_until).min();
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
        let due = |peer: &P| peer.busy_until().is_some_and(|at| at <= now);
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
            let bytes = peer.notification();
            if !bytes.is_empty() {
                self.sockets.send(*token, bytes.repeat(times));
            }
        }
    }

    /// Whether some session still sends a result without an end.
    pub fn is_sending(&self) -> bool {
        self.peers.values().any(P::is_endless)
    }

    /// More of the results without an end, as far as they are read.
    fn send_more(&mut self) {
        for (token, peer) in &mut self.peers {
            if peer.is_endless() && self.sockets.driver.queued(*token) == 0 {
                self.sockets.send(*token, peer.more_rows());
            }
        }
    }

    /// Now and then somebody notifies who isn't a client of the proxy.
    fn notify(&mut self) {
        let Some(channels) = P::CHANNELS.filter(|_| self.random.one_in(10)) else {
            return;
        };
        self.outside += 1;
        let pick = |names: [&str; 2], at: u64| names[at as usize % 2].to_owned();
        let note = Note {
            place: (self.index, pick(NAMES, self.outside / 2)),
            channel: pick(channels, self.outside),
            payload: format!("x{}", 1000 * self.outside + self.index as u64),
        };
        self.witness.borrow_mut().notes.publish(note.clone());
        self.spread(&[(1, note)]);
    }

    /// Lets all sessions hear what was notified.
    fn spread(&mut self, notes: &[(u32, Note)]) {
        for (token, peer) in &mut self.peers {
            let out = peer.hear(notes);
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
                self.greet(socket);
            }
            Event::Received { socket, data } => {
                let bytes = self.sockets.take(socket, data);
                self.advance(socket, bytes);
            }
            Event::Closed { socket, error } => {
                self.doors.remove(&socket);
                let peer = self.peers.remove(&socket);
                if peer.is_some_and(|peer| peer.who().is_some()) && error.is_some() {
                    let mut witness = self.witness.borrow_mut();
                    let ghosts = witness.ghosts.entry(self.index).or_default();
                    *ghosts = ghosts.saturating_sub(1);
                }
                self.sockets.close(socket);
            }
            _ => {}
        }
    }

    fn greet(&mut self, token: Token) {
        self.next_connection += 1;
        let greeting = Greeting {
            number: self.next_connection,
            tls: self.tls,
            random: &mut self.random,
        };
        let mut out = Vec::new();
        self.peers.insert(token, P::greet(greeting, &mut out));
        if !out.is_empty() {
            self.sockets.send(token, out);
        }
    }

    fn advance(&mut self, token: Token, bytes: Vec<u8>) {
        let Some(mut peer) = self.peers.remove(&token) else {
            return;
        };
        let counted = peer.counts();
        let witness = self.witness.clone();
        let mut witness = witness.borrow_mut();
        let mut around = Around {
            now: self.sockets.driver.now(),
            read_only: self.read_only,
            way: self.way,
            tls: self.tls,
            refuses: self.refuses,
            refusal: self.refusal,
            witness: &mut witness,
            out: Vec::new(),
            cancels: Vec::new(),
        };
        let next = peer.feed(&bytes, &mut around);
        let (out, cancels) = (around.out, around.cancels);
        drop(witness);
        self.spread(&peer.published());
        if !out.is_empty() {
            self.sockets.send(token, out);
        }
        for (number, secret) in cancels {
            self.cancels_in_clear += u64::from(!self.sockets.is_secret(token));
            self.cancel(number, secret);
        }
        let stays = match next {
            Next::GoesOn => true,
            Next::StartTls => {
                self.sockets.start_tls(token);
                true
            }
            Next::Admit(who) => self.admit(token, &mut peer, who),
            Next::Over => false,
        };
        if stays {
            if peer.counts() && !counted {
                self.count(&peer);
            }
            self.peers.insert(token, peer);
        } else {
            self.sockets.close(token);
        }
    }

    /// One more that counts.
    fn count(&self, peer: &P) {
        let Some(who) = peer.who() else {
            return;
        };
        let counted = self.peers.values().filter(|peer| peer.counts());
        let open = counted.count() + 1;
        let [of_user, of_database] = self.shares(who).map(|before| before + 1);
        let now = self.sockets.driver.now();
        let mut witness = self.witness.borrow_mut();
        witness.sessions(self.index, open, now);
        witness.shares(self.index, of_user, of_database);
    }

    /// Whether there is room for it.
    fn admit(&mut self, token: Token, peer: &mut P, who: Who) -> bool {
        if self.sessions() >= self.max_sessions {
            self.sockets.send(token, peer.turn_away());
            return false;
        }
        self.next_session += 1;
        let seat = Seat {
            place: (self.index, self.doors.get(&token).copied().unwrap_or(0)),
            number: self.next_session,
            secret: self.random.number() as u32,
            read_only: self.read_only,
        };
        self.sockets.send(token, peer.admit(who, seat));
        true
    }

    fn cancel(&mut self, number: u32, secret: u32) {
        self.cancels += 1;
        let mut peers = self.peers.iter_mut();
        let target = peers.find(|(_, peer)| peer.is(number, secret));
        if let Some((token, peer)) = target {
            let token = *token;
            if peer.cancel() {
                self.advance(token, Vec::new());
            }
        }
    }
}
