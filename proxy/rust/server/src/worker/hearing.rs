//! Clients that an ear listens for: when they are told what it has heard, and that a request is over. Whom
//! and what they wait for is `attending`'s.

use dbproxy_driver::Driver;
use dbproxy_engine::{Channels, CloseReason, Engine, Failure, Link, Session, Steps};

use crate::ears::{EarId, EarLetter, Said};
use crate::slab::Key;
use crate::snapshot::TargetId;
use crate::wire::HIGH_WATER;

use super::state::{Client, ClientPlace};
use super::Worker;

/// So much is kept for a client that can't be told yet, or reads slowly. Clients of one ear share it.
const MOST_KEPT: usize = 16 << 20;

/// What a client has to do with an ear.
#[derive(Default)]
pub struct Hearing {
    /// The one that listens for it.
    pub ear: Option<EarId>,
    /// The question whose answer it waits for.
    pub(super) attending: Option<u64>,
    /// By that answer it listens no more.
    pub(super) ends: bool,
    /// It is told then what it has heard.
    pub(super) tells: bool,
    /// Up to that answer something may be on its way that was said on these, and isn't for it.
    gone: Channels,
    /// What it is told next, and how many bytes that has.
    kept: Vec<Said>,
    size: usize,
    /// It reads texts otherwise than at its log-in.
    pub(super) foreign: bool,
    /// Its ear is lost: it goes as soon as nothing of it is begun.
    pub deaf: bool,
}

impl Hearing {
    /// Whether its client waits for the end of an answer.
    pub fn attends(&self) -> bool {
        self.attending.is_some()
    }

    fn keep(&mut self, said: Said) {
        self.size += said.message.len();
        self.kept.push(said);
    }

    fn take_kept(&mut self) -> Vec<Said> {
        self.size = 0;
        std::mem::take(&mut self.kept)
    }

    /// Nothing more that was said on these is for its client.
    pub(super) fn forget(&mut self, gone: Channels) {
        self.kept.retain(|said| !gone.contains(&said.channel));
        self.size = self.kept.iter().map(|said| said.message.len()).sum();
        self.gone = gone;
    }
}

impl<E: Engine, D: Driver> Worker<E, D> {
    pub(super) fn ear_letter(&mut self, letter: EarLetter) {
        match letter {
            EarLetter::Ask(ask) => self.ask_ear(ask),
            EarLetter::Gone(ear, subscriber) => self.leave_ear(ear, subscriber),
            EarLetter::Confirmed(ear, client, serial) => self.confirmed(ear, client, serial),
            EarLetter::Said { ear, client, said } => self.told(ear, client, said),
            EarLetter::Lost(ear, client) => self.deafened(ear, client),
            EarLetter::Shed(ear) => self.shed_ear(ear),
        }
    }

