//! Clients that wait until an ear has heard what was said before: which ear that is, and what becomes of
//! the backend meanwhile. What they hear is `hearing`'s.

use dbproxy_driver::Driver;
use dbproxy_engine::{
    Attention, Channels, CloseReason, Engine, Failure, KillReason, Release, Session, Steps,
};

use crate::ears::{key_of, Ask, EarId, EarLetter, Subscriber};
use crate::slab::Key;
use crate::snapshot::Role;

use super::hearing::set_ear;
use super::Worker;

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A client's session waits for what was said before its request ended. `release`: how its backend
    /// comes back, if it may.
    pub(super) fn attend(
        &mut self,
        client_key: Key,
        key: Key,
        attention: Attention,
        release: Option<Release>,
    ) {
        let Some(client) = self.clients.get_mut(client_key) else {
            return;
        };
        client.hearing.foreign = attention.foreign.unwrap_or(client.hearing.foreign);
        if client.hearing.deaf {
            self.give_back(client_key, key, release);
            return self.attend_deaf(client_key, attention);
        }
        let ear = client.hearing.ear;
        if let Some(ear) = ear.or_else(|| self.join_ear(client_key, key)) {
            self.inquire(client_key, ear, attention);
            return self.give_back(client_key, key, release);
        }
        if let Some(ear) = self.begin_ear(client_key, key, &attention, release) {
            return self.give_to_ear(client_key, key, ear, attention);
        }
        // Another worker may have been quicker.
        match self.join_ear(client_key, key) {
            Some(ear) => {
                self.inquire(client_key, ear, attention);
                self.give_back(client_key, key, release);
            }
            None => self.leave_alone(client_key, key),
        }
    }

    /// The same of one that holds no backend.
    pub(super) fn attend_by_itself(&mut self, key: Key, attention: Attention) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        match client.hearing.ear {
            Some(ear) => self.inquire(key, ear, attention),
            None => self.attend_deaf(key, attention),
        }
    }

    /// A client's ear is lost: at the end of an answer it goes.
    fn attend_deaf(&mut self, key: Key, attention: Attention) {
        if let Some(client) = self.clients.get_mut(key) {
            client.hearing.tells = attention.tells;
            client.hearing.forget(attention.gone);
        }
        self.end_deaf(key);
    }

    /// What a client waits for it won't hear.
    pub(super) fn end_deaf(&mut self, key: Key) {
        let client = self.clients.get(key);
        let goes = client.is_some_and(|client| client.hearing.tells && client.hearing.deaf);
        self.end_answer(key, false);
        if goes {
            self.close_client(key, CloseReason::EarLost, Some(Failure::EarLost));
        }
    }

    /// An ear is asked for a client.
    fn inquire(&mut self, client_key: Key, ear: EarId, attention: Attention) {
        self.serial += 1;
        let serial = self.serial;
        if let Some(client) = self.clients.get_mut(client_key) {
            set_ear(client, Some(ear));
            let hearing = &mut client.hearing;
            hearing.attending = Some(serial);
            hearing.ends = attention.channels.as_ref().is_some_and(Channels::is_empty);
            hearing.tells = attention.tells;
            hearing.forget(attention.gone.clone());
        }
        let ask = Ask {
            ear,
            subscriber: self.subscriber(client_key),
            serial,
            channels: attention.channels,
            gone: attention.gone,
        };
        self.write_to(ear.worker, EarLetter::Ask(ask));
    }

    pub(super) fn subscriber(&self, client: Key) -> Subscriber {
        Subscriber {
            worker: self.index,
            client,
        }
    }

    /// The ear that is there, for a client that has none.
    fn join_ear(&self, client: Key, key: Key) -> Option<EarId> {
        let client = self.clients.get(client)?;
        if client.hearing.foreign || client.role() == Role::ReadOnly {
            return None;
        }
        let backend = self.backends.get(key)?;
        let identity = &self.lanes.all.get(client.lane)?.identity;
        self.shared.ears.join(&key_of(backend.target.id, identity))
    }

    /// A client's backend becomes an ear, which has heard everything for it.
    fn give_to_ear(&mut self, client_key: Key, key: Key, ear: EarId, attention: Attention) {
        self.part(Some(client_key), key);
        if let Some(client) = self.clients.get_mut(client_key) {
            set_ear(client, Some(ear));
            client.hearing.tells = true;
        }
        let first = self.subscriber(client_key);
        self.become_ear(key, ear, first, attention.channels.unwrap_or_default());
        self.end_answer(client_key, true);
        self.hear(key);
    }

    /// A client keeps its backend: only that listens for it.
    fn leave_alone(&mut self, client_key: Key, key: Key) {
        let (Some(client), Some(backend)) =
            (self.clients.get_mut(client_key), self.backends.get_mut(key))
        else {
            return;
        };
        let mut steps = Steps::new();
        if let (Some(session), Some(link)) = (client.session.as_mut(), backend.link.as_mut()) {
            session.listens_itself(link, &mut steps);
        }
        self.play(client_key, Some(key), 0, steps);
        self.settle_client(client_key);
        // What stands behind the answer is for the session now.
        let input = self.backends.get(key).map(|backend| backend.wire.input());
        if input.is_some_and(|input| !input.is_empty()) {
            self.pump_backend(key);
        }
    }

    fn begin_ear(
        &self,
        client: Key,
        key: Key,
        attention: &Attention,
        release: Option<Release>,
    ) -> Option<EarId> {
        let (client, backend) = (self.clients.get(client)?, self.backends.get(key)?);
        let whole = release.is_some() && attention.may_tune && !client.hearing.foreign;
        let free = !backend.cut && !backend.retired && !self.draining;
        let undisturbed = backend.cancels == 0 && backend.cancel_wanted.is_none();
        if !(whole && free && undisturbed) || client.role() == Role::ReadOnly {
            return None;
        }
        let identity = &self.lanes.all.get(client.lane)?.identity;
        let target = backend.target.id;
        let (_, limit) = self.shared.usage(target);
        let caps = self.snapshot.as_ref()?.limits.caps;
        let key = key_of(target, identity);
        let now = self.driver.now();
        self.shared.ears.begin(&key, self.index, (limit, caps), now)
    }

    /// The backend of a client that attends is the pool's.
    fn give_back(&mut self, client: Key, key: Key, release: Option<Release>) {
        let Some(release) = release else {
            return;
        };
        let backend = self.backends.get(key);
        let spoke = backend.is_some_and(|backend| !backend.wire.input().is_empty());
        let release = match release {
            Release::Clean if spoke => Release::Kill(KillReason::SpokeWhileIdle),
            other => other,
        };
        self.released(Some(client), key, release);
    }
}
