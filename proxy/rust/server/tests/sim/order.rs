//! Whether every worker serves its waiters in the order in which their requests came: first come,
//! first served per pool key and role.
//!
//! And nothing is forwarded to a database whose goodbye the worker has read.
//!
//! It sees what a worker reads and sends, and nothing of its queues. A request that was complete
//! before the first byte of another came must not be forwarded after it. Clients that hold a
//! backend (in a transaction, or with state on it) don't queue.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dbproxy_driver::sim::{Act, HostId, Seen};
use dbproxy_driver::Time;

use crate::wire;
use crate::witness::{token_in, tokens_in, Class, Token, Waits, Witness, PER_CLIENT};

/// What one client's connection has said.
#[derive(Default)]
struct Client {
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// When the first byte of the request that is coming in came.
    begun: Option<u64>,
    /// The token of that request.
    token: Option<Token>,
    /// Whose requests came before.
    class: Option<Class>,
    /// It leaves state on its backend.
    keeps: bool,
    holds: bool,
    unanswered: u32,
    in_transaction: bool,
    /// A part of its batch is answered.
    served: bool,
    /// It was told goodbye: what it says after that waits for nothing.
    over: bool,
}

/// A request that waits for a backend, or was not forwarded yet.
struct Waiter {
    link: u64,
    token: Token,
    class: Class,
    begun: u64,
    complete: u64,
    since: Time,
}

/// One worker.
#[derive(Default)]
struct Queue {
    clients: BTreeMap<u64, Client>,
    waiters: Vec<Waiter>,
    /// Tokens that were sent to a database, perhaps before their requests were complete.
    forwarded: BTreeSet<Token>,
    databases: BTreeMap<u64, Database>,
}

/// A connection to a database.
#[derive(Default)]
struct Database {
    inbox: Vec<u8>,
    /// Whose request was sent last.
    client: u64,
    goodbye: Option<Goodbye>,
}

/// How a FATAL came, after which a database reads nothing any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    /// In this turn, in which its client's bytes may have been looked at before it.
    Now,
    /// The same, in one delivery with an answer: from there on it is nobody else's.
    BehindAnAnswer,
    /// In an earlier turn.
    Before,
}

/// All workers of a fleet.
pub struct Order {
    witness: Rc<RefCell<Witness>>,
    queues: BTreeMap<HostId, Queue>,
    now: u64,
}

impl Order {
    pub fn new(witness: Rc<RefCell<Witness>>) -> Self {
        Self {
            witness,
            queues: BTreeMap::new(),
            now: 0,
        }
    }

    /// Requests that wait for a backend.
    pub fn waiting(&self) -> impl Iterator<Item = Waits> + '_ {
        let waiters = self.queues.values().flat_map(|queue| &queue.waiters);
        waiters.map(|waiter| Waits {
            who: format!("t{}", waiter.token),
            class: waiter.class,
            since: waiter.since,
        })
    }

    /// Whose clients hold a connection, or did a moment ago.
    pub fn busy(&self) -> Vec<Class> {
        let queues = self.queues.values();
        let busy = queues.flat_map(|queue| {
            let clients = queue.clients.iter().filter(|(link, client)| {
                let waits = queue.waiters.iter().any(|waiter| waiter.link == **link);
                client.is_busy() && !waits
            });
            clients.filter_map(|(_, client)| client.class)
        });
        busy.collect()
    }

    /// A host's turn is over: what it received it has looked at.
    pub fn turned(&mut self) {
        let queues = self.queues.values_mut();
        for database in queues.flat_map(|queue| queue.databases.values_mut()) {
            database.goodbye = database.goodbye.map(|_| Goodbye::Before);
        }
    }

    /// A worker did something.
    pub fn see(&mut self, seen: &Seen, time: Time) {
        self.now += 1;
        let mut witness = self.witness.borrow_mut();
        let queue = self.queues.entry(seen.host).or_default();
        match (&seen.act, seen.dialed) {
            (Act::Received(bytes), false) => {
                queue.asked(seen.link, bytes, (self.now, time), &witness);
            }
            (Act::Sent(bytes), false) => queue.answered(seen.link, bytes),
            (Act::Sent(bytes), true) => {
                for token in tokens_in(&String::from_utf8_lossy(bytes)) {
                    queue.forwarded(token, &mut witness);
                    let database = queue.databases.entry(seen.link).or_default();
                    if !database.takes(token / PER_CLIENT) {
                        let text = format!("t{token} sent to a database that had said goodbye");
                        witness.violation(text);
                    }
                }
            }
            (Act::Received(bytes), true) => {
                queue.databases.entry(seen.link).or_default().says(bytes);
            }
            (Act::Closed | Act::Aborted, false) => {
                queue.clients.remove(&seen.link);
                queue.forget(seen.link);
            }
            (Act::Closed | Act::Aborted, true) => {
                queue.databases.remove(&seen.link);
            }
        }
    }
}

