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

use crate::witness::{tokens_in, Class, Token, Waits, Witness, PER_CLIENT};

/// What a client's message is.
pub struct Asked {
    pub token: Option<Token>,
    /// It leaves state on its backend, or takes it from where it left it.
    pub keeps: bool,
    /// It completes a request.
    pub completes: bool,
}

/// What a worker's message to a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    Nothing,
    /// A part of an answer: the request was forwarded, or it never will be.
    Part,
    /// The same, of one of which more is under way.
    Served,
    /// The end of one.
    Whole {
        in_transaction: bool,
    },
    /// The connection ends with it.
    Goodbye,
}

/// One client's conversation with its worker, as it is overheard.
pub trait Overheard: Default {
    /// Takes the first whole message off a buffer.
    fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>>;

    fn asks(&mut self, message: &[u8]) -> Asked;

    fn answers(&mut self, message: &[u8]) -> Answered;

    /// What a database's message is to its worker.
    fn says(message: &[u8]) -> Answered;

    /// Whether a worker sends a database what it awaits before a request: that may be sent later than those
    /// which got their connections later.
    fn sets(_sent: &[u8]) -> bool {
        false
    }

    /// How many answers a worker awaits until a backend is as new: that may be before a request, too.
    fn renews(_sent: &[u8]) -> usize {
        0
    }

    /// How many things a worker asks a database about what its client's request has left: as long as it does the
    /// client has the connection still, whatever it says meanwhile.
    fn asks_behind(_sent: &[u8]) -> usize {
        0
    }
}

/// What one client's connection has said.
#[derive(Default)]
struct Client<O> {
    overheard: O,
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
struct Queue<O> {
    clients: BTreeMap<u64, Client<O>>,
    waiters: Vec<Waiter>,
    /// Tokens that were sent to a database, perhaps before their requests were complete.
    forwarded: BTreeSet<Token>,
    databases: BTreeMap<u64, Database>,
    /// When connections were lost that were set for a request.
    lost: Vec<u64>,
}

/// A connection to a database.
#[derive(Default)]
struct Database {
    inbox: Vec<u8>,
    /// Whose request was sent last.
    client: u64,
    goodbye: Option<Goodbye>,
    /// It was sent what comes before a request, at that time, and no request since.
    set: Option<u64>,
    /// Questions about what that request has left.
    behind: usize,
    /// What else it owes until it is as new.
    renewing: usize,
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
pub struct Order<O> {
    witness: Rc<RefCell<Witness>>,
    queues: BTreeMap<HostId, Queue<O>>,
    now: u64,
}

impl<O: Overheard> Order<O> {
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
                let database = queue.databases.entry(seen.link).or_default();
                database.set = database.set.or(O::sets(bytes).then_some(self.now));
                database.renewing += O::renews(bytes);
                database.behind += O::asks_behind(bytes);
                for token in tokens_in(&String::from_utf8_lossy(bytes)) {
                    // What is set may be called as the request that set it first.
                    let anew = !queue.forwarded.contains(&token);
                    let database = queue.databases.entry(seen.link).or_default();
                    let set = database.set.take_if(|_| anew);
                    queue.forwarded(token, set, &mut witness);
                    let database = queue.databases.entry(seen.link).or_default();
                    if !database.takes(token / PER_CLIENT) {
                        let text = format!("t{token} sent to a database that had said goodbye");
                        witness.violation(text);
                    }
                }
            }
            (Act::Received(bytes), true) => {
                let database = queue.databases.entry(seen.link).or_default();
                database.says::<O>(bytes);
            }
            (Act::Closed | Act::Aborted, false) => {
                queue.clients.remove(&seen.link);
                queue.forget(seen.link);
            }
            (Act::Closed | Act::Aborted, true) => {
                let lost = queue.databases.remove(&seen.link);
                let set = lost.and_then(|database| database.set);
                queue.lost.extend(set.map(|_| self.now));
            }
        }
    }
}

impl<O: Overheard> Queue<O> {
    fn forget(&mut self, link: u64) {
        self.waiters.retain(|waiter| waiter.link != link);
    }

    fn asked(&mut self, link: u64, bytes: &[u8], (now, time): (u64, Time), witness: &Witness) {
        let client = self.clients.entry(link).or_default();
        client.inbox.extend(bytes);
        client.begun.get_or_insert(now);
        while let Some(message) = O::take_message(&mut client.inbox) {
            let begun = *client.begun.get_or_insert(now);
            let asked = client.overheard.asks(&message);
            client.token = client.token.or(asked.token);
            client.keeps |= asked.keeps;
            if !asked.completes {
                continue;
            }
            client.begun = (!client.inbox.is_empty()).then_some(now);
            let asked = |token: &Token| {
                let mut databases = self.databases.values();
                databases.any(|d| d.behind > 0 && d.client == token / PER_CLIENT)
            };
            let still_has = client.token.as_ref().is_some_and(asked);
            let queues = !client.is_busy() && !client.over && !still_has;
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
        while let Some(message) = O::take_message(&mut client.outbox) {
            match client.overheard.answers(&message) {
                Answered::Nothing => continue,
                Answered::Part => {}
                Answered::Served => client.served = true,
                Answered::Whole { in_transaction } => {
                    client.unanswered = client.unanswered.saturating_sub(1);
                    client.in_transaction = in_transaction;
                    client.served = false;
                }
                Answered::Goodbye => client.over = true,
            }
            // It was forwarded, or it never will be.
            self.waiters.retain(|waiter| waiter.link != link);
        }
    }

    /// `set`: since when it had its connection, where that was set for it.
    fn forwarded(&mut self, token: Token, set: Option<u64>, witness: &mut Witness) {
        self.forwarded.insert(token);
        let Some(at) = self.waiters.iter().position(|w| w.token == token) else {
            return;
        };
        let this = self.waiters.swap_remove(at);
        witness.queued += 1;
        let others = self.waiters.iter();
        let mut overtaken = others.filter(|w| w.class == this.class && w.complete < this.begun);
        // So many of them may have their connections, or had when this one got its own, and have lost them since.
        let have = self.databases.values();
        let have = have.filter(|database| database.set.is_some() || database.renewing > 0);
        let lost = self
            .lost
            .iter()
            .filter(|at| set.is_some_and(|set| **at > set));
        if let Some(overtaken) = overtaken.nth(have.count() + lost.count()) {
            let late = overtaken.token;
            witness.violation(format!("t{token} was served before t{late}, which waited"));
        }
    }
}

impl Database {
    fn says<O: Overheard>(&mut self, bytes: &[u8]) {
        self.inbox.extend(bytes);
        let mut how = Goodbye::Now;
        while let Some(message) = O::take_message(&mut self.inbox) {
            match O::says(&message) {
                Answered::Whole { .. } => {
                    how = Goodbye::BehindAnAnswer;
                    self.behind = self.behind.saturating_sub(1);
                    self.renewing = self.renewing.saturating_sub(1);
                }
                Answered::Goodbye => self.goodbye = Some(how),
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

impl<O> Client<O> {
    /// It has a connection, or asked for one.
    fn is_busy(&self) -> bool {
        self.unanswered > 0 || self.in_transaction || self.holds || self.served
    }
}
