//! The ears that this worker has: what they are asked for their clients, and who is told what they hear.
//!
//! One question is on its way to the server at a time, for all clients that had asked when it was sent.
//! Up to its answer each of them is told what is said on the channels that it had, from there on what is
//! said on those that it asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbproxy_driver::{Driver, Duration};
use dbproxy_engine::{Channels, Engine, Heard, KillReason, Link, Release};

use crate::ears::{Ask, EarId, EarLetter, Said, Subscriber};
use crate::shared::Letter;
use crate::slab::Key;
use crate::snapshot::Snapshot;

use super::places::BackendPlace;
use super::Worker;

/// How long a server may take to answer an ear.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// One of them.
pub(super) struct Ear {
    backend: Key,
    /// Whom it listens for, and to what; who is new to it has nothing yet.
    subscribers: BTreeMap<Subscriber, Channels>,
    /// The same the other way round.
    channels: BTreeMap<Arc<[u8]>, Vec<Subscriber>>,
    /// To what the server was told to listen.
    listens: Channels,
    /// Something of that may be for nobody any more.
    less: bool,
    /// What is to be asked next, and what the server has been asked.
    asked: Vec<Ask>,
    round: Option<Vec<Ask>>,
}

impl Ear {
    /// Of a backend that listens already, for one client.
    pub(super) fn new(backend: Key, first: Subscriber, channels: Channels) -> Self {
        let mut ear = Self {
            backend,
            subscribers: BTreeMap::from([(first, Channels::new())]),
            channels: BTreeMap::new(),
            listens: channels.clone(),
            less: false,
            asked: Vec::new(),
            round: Some(Vec::new()),
        };
        ear.set(first, channels);
        ear
    }

    /// One of its clients listens to these from here on.
    fn set(&mut self, subscriber: Subscriber, channels: Channels) {
        let Some(own) = self.subscribers.get_mut(&subscriber) else {
            return;
        };
        let before = std::mem::replace(own, channels.clone());
        for channel in before.difference(&channels) {
            self.forget(channel, subscriber);
        }
        for channel in channels.difference(&before) {
            let channel = Arc::clone(channel);
            self.channels.entry(channel).or_default().push(subscriber);
        }
    }

    fn forget(&mut self, channel: &Arc<[u8]>, subscriber: Subscriber) {
        let Some(listeners) = self.channels.get_mut(channel) else {
            return;
        };
        listeners.retain(|one| *one != subscriber);
        if listeners.is_empty() {
            self.channels.remove(channel);
            self.less = true;
        }
    }

    /// Answers whether it was there.
    fn remove(&mut self, subscriber: Subscriber) -> bool {
        let Some(channels) = self.subscribers.remove(&subscriber) else {
            return false;
        };
        for channel in &channels {
            self.forget(channel, subscriber);
        }
        self.asked.retain(|ask| ask.subscriber != subscriber);
        true
    }

