//! Cancels: from a client to the backend that runs its request, and nobody else's. They go to
//! the address that the backend is connected to, under TLS if it is.

use std::io::ErrorKind;

use dbproxy_driver::{Buffer, Driver, Duration};
use dbproxy_engine::{
    Aim, BackendAsk, CancelFailure, CancelProgress, Canceller, Engine, Failure, KillReason, Killed,
    Link, Release, Session,
};

use crate::notice::Notice;
use crate::shared::FrontLetter;
use crate::slab::Key;
use crate::stats::count_cancel_failure;
use crate::tls::Tls;
use crate::warrant::{Asker, CancelAsked, Warrant};
use crate::wire::Wire;

use super::places::BackendPlace;
use super::state::{Cancel, ClientPlace, Owner, Timer};
use super::Worker;

/// How long a server may take to confirm a cancel by closing its connection.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Somebody brought a cancel key that this worker may have given out, or the number of a client that it
    /// may have. Whoever did is told when that is over: then it strikes nothing that comes later.
    pub(super) fn cancel(&mut self, asked: CancelAsked) {
        let Some(client) = self.client_of(&asked.warrant) else {
            return self.shared.front.post(FrontLetter::CancelUnknown(asked));
        };
        if !self.entitles(&asked.warrant, client) {
            return self.tell_over([asked.asker], Killed::NotOwner);
        }
        if asked.warrant.is_whole() {
            return self.kill_client(client, asked.asker);
        }
        match self.cancelled_backend(client) {
            Some(backend) => {
                if let Some(backend) = self.backends.get_mut(backend) {
                    backend.cancel_askers.push(asked.asker);
                }
                self.start_cancel(backend);
            }
            None => self.tell_over([asked.asker], Killed::Done),
        }
    }

    /// The client that a cancel key was given to, or that has a number.
    fn client_of(&self, warrant: &Warrant) -> Option<Key> {
        let place = self.shared.ids.place(warrant.id())?;
        let client = self.clients.key_at(place.slot)?;
        let found = self.clients.get(client)?;
        let is_its_own = match warrant {
            Warrant::Key(key) => found.secret == key.secret,
            Warrant::Kill(..) => true,
        };
        let is_it = found.id.number() == warrant.id() && is_its_own;
        (is_it && found.session.is_some()).then_some(client)
    }

    /// Whether who asks may end that client: nobody's rights are known here, so only a client of the same
    /// user may, if it doesn't have the key.
    fn entitles(&self, warrant: &Warrant, client: Key) -> bool {
        let Warrant::Kill(_, user) = warrant else {
            return true;
        };
        let client = self.clients.get(client);
        let lane = client.and_then(|client| self.lanes.all.get(client.lane));
        lane.is_some_and(|lane| lane.identity.user == *user)
    }

    /// The backend that runs a client's request. What only waits is taken off its queue.
    fn cancelled_backend(&mut self, client_key: Key) -> Option<Key> {
        let client = self.clients.get(client_key)?;
        match client.place {
            ClientPlace::Waiting => self.refuse(client_key, Failure::Cancelled),
            ClientPlace::Holding(backend) => {
                client.stats.cancels.add(1);
                return Some(backend);
            }
            ClientPlace::Idle | ClientPlace::Leaving => {}
        }
        None
    }

    pub(super) fn tell_over(&self, askers: impl IntoIterator<Item = Asker>, outcome: Killed) {
        for asker in askers {
            let letter = FrontLetter::CancelOver(asker, outcome);
            self.shared.front.post(letter);
        }
    }

    /// Whether a backend's client has asked for something that isn't sent yet, for what of the proxy's own
    /// stands before it. One that waits for that is for whatever is sent next.
    fn is_held(&self, key: Key) -> bool {
        let Some(backend) = self.backends.get(key) else {
            return false;
        };
        let BackendPlace::Lent(client) = backend.place else {
            return false;
        };
        let Some(client) = self.clients.get(client) else {
            return false;
        };
        let waits = backend.cancel_wanted.is_some();
        let held = client.session.as_ref().is_some_and(Session::is_held);
        (waits || held) && !client.wire.input().is_empty()
    }

    /// Nothing runs any more that a cancel could strike.
    pub(super) fn want_no_cancel(&mut self, key: Key) {
        if let Some(backend) = self.backends.get_mut(key) {
            backend.cancel_wanted = None;
            let askers = std::mem::take(&mut backend.cancel_askers);
            self.tell_over(askers, Killed::Done);
        }
    }

    /// What a cancel waited for needs none any more. Who asked is told when none is under way that could
    /// strike what the client asks next.
    fn let_cancel_end(&mut self, key: Key) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.cancel_wanted = None;
        if backend.cancels == 0 {
            self.want_no_cancel(key);
        }
    }

    /// A cancel that waits is looked at again.
    pub(super) fn resume_cancel(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        match (backend.cancel_wanted, &backend.link) {
            (Some(answered), Some(link)) if answered == link.answered() => self.start_cancel(key),
            (Some(_), _) => self.let_cancel_end(key),
            (None, _) => {}
        }
    }

    /// Begins to deliver a cancel to what a backend runs for its client; or has it wait until it strikes
    /// that, and nothing else of the proxy's.
    pub(super) fn start_cancel(&mut self, key: Key) {
        let held = self.is_held(key);
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let Some(link) = &backend.link else {
            return self.want_no_cancel(key);
        };
        let (aim, sent, answered) = (link.aim(), link.outstanding() > 0, link.answered());
        // One is delivered before the next goes out, so that all are over when the askers are told.
        let follows = backend.cancel_wanted == Some(answered) && backend.cancels > 0;
        if (sent || held) && (aim < Aim::Make || follows) {
            backend.cancel_wanted = Some(answered);
            return;
        }
        if aim < Aim::Make {
            return self.let_cancel_end(key);
        }
        let ask = self.ask_of(key);
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        // Its key is as secret as what the session says.
        let secured = backend.wire.is_tls();
        let machine = backend.link.as_ref();
        let machine = machine.and_then(|l| E::Canceller::new(l, secured, ask, &mut *self.random));
        let Some(machine) = machine else {
            return self.let_cancel_end(key);
        };
        let mut askers = Vec::new();
        if aim == Aim::Make && sent {
            // The request runs whatever becomes of this: what else is made for it is struck as well, and
            // then it is itself.
            backend.cancel_wanted = Some(answered);
        } else {
            backend.cancel_wanted = None;
            askers.append(&mut backend.cancel_askers);
        }
        backend.cancels += 1;
        let origin = backend.origin.clone();
        let token = self.driver.connect(origin.address);
        let cancel = self.cancels.insert(Cancel {
            wire: Wire::new(token),
            machine,
            facts: None,
            origin,
            sent: false,
            backend: key,
            askers,
        });
        self.own(token, Owner::Cancel(cancel));
        let deadline = self.driver.now().after(CANCEL_TIMEOUT);
        self.timers.set(deadline, Timer::Cancel(cancel));
    }

    /// As whom one logs in to where that backend is, if it is known still.
    fn ask_of(&self, key: Key) -> Option<BackendAsk<E::Credential>> {
        let backend = self.backends.get(key)?;
        let lane = self.lanes.all.get(backend.lane)?;
        let password = self.good_password.get(&lane.identity.user);
        self.ask(
            &lane.identity,
            &backend.origin,
            password.copied().unwrap_or(0),
        )
    }

    /// The connection is there.
    pub(super) fn cancel_connected(&mut self, key: Key) {
        if let Some(cancel) = self.cancels.get_mut(key) {
            cancel.wire.arm(&mut self.driver, true);
            self.go_on_cancelling(key);
        }
    }

    /// Bytes from the server.
    pub(super) fn cancel_received(&mut self, key: Key, data: Buffer) {
        let Some(cancel) = self.cancels.get_mut(key) else {
            return self.driver.recycle(data);
        };
        if cancel.wire.receive(&mut self.driver, data).is_err() {
            return self.fail_cancel(key, CancelFailure::TlsFailed);
        }
        self.go_on_cancelling(key);
    }

    fn go_on_cancelling(&mut self, key: Key) {
        loop {
            let Some(cancel) = self.cancels.get_mut(key) else {
                return;
            };
            if cancel.wire.tls().is_some_and(Tls::handshaking) {
                return;
            }
            if cancel.facts.is_none() {
                cancel.facts = cancel.wire.tls().map(Tls::facts);
            }
            let mut out = Vec::new();
            let input = cancel.wire.input();
            let (consumed, progress) = cancel.machine.feed(input, cancel.facts.as_ref(), &mut out);
            cancel.sent |= progress == CancelProgress::Sent;
            cancel.wire.consume(&mut self.driver, consumed);
            cancel.wire.push(&mut self.driver, &out);
            if cancel.wire.flush(&mut self.driver).is_err() {
                return self.fail_cancel(key, CancelFailure::TlsFailed);
            }
            match progress {
                CancelProgress::NeedMore | CancelProgress::Sent => {
                    if consumed == 0 || cancel.wire.input().is_empty() {
                        return;
                    }
                }
                CancelProgress::StartTls => return self.start_cancel_tls(key),
                CancelProgress::Over => return self.end_cancel(key, true),
                CancelProgress::Failed(reason) => return self.fail_cancel(key, reason),
            }
        }
    }

    fn start_cancel_tls(&mut self, key: Key) {
        let Some(cancel) = self.cancels.get_mut(key) else {
            return;
        };
        let kicked = cancel.origin.start_tls().and_then(|tls| {
            cancel.wire.start_tls(tls);
            cancel.wire.kick(&mut self.driver)
        });
        if kicked.is_err() {
            self.fail_cancel(key, CancelFailure::TlsFailed);
        }
    }

    /// The server closed the cancel's connection, which may say that the cancel was delivered. One that
    /// broke with the request on its way confirms nothing: the server may still read it.
    pub(super) fn cancel_closed(&mut self, key: Key, error: Option<ErrorKind>) {
        let sent = self.cancels.get(key).is_some_and(|cancel| cancel.sent);
        if error.is_none() && sent && E::Canceller::ENDS_BY_CLOSING {
            self.end_cancel(key, true);
        } else {
            self.fail_cancel(key, CancelFailure::Unreachable);
        }
    }

    /// A cancel doesn't get to its database: it ends here. Its key never goes out in the clear where
    /// its session doesn't.
    pub(super) fn fail_cancel(&mut self, key: Key, reason: CancelFailure) {
        let backend = self.cancels.get(key).map(|cancel| cancel.backend);
        if let Some(backend) = backend.and_then(|backend| self.backends.get(backend)) {
            count_cancel_failure(&backend.stats, reason);
            let notice = Notice::new("cancel_failed")
                .text("target", &*backend.target.name)
                .text("reason", reason.label());
            self.shared.notices.gossip(self.driver.now(), notice);
        }
        if let Some(cancel) = self.cancels.get_mut(key) {
            let askers = std::mem::take(&mut cancel.askers);
            self.tell_over(askers, Killed::Undelivered);
        }
        self.end_cancel(key, false);
    }

    /// A backend is gone: what would strike it is not delivered any more.
    pub(super) fn end_cancels_of(&mut self, backend: Key, count: u32) {
        if count == 0 {
            return;
        }
        let its = self.cancels.iter().filter(|(_, c)| c.backend == backend);
        let its: Vec<Key> = its.map(|(key, _)| key).collect();
        for key in its {
            self.end_cancel(key, false);
        }
    }

    /// Ends a cancel. One that went out and was not confirmed may still strike, so its backend must
    /// go; one that never went out strikes nothing.
    pub(super) fn end_cancel(&mut self, key: Key, confirmed: bool) {
        let Some(cancel) = self.cancels.remove(key) else {
            return;
        };
        self.tell_over(cancel.askers, Killed::Done);
        let token = cancel.wire.token;
        self.disown(token);
        cancel.wire.discard(&mut self.driver);
        if confirmed {
            self.driver.close(token);
        } else {
            self.driver.abort(token);
        }
        let Some(backend) = self.backends.get_mut(cancel.backend) else {
            return;
        };
        backend.cancels = backend.cancels.saturating_sub(1);
        let harmless = confirmed || !cancel.sent;
        let settling = matches!(backend.place, BackendPlace::Settling);
        match (harmless, settling, backend.cancels) {
            (true, true, 0) => self.reuse(cancel.backend, Release::Clean),
            (false, true, _) => self.kill(cancel.backend, KillReason::CancelUnconfirmed),
            (false, false, _) => backend.retired = true,
            _ => {}
        }
        self.resume_cancel(cancel.backend);
        let over = |backend: &super::Backend<E>| backend.cancel_wanted.is_none();
        if self.backends.get(cancel.backend).is_some_and(over) {
            self.let_cancel_end(cancel.backend);
        }
    }
}
