//! Clients: arriving, being welcomed, sending, leaving.

use std::io::ErrorKind;
use std::sync::Arc;

use dbproxy_driver::{Buffer, Driver, Duration};
use dbproxy_engine::{
    Abandoned, CancelKey, CloseReason, Engine, Failure, KillReason, Link, Release, Session, Steps,
};

use crate::ids::Place;
use crate::limits::Life;
use crate::notice::Notice;
use crate::shared::Arrival;
use crate::slab::Key;
use crate::stats::{count_close, move_pinned};

use super::places::BackendPlace;
use super::state::{Client, ClientPlace, Owner, Timer};
use super::{Todo, Worker};

/// How long a client that was told goodbye may take to read it and leave.
const LINGER: Duration = Duration::from_secs(2);
/// How long a client that sends no more is kept while no answer comes. It may be gone altogether:
/// only an answer would show. Most often it is, and those that are there want the connection; what
/// it waited for in vain it has most likely asked for again.
pub(super) const LAST_ANSWERS: Duration = Duration::from_secs(2);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A client was logged in by the front thread: from here on it lives on this worker.
    pub(super) fn arrived(&mut self, arrival: Arrival<E, D::Socket>) {
        let token = self.driver.attach(arrival.socket);
        let wire = arrival.wire.moved_to(token);
        let stats = self.endpoint_stats(&arrival.listener.name);
        stats.clients.add(1);
        if wire.is_tls() {
            stats.clients_tls.add(1);
        }
        let now = self.driver.now();
        let secret = E::cancel_secret(&arrival.admission.handover, &mut *self.random);
        let lane = self.lanes.join(&arrival.admission.identity);
        let departing = self.endpoint_gone(&arrival.listener.name);
        let begun = || Life::new(now, &mut *self.random);
        let life = arrival.life.unwrap_or_else(begun);
        let key = self.clients.insert(Client {
            wire,
            session: None,
            place: ClientPlace::Idle,
            lane,
            listener: arrival.listener,
            stats,
            login: None,
            handover: Some(arrival.admission.handover),
            id: arrival.id,
            secret,
            since: now,
            wanted_at: now,
            asked_at: now,
            begun: None,
            begun_rings: false,
            stalled_since: None,
            kept_until: None,
            kills_until: None,
            reader: None,
            hearing: Default::default(),
            pinned: None,
            departing,
            life,
            outlived: false,
            _seat: arrival.seat,
            peer: arrival.peer,
        });
        self.own(token, Owner::Client(key));
        self.settle_id(key);
        if self.draining {
            return self.close_client(key, CloseReason::Shutdown, Some(Failure::Shutdown));
        }
        let known = self.clients.get(key).and_then(|client| {
            self.shared
                .templates
                .get(client.role(), &arrival.admission.identity)
        });
        match known {
            Some(params) => {
                self.welcome(key, &params);
                self.todo.push_back(Todo::Pump(key));
            }
            // The first of its kind waits for a backend, whose reports it is told.
            None => {
                self.check_out(key);
            }
        }
        self.regulate(key);
    }

    /// Its number leads here from now on.
    fn settle_id(&self, key: Key) {
        if let Some(client) = self.clients.get(key) {
            client.id.settle(Place {
                worker: self.index,
                slot: key.index,
            });
        }
    }

    /// Makes the client's session and tells it what the database would.
    pub(super) fn welcome(&mut self, key: Key, params: &Arc<<E::Link as Link>::Params>) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Some(handover) = client.handover.take() else {
            return;
        };
        let cancel = CancelKey {
            id: client.id.number(),
            secret: client.secret,
        };
        let mut out = Vec::new();
        client.session = Some(E::welcome(handover, params, cancel, &mut out));
        client.wire.push(&mut self.driver, &out);
        if client.wire.flush(&mut self.driver).is_err() {
            self.close_client(key, CloseReason::TlsFailed, None);
        }
    }

    /// Bytes from a client.
    pub(super) fn client_received(&mut self, key: Key, data: Buffer) {
        let Some(client) = self.clients.get_mut(key) else {
            return self.driver.recycle(data);
        };
        if client.place == ClientPlace::Leaving {
            return self.driver.recycle(data);
        }
        if client.wire.receive(&mut self.driver, data).is_err() {
            return self.close_client(key, CloseReason::TlsFailed, None);
        }
        let over = client.wire.tls_closed;
        self.pump_client(key);
        if over {
            self.client_closed(key, None);
        }
    }

    /// All that was queued for a client is with the kernel.
    pub(super) fn client_drained(&mut self, key: Key) {
        self.regulate(key);
        self.pump_client(key);
        self.hand_back(key);
    }

    /// The client closed its side, or its connection broke. In the first case it may still read: it is
    /// kept while it is owed something.
    pub(super) fn client_closed(&mut self, key: Key, error: Option<ErrorKind>) {
        if error.is_some() || !self.awaits_answers(key) {
            return self.client_gone(key);
        }
        if let Some(client) = self.clients.get_mut(key) {
            let until = self.driver.now().after(LAST_ANSWERS);
            client.kept_until = Some(until);
            self.timers.set(until, Timer::Kept(key));
        }
    }

    /// Whether something that a client sent whole is still to be answered, or the answer to be taken.
    fn awaits_answers(&self, key: Key) -> bool {
        let Some(client) = self.clients.get(key) else {
            return false;
        };
        let owed = match client.place {
            ClientPlace::Waiting => true,
            ClientPlace::Idle | ClientPlace::Leaving => false,
            ClientPlace::Holding(backend) => {
                let link = self.backends.get(backend).and_then(|b| b.link.as_ref());
                link.is_some_and(Link::owes)
            }
        };
        let attends = client.hearing.attends();
        owed || attends || self.driver.queued(client.wire.token) > 0
    }

    /// A client that sends no more goes when it is owed nothing more.
    pub(super) fn leave_if_answered(&mut self, key: Key) {
        let kept = |client: &Client<E>| client.kept_until.is_some();
        if self.clients.get(key).is_some_and(kept) && !self.awaits_answers(key) {
            self.client_gone(key);
        }
    }

    /// A client that sends no more is owed something still; while answers come, it is kept.
    pub(super) fn kept_for_long(&mut self, key: Key) {
        let Some(until) = self.clients.get(key).and_then(|client| client.kept_until) else {
            return;
        };
        if until <= self.driver.now() {
            self.client_gone(key);
        } else {
            self.timers.set(until, Timer::Kept(key));
        }
    }

    /// Nobody is there any more.
    fn client_gone(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        match (client.place, &client.session) {
            (ClientPlace::Leaving, _) => {}
            (_, Some(session)) if !session.at_boundary() || client.place != ClientPlace::Idle => {
                self.close_client(key, CloseReason::ClientLost, None);
            }
            _ => self.close_client(key, CloseReason::ClientLeft, None),
        }
        self.remove_client(key);
    }

    /// Ends a client: its backend is abandoned, it is told why (if there is something to tell) and
    /// may take a moment to read that.
    pub(super) fn close_client(&mut self, key: Key, reason: CloseReason, why: Option<Failure>) {
        self.dequeue(key);
        self.abandon_backend(key);
        let deadline = self.driver.now().after(LINGER);
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.place == ClientPlace::Leaving {
            return;
        }
        // Counted before the client can read that it is closed.
        count_close(&client.stats, reason);
        if let Some(failure) = why {
            let mut out = Vec::new();
            match (&client.session, &client.handover) {
                (Some(session), _) => session.farewell(failure, &mut out),
                (None, Some(handover)) => E::farewell(handover, failure, &mut out),
                (None, None) => {}
            }
            client.wire.push(&mut self.driver, &out);
        }
        self.stop_hearing(key);
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.place = ClientPlace::Leaving;
        client.session = None;
        client.stats.clients.sub(1);
        if client.wire.is_tls() {
            client.stats.clients_tls.sub(1);
        }
        move_pinned(&client.stats, client.pinned.take(), None);
        let left = matches!(reason, CloseReason::ClientLeft | CloseReason::ClientLost);
        if !left {
            let lane = self.lanes.all.get(client.lane);
            let notice = Notice::new("client_closed")
                .text("endpoint", &*client.listener.name)
                .text("user", lane.map_or("", |lane| &*lane.identity.user))
                .text("peer", client.peer.to_string())
                .text("reason", reason.label());
            self.shared.notices.gossip(self.driver.now(), notice);
        }
        // One that said goodbye may not have read all of its last answer yet.
        if left && self.driver.queued(client.wire.token) == 0 || reason == CloseReason::ClientLost {
            return self.remove_client(key);
        }
        client.wire.arm(&mut self.driver, true);
        client.wire.finish(&mut self.driver);
        self.timers.set(deadline, Timer::Leaving(key));
    }

    pub(super) fn abandon_backend(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let ClientPlace::Holding(backend_key) = client.place else {
            return;
        };
        let (Some(session), Some(backend)) =
            (client.session.as_mut(), self.backends.get_mut(backend_key))
        else {
            return;
        };
        client.place = ClientPlace::Idle;
        let Some(link) = backend.link.as_mut() else {
            return;
        };
        match session.abandon(link) {
            // Its outcome is nobody's any more, and the drain waits for it.
            Abandoned::Running if backend.cut => {
                self.part(None, backend_key);
                self.kill(backend_key, KillReason::WriterLost);
            }
            Abandoned::Running => {
                self.move_to(backend_key, BackendPlace::Orphaned);
                // Replies that are here already are looked at without the client.
                self.pump_backend(backend_key);
                self.hurry_orphan(backend_key);
            }
            Abandoned::Free(release) => {
                self.part(None, backend_key);
                match release {
                    Release::Kill(reason) => self.kill(backend_key, reason),
                    _ => self.reuse(backend_key, release),
                }
            }
        }
    }

    /// What a client left behind is ended at once if nobody can miss it.
    fn hurry_orphan(&mut self, key: Key) {
        let missed = self.backends.get(key).is_none_or(|backend| {
            let orphaned = matches!(backend.place, BackendPlace::Orphaned);
            !orphaned || backend.link.as_ref().is_none_or(Link::may_commit)
        });
        if !missed {
            self.start_cancel(key);
        }
    }

    /// Forgets a client that was closed.
    pub(super) fn remove_client(&mut self, key: Key) {
        let Some(client) = self.clients.remove(key) else {
            return;
        };
        // Only now: a pod that goes waits for those that still read its goodbye.
        if let Some(signs) = self.shared.signs.get(self.index) {
            signs.clients.change(-1);
        }
        let token = client.wire.token;
        self.disown(token);
        self.lanes.leave(client.lane);
        client.wire.discard(&mut self.driver);
        self.driver.close(token);
    }

    /// Answers a client's first complete request with an error; one that was not welcomed yet is
    /// told goodbye.
    pub(super) fn refuse(&mut self, key: Key, failure: Failure) {
        self.dequeue(key);
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if failure == Failure::BorrowTimeout {
            client.stats.borrow_timeouts.add(1);
        }
        let Some(session) = client.session.as_mut() else {
            let reason = match failure {
                Failure::BorrowTimeout => CloseReason::BorrowTimeout,
                _ => CloseReason::BackendRefused,
            };
            return self.close_client(key, reason, Some(failure));
        };
        let mut steps = Steps::new();
        let consumed = session.refuse(failure, client.wire.input(), &mut steps);
        client.since = self.driver.now();
        self.play(key, None, consumed, steps);
        self.settle_client(key);
    }

    /// A client that has to go does so as soon as nothing of it is begun.
    pub(super) fn leave_at_boundary(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        let (reason, why) = if self.draining || client.departing {
            (CloseReason::Shutdown, Failure::Shutdown)
        } else if client.outlived {
            (CloseReason::Lifetime, Failure::Lifetime)
        } else if client.hearing.deaf {
            (CloseReason::EarLost, Failure::EarLost)
        } else {
            return;
        };
        if client.wire.input().is_empty() && self.has_nothing_begun(client) {
            self.close_client(key, reason, Some(why));
        }
    }

    /// A pinned client keeps its backend: it has begun nothing when that is quiet and outside of a
    /// transaction.
    pub(super) fn has_nothing_begun(&self, client: &Client<E>) -> bool {
        let Some(session) = client.session.as_ref() else {
            return false;
        };
        match client.place {
            ClientPlace::Idle => session.at_boundary(),
            ClientPlace::Holding(backend) => {
                let link = self.backends.get(backend).and_then(|b| b.link.as_ref());
                let quiet = link.is_some_and(|l| l.is_quiet() && !l.in_transaction());
                session.pinned() && quiet && session.at_boundary()
            }
            ClientPlace::Waiting | ClientPlace::Leaving => false,
        }
    }

    /// Whether the desired state has no endpoint of that name (any more).
    pub(super) fn endpoint_gone(&self, name: &str) -> bool {
        let snapshot = self.snapshot.as_ref();
        snapshot.is_some_and(|s| !s.listeners.iter().any(|l| &*l.name == name))
    }
}