    /// An ear has heard all that a client waits for.
    fn confirmed(&mut self, ear: EarId, key: Key, serial: u64) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let hearing = &mut client.hearing;
        if hearing.ear != Some(ear) || hearing.attending != Some(serial) {
            return;
        }
        hearing.attending = None;
        hearing.gone = Channels::new();
        if std::mem::take(&mut hearing.ends) {
            set_ear(client, None);
        }
        self.end_answer(key, false);
    }

    /// A client is told what it has heard, and then that its request is over, or goes on with it. `whole`: its
    /// own backend has heard everything for it.
    pub(super) fn end_answer(&mut self, key: Key, whole: bool) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let kept = match client.hearing.tells {
            true => client.hearing.take_kept(),
            false => Vec::new(),
        };
        if client.hearing.foreign && kept.iter().any(|said| !said.plain) {
            return self.part_from(key, CloseReason::ForeignText, Failure::ForeignText);
        }
        for said in kept {
            client.wire.push(&mut self.driver, &said.message);
        }
        let mut steps = Steps::new();
        if let Some(session) = client.session.as_mut() {
            session.attended(whole, &mut steps);
        }
        client.since = self.driver.now();
        self.play(key, None, 0, steps);
        self.settle_client(key);
    }

    /// An ear has heard something for a client.
    fn told(&mut self, ear: EarId, key: Key, said: Said) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.hearing.ear != Some(ear) || client.hearing.gone.contains(&said.channel) {
            return;
        }
        if client.hearing.foreign && !said.plain {
            return self.part_from(key, CloseReason::ForeignText, Failure::ForeignText);
        }
        client.hearing.keep(said);
        let (full, slow) = (client.hearing.size > MOST_KEPT, self.reads_slowly(key));
        match (full, slow) {
            (true, true) => {
                self.close_client(key, CloseReason::SlowReader, None);
                self.remove_client(key);
            }
            (true, false) => {
                self.part_from(key, CloseReason::TooMuchHeard, Failure::TooMuchHeard);
            }
            (false, _) => self.tell_kept(key),
        }
    }

    /// Whether a client hasn't read yet what it was told before.
    fn reads_slowly(&self, key: Key) -> bool {
        let client = self.clients.get(key);
        client.is_some_and(|client| self.driver.queued(client.wire.token) > HIGH_WATER)
    }

    /// Tells a client that does nothing what its ear has heard, as fast as it reads.
    pub(super) fn tell_kept(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        if client.hearing.kept.is_empty() {
            return;
        }
        let rests = client.wire.input().is_empty() && self.has_nothing_begun(client);
        let slow = self.reads_slowly(key);
        let Some(client) = self.clients.get_mut(key).filter(|_| rests && !slow) else {
            return;
        };
        for said in client.hearing.take_kept() {
            client.wire.push(&mut self.driver, &said.message);
        }
        if client.wire.flush(&mut self.driver).is_err() {
            return self.close_client(key, CloseReason::TlsFailed, None);
        }
        self.regulate(key);
    }

    /// Ends a client; in the middle of an answer it can't be told why.
    fn part_from(&mut self, key: Key, reason: CloseReason, why: Failure) {
        let holds = self.clients.get(key).map(|client| client.place);
        let told = match holds {
            Some(ClientPlace::Holding(backend)) => {
                let link = self.backends.get(backend).and_then(|b| b.link.as_ref());
                link.is_some_and(Link::is_quiet)
            }
            _ => true,
        };
        self.close_client(key, reason, told.then_some(why));
    }

    /// Whether a client that is about to be served by that target may have missed something.
    pub(super) fn misses(&self, client: Key, target: TargetId) -> bool {
        let hearing = self.clients.get(client).map(|client| &client.hearing);
        let lost = |ear: EarId| !self.shared.ears.has(ear, target);
        hearing.is_some_and(|hearing| hearing.deaf || hearing.ear.is_some_and(lost))
    }

    /// A client that holds nothing goes at once if its ear is lost, so that it isn't told of the end of
    /// anything without having heard what was said before.
    pub(super) fn part_if_deaf(&mut self, key: Key) {
        let client = self.clients.get(key);
        let parts = client.is_some_and(|client| {
            let idle = matches!(client.place, ClientPlace::Idle | ClientPlace::Waiting);
            client.hearing.deaf && idle
        });
        if parts {
            self.close_client(key, CloseReason::EarLost, Some(Failure::EarLost));
        }
    }

    /// A client's ear is lost.
    fn deafened(&mut self, ear: EarId, key: Key) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.hearing.ear != Some(ear) {
            return;
        }
        set_ear(client, None);
        client.hearing.deaf = true;
        match client.hearing.attending.take() {
            Some(_) => self.end_deaf(key),
            None => self.leave_at_boundary(key),
        }
        self.part_if_deaf(key);
    }

    /// A client goes: nobody need listen for it any more.
    pub(super) fn stop_hearing(&mut self, key: Key) {
        let subscriber = self.subscriber(key);
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let ear = client.hearing.ear;
        set_ear(client, None);
        client.hearing = Hearing::default();
        if let Some(ear) = ear {
            self.write_to(ear.worker, EarLetter::Gone(ear, subscriber));
        }
    }
}

/// From here on this ear listens for a client, or none.
pub(super) fn set_ear<E: Engine>(client: &mut Client<E>, ear: Option<EarId>) {
    let before = std::mem::replace(&mut client.hearing.ear, ear);
    client.stats.listening.sub(u64::from(before.is_some()));
    client.stats.listening.add(u64::from(ear.is_some()));
}