    /// What the server is to be asked now, if it is to be asked anything.
    fn next_round(&mut self) -> Option<(Channels, Channels)> {
        if self.round.is_some() || self.asked.is_empty() && !self.less {
            return None;
        }
        let wanted = self.asked.iter().filter_map(|ask| ask.channels.as_ref());
        let wanted: Channels = wanted.flatten().cloned().collect();
        let unused = |channel: &&Arc<[u8]>| {
            !self.channels.contains_key(*channel) && !wanted.contains(*channel)
        };
        let less: Channels = match self.less {
            true => self.listens.iter().filter(unused).cloned().collect(),
            false => Channels::new(),
        };
        let more: Channels = wanted.difference(&self.listens).cloned().collect();
        self.listens.retain(|channel| !less.contains(channel));
        self.listens.extend(more.iter().cloned());
        self.less = false;
        self.round = Some(std::mem::take(&mut self.asked));
        Some((more, less))
    }
}

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A backend that is free, and listens to what its client listens to, becomes an ear.
    pub(super) fn become_ear(&mut self, key: Key, id: EarId, first: Subscriber, its: Channels) {
        self.ears.insert(id.number, Ear::new(key, first, its));
        self.move_to(key, BackendPlace::Ear(id.number));
        self.send_as_ear(key, |link, out| link.tune(out));
    }

    fn send_as_ear(&mut self, key: Key, write: impl FnOnce(&mut E::Link, &mut Vec<u8>)) {
        let due = self.driver.now().after(ANSWER_TIMEOUT);
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let Some(link) = backend.link.as_mut() else {
            return;
        };
        let mut out = Vec::new();
        write(link, &mut out);
        backend.wire.push(&mut self.driver, &out);
        if backend.wire.flush(&mut self.driver).is_err() {
            return self.lose(key, KillReason::ServerClosed);
        }
        self.allow_until(key, due);
    }

    /// An ear is to have heard something for a client.
    pub(super) fn ask_ear(&mut self, ask: Ask) {
        let number = ask.ear.number;
        let Some(ear) = self.ears.get_mut(&number) else {
            let lost = EarLetter::Lost(ask.ear, ask.subscriber.client);
            return self.write_to(ask.subscriber.worker, lost);
        };
        let own = ear.subscribers.entry(ask.subscriber).or_default();
        let left = own.difference(&ask.gone).cloned().collect();
        ear.set(ask.subscriber, left);
        ear.asked.push(ask);
        self.go_round(number);
    }

    /// A client listens no more.
    pub(super) fn leave_ear(&mut self, id: EarId, subscriber: Subscriber) {
        let ear = self.ears.get_mut(&id.number);
        if ear.is_some_and(|ear| ear.remove(subscriber)) {
            self.part_with(id);
        }
    }

    /// One client fewer. When it was the last the backend is the pool's again.
    fn part_with(&mut self, id: EarId) {
        if !self.shared.ears.leave(id) {
            return self.go_round(id.number);
        }
        if let Some(ear) = self.ears.remove(&id.number) {
            self.reuse(ear.backend, Release::Reset);
        }
    }

    fn go_round(&mut self, number: u64) {
        let Some(ear) = self.ears.get_mut(&number) else {
            return;
        };
        let key = ear.backend;
        if let Some((more, less)) = ear.next_round() {
            self.send_as_ear(key, |link, out| link.inquire(&more, &less, out));
        }
    }

    /// An ear has heard something.
    pub(super) fn hear(&mut self, key: Key) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let BackendPlace::Ear(number) = backend.place else {
            return;
        };
        let Some(link) = backend.link.as_mut() else {
            return;
        };
        let mut heard = Vec::new();
        let outcome = link.hear(backend.wire.input(), &mut heard);
        if let Ok(consumed) = outcome {
            backend.wire.consume(&mut self.driver, consumed);
        }
        let id = EarId {
            worker: self.index,
            number,
        };
        for one in heard {
            match one {
                Heard::Said {
                    channel,
                    message,
                    plain,
                } => self.pass_on(
                    id,
                    &Said {
                        channel,
                        message,
                        plain,
                    },
                ),
                Heard::Confirmed => self.confirm(id),
            }
        }
        if let Err(reason) = outcome {
            self.lose(key, reason);
        }
    }

    fn pass_on(&self, ear: EarId, said: &Said) {
        let all = self.ears.get(&ear.number);
        let listeners = all.and_then(|ear| ear.channels.get(&said.channel));
        for subscriber in listeners.into_iter().flatten() {
            let (client, said) = (subscriber.client, said.clone());
            self.write_to(subscriber.worker, EarLetter::Said { ear, client, said });
        }
    }

    /// The server has answered.
    fn confirm(&mut self, id: EarId) {
        let Some(ear) = self.ears.get_mut(&id.number) else {
            return;
        };
        if let Some(backend) = self.backends.get_mut(ear.backend) {
            backend.due = None;
        }
        let mut leaving = 0;
        for ask in ear.round.take().unwrap_or_default() {
            if !ear.subscribers.contains_key(&ask.subscriber) {
                continue;
            }
            if let Some(channels) = ask.channels {
                let ends = channels.is_empty();
                ear.set(ask.subscriber, channels);
                if ends {
                    ear.remove(ask.subscriber);
                    leaving += 1;
                }
            }
            let confirmed = EarLetter::Confirmed(id, ask.subscriber.client, ask.serial);
            if let Some(mailbox) = self.shared.workers.get(ask.subscriber.worker) {
                mailbox.post(Letter::Ear(confirmed));
            }
        }
        (0..leaving).for_each(|_| self.part_with(id));
        self.go_round(id.number);
    }

    /// Where fewer may be open than before, not too many of them may be ears.
    pub(super) fn shed_ears(&mut self, snapshot: &Snapshot<E::Credential>) {
        let worker = self.index;
        let ears = self.ears.iter().map(|(number, ear)| (*number, ear.backend));
        for (number, key) in ears.collect::<Vec<_>>() {
            let Some(target) = self.backends.get(key).map(|backend| backend.target.id) else {
                continue;
            };
            let (_, limit) = self.shared.usage(target);
            let ear = EarId { worker, number };
            if self.shared.ears.surplus(ear, limit, snapshot.limits.caps) {
                self.kill(key, KillReason::OverLimit);
            }
        }
    }

    /// The server of an ear has no place for others.
    pub(super) fn shed_ear(&mut self, id: EarId) {
        if let Some(ear) = self.ears.get(&id.number) {
            self.kill(ear.backend, KillReason::Evicted);
        }
    }

    /// An ear stands where it stood no more: its clients may miss something.
    pub(super) fn lose_ear(&mut self, number: u64) {
        let Some(ear) = self.ears.remove(&number) else {
            return;
        };
        let id = EarId {
            worker: self.index,
            number,
        };
        self.shared.ears.lose(id);
        for subscriber in ear.subscribers.keys() {
            self.write_to(subscriber.worker, EarLetter::Lost(id, subscriber.client));
        }
    }

    pub(super) fn write_to(&self, worker: usize, letter: EarLetter) {
        if let Some(mailbox) = self.shared.workers.get(worker) {
            mailbox.post(Letter::Ear(letter));
        }
    }
}