impl Queue {
    fn forget(&mut self, link: u64) {
        self.waiters.retain(|waiter| waiter.link != link);
    }

    fn asked(&mut self, link: u64, bytes: &[u8], (now, time): (u64, Time), witness: &Witness) {
        let client = self.clients.entry(link).or_default();
        client.inbox.extend(bytes);
        client.begun.get_or_insert(now);
        while let Some(message) = wire::take_message(&mut client.inbox) {
            let begun = *client.begun.get_or_insert(now);
            if !client.reads(&message) {
                continue;
            }
            client.begun = (!client.inbox.is_empty()).then_some(now);
            let queues = !client.is_busy() && !client.over;
            client.holds |= std::mem::take(&mut client.keeps);
            client.unanswered += 1;
            let token = client.token.take();
            let class = token.and_then(|token| witness.classes.get(&(token / PER_CLIENT)));
            client.class = class.copied().or(client.class);
            let token = token.filter(|token| !self.forwarded.contains(token));
            if let (true, Some(token), Some(class)) = (queues, token, class) {
                self.waiters.push(Waiter {
                    link,
                    token,
                    class: *class,
                    begun,
                    complete: now,
                    since: time,
                });
            }
        }
    }

    fn answered(&mut self, link: u64, bytes: &[u8]) {
        let client = self.clients.entry(link).or_default();
        client.outbox.extend(bytes);
        while let Some(message) = wire::take_message(&mut client.outbox) {
            match message[0] {
                b'Z' => {
                    client.unanswered = client.unanswered.saturating_sub(1);
                    client.in_transaction = message[5] != b'I';
                    client.served = false;
                }
                b'E' => client.over |= is_fatal(&message),
                b'1' | b'3' => client.served = true,
                _ => continue,
            }
            // It was forwarded, or it never will be.
            self.waiters.retain(|waiter| waiter.link != link);
        }
    }

    fn forwarded(&mut self, token: Token, witness: &mut Witness) {
        self.forwarded.insert(token);
        let Some(at) = self.waiters.iter().position(|w| w.token == token) else {
            return;
        };
        let this = self.waiters.swap_remove(at);
        witness.queued += 1;
        let mut others = self.waiters.iter();
        let overtaken = others.find(|w| w.class == this.class && w.complete < this.begun);
        if let Some(overtaken) = overtaken {
            let late = overtaken.token;
            witness.violation(format!("t{token} was served before t{late}, which waited"));
        }
    }
}

fn is_fatal(error: &[u8]) -> bool {
    error.windows(6).any(|part| part == b"SFATAL")
}

impl Database {
    fn says(&mut self, bytes: &[u8]) {
        self.inbox.extend(bytes);
        let mut how = Goodbye::Now;
        while let Some(message) = wire::take_message(&mut self.inbox) {
            match message[0] {
                b'Z' => how = Goodbye::BehindAnAnswer,
                b'E' if is_fatal(&message) => self.goodbye = Some(how),
                _ => {}
            }
        }
    }

    /// Whether a client's request may be sent to it.
    fn takes(&mut self, client: u64) -> bool {
        let before = std::mem::replace(&mut self.client, client);
        match self.goodbye {
            None | Some(Goodbye::Now) => true,
            Some(Goodbye::BehindAnAnswer) => before == client,
            Some(Goodbye::Before) => false,
        }
    }
}

impl Client {
    /// It has a connection, or asked for one.
    fn is_busy(&self) -> bool {
        self.unanswered > 0 || self.in_transaction || self.holds || self.served
    }

    /// Takes note of a message; true when it completes a request.
    fn reads(&mut self, message: &[u8]) -> bool {
        let text = String::from_utf8_lossy(&message[5..]);
        if matches!(message[0], b'Q' | b'P' | b'B') {
            // What an EXECUTE names is made before it is sent.
            let sent_late = text.starts_with("EXECUTE ");
            self.token = self.token.or(token_in(&text).filter(|_| !sent_late));
            let named = message[0] == b'P' && !text.starts_with('\0');
            // Until when it holds that, only its database knows.
            let sets = ["SET", "LISTEN", "lastval", "advisory_lock", "HOLD"];
            let names = ["PREPARE", "EXECUTE", "DEALLOCATE"];
            let mut state = sets.iter().chain(&names);
            self.keeps |= named || state.any(|begin| text.contains(begin));
        }
        matches!(message[0], b'Q' | b'S')
    }
}
