//! New backends: connecting, TLS, logging in, and what a failure means for those who wait.

use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::{Driver, Duration};
use dbproxy_engine::{
    BackendAsk, BackendFailure, BackendFault, BackendLogin, BackendProgress, Engine, Identity, Link,
};

use crate::book::Permit;
use crate::limits::Life;
use crate::origin::Origin;
use crate::slab::Key;
use crate::snapshot::{Role, Target};
use crate::tls::{Tls, TlsMode};
use crate::wire::Wire;

use super::failing::tls_failure;
use super::places::BackendPlace;
use super::state::{Backend, Opening, Owner};
use super::{Todo, Worker};

/// How long connecting and logging in may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an address may take to answer where there is more than one: also the last that is left,
/// since those before it may have come back meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Begins a new connection for the waiters of a lane.
    pub(super) fn open_backend(
        &mut self,
        lane: Key,
        role: Role,
        target: &Arc<Target>,
        permit: Permit,
    ) {
        let Some(identity) = self.lanes.all.get(lane).map(|lane| lane.identity.clone()) else {
            return self.shared.return_permit(permit, true);
        };
        let password = self.good_password.get(&identity.user).copied();
        let Some(address) = Self::next_address(target, &[]) else {
            let message = "the target's host name has no address";
            let failure = BackendFailure::found(BackendFault::Unavailable, message);
            self.opening_failed(lane, role, target, &failure);
            return self.shared.return_permit(permit, true);
        };
        let opening = Opening {
            login: None,
            facts: None,
            role,
            password: password.unwrap_or(0),
            tried: vec![address],
            deadline: self.driver.now().after(OPEN_TIMEOUT),
        };
        self.lanes.opening(lane, role);
        self.logins_in_flight += 1;
        if let Some(load) = target.signs.loaded(self.index) {
            load.rise();
        }
        self.connect(identity, target.clone(), permit, opening);
    }

    /// The address to try next: the one that answered last, then the others in their order.
    pub(super) fn next_address(target: &Target, tried: &[SocketAddr]) -> Option<SocketAddr> {
        let good = target.signs.good_address();
        let untried = |address: &&SocketAddr| !tried.contains(address);
        let known = good.as_ref().filter(|good| target.addresses.contains(good));
        let mut all = known.into_iter().chain(&target.addresses);
        all.find(untried).copied()
    }

    /// Connects to the address that was chosen last.
    pub(super) fn connect(
        &mut self,
        identity: Identity,
        target: Arc<Target>,
        permit: Permit,
        opening: Opening<E>,
    ) {
        let (Some(address), Some(snapshot)) = (opening.tried.last(), self.snapshot.clone()) else {
            return self.shared.return_permit(permit, true);
        };
        let now = self.driver.now();
        let left = target.addresses.len().saturating_sub(opening.tried.len());
        let share = opening.deadline.since(now) / (u32::try_from(left).unwrap_or(0) + 1);
        let answers_by = match target.addresses.len() {
            1 => opening.deadline,
            _ => now.after(share.min(CONNECT_TIMEOUT)),
        };
        let stats = self.target_stats(&target.name);
        stats.connections.add(1);
        let life = Life::new(now, &mut *self.random);
        let token = self.driver.connect(*address);
        let key = self.backends.insert(Backend {
            wire: Wire::new(token),
            origin: Origin::new(&snapshot, &target, *address),
            place: BackendPlace::Opening(Box::new(opening)),
            link: None,
            lane: self.lanes.join(&identity),
            target,
            stats,
            permit: Some(permit),
            life,
            since: now,
            due: None,
            rings: None,
            discarded: 0,
            cancels: 0,
            cancel_wanted: None,
            cancel_askers: Vec::new(),
            cut: false,
            retired: false,
            counted_tls: false,
        });
        self.own(token, Owner::Backend(key));
        self.allow_until(key, answers_by);
    }

    pub(super) fn opening_over(&mut self, lane: Key, role: Role, target: &Target) {
        self.logins_in_flight = self.logins_in_flight.saturating_sub(1);
        if let Some(load) = target.signs.loaded(self.index) {
            load.fall();
        }
        self.lanes.opened(lane, role);
        self.show_waiters(role);
        // Somebody may have waited for this log-in's turn.
        if let Some((lane, _)) = self.needy_for(target.id, role, None) {
            self.todo.push_back(Todo::Seek(lane, role));
        }
    }

    /// The socket is connected: the log-in begins.
    pub(super) fn backend_connected(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let Some(lane) = self.lanes.all.get(backend.lane) else {
            return;
        };
        let BackendPlace::Opening(opening) = &backend.place else {
            return;
        };
        backend
            .target
            .signs
            .address_answered(backend.origin.address);
        let deadline = opening.deadline;
        let identity = lane.identity.clone();
        let password = opening.password;
        let origin = backend.origin.clone();
        let Some(ask) = self.ask(&identity, &origin, password) else {
            let message = "the proxy has no password for this user";
            let failure = BackendFailure::found(BackendFault::NotLetIn, message);
            return self.open_failed(key, failure, false);
        };
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let BackendPlace::Opening(opening) = &mut backend.place else {
            return;
        };
        let mut out = Vec::new();
        opening.login = Some(E::BackendLogin::start(ask, &mut *self.random, &mut out));
        backend.wire.push(&mut self.driver, &out);
        backend.wire.arm(&mut self.driver, true);
        if let Err(fault) = backend.wire.flush(&mut self.driver) {
            return self.open_failed(key, tls_failure(&fault), false);
        }
        self.allow_until(key, deadline);
    }

    /// What a log-in with that password of the user's asks for; `None` if there is none such.
    pub(super) fn ask(
        &self,
        identity: &Identity,
        origin: &Origin,
        password: usize,
    ) -> Option<BackendAsk<E::Credential>> {
        let user = self.snapshot.as_ref()?.users.by_name.get(&identity.user)?;
        let mode = origin.tls_mode();
        Some(BackendAsk {
            identity: identity.clone(),
            password: user.passwords.get(password)?.clone(),
            credential: user.credential.clone(),
            keys: self.keys.clone(),
            tls_wanted: mode != TlsMode::Disabled,
            tls_required: !matches!(mode, TlsMode::Disabled | TlsMode::Preferred),
            init_query: origin.init_query(),
        })
    }

    pub(super) fn go_on_opening(&mut self, key: Key) {
        loop {
            let Some(backend) = self.backends.get_mut(key) else {
                return;
            };
            let BackendPlace::Opening(opening) = &mut backend.place else {
                return;
            };
            let Some(login) = opening.login.as_mut() else {
                return;
            };
            if backend.wire.tls().is_some_and(Tls::handshaking) {
                return;
            }
            if opening.facts.is_none() {
                opening.facts = backend.wire.tls().map(Tls::facts);
            }
            let mut out = Vec::new();
            let input = backend.wire.input();
            let (consumed, progress) = login.feed(input, opening.facts.as_ref(), &mut out);
            backend.wire.consume(&mut self.driver, consumed);
            backend.wire.push(&mut self.driver, &out);
            if let Err(fault) = backend.wire.flush(&mut self.driver) {
                return self.open_failed(key, tls_failure(&fault), false);
            }
            match progress {
                BackendProgress::NeedMore => {
                    if consumed == 0 || backend.wire.input().is_empty() {
                        return;
                    }
                }
                BackendProgress::Working => {
                    if !self.working.contains(&key) {
                        self.working.push_back(key);
                    }
                    return;
                }
                BackendProgress::StartTls => return self.start_backend_tls(key),
                BackendProgress::Ready(link) => return self.opened(key, link),
                BackendProgress::Failed(failure) => return self.open_failed(key, failure, false),
            }
        }
    }

    fn start_backend_tls(&mut self, key: Key) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let kicked = backend.origin.start_tls().and_then(|tls| {
            backend.wire.start_tls(tls);
            backend.wire.kick(&mut self.driver)
        });
        if let Err(fault) = kicked {
            self.open_failed(key, tls_failure(&fault), false);
        }
    }

    fn opened(&mut self, key: Key, link: E::Link) {
        let Some(BackendPlace::Opening(opening)) = self.move_to(key, BackendPlace::Free) else {
            return;
        };
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.stats.opened.add(1);
        if backend.wire.is_tls() {
            backend.counted_tls = true;
            backend.stats.connections_tls.add(1);
        }
        let (lane, target) = (backend.lane, backend.target.clone());
        let quiet = backend.wire.input().is_empty();
        let params = link.template().clone();
        backend.link = Some(link);
        if quiet {
            // Before anybody looks for more: whom it serves needs no other one.
            self.todo.push_back(Todo::Offer(key));
        }
        self.opening_over(lane, opening.role, &target);
        self.pauses.end(target.id);
        if let Some(lane) = self.lanes.all.get_mut(lane) {
            lane.pauses.end(target.id);
            self.good_password
                .insert(lane.identity.user.clone(), opening.password);
            self.shared
                .templates
                .learn(opening.role, &lane.identity, &params);
        }
        if !quiet {
            self.spoke_out_of_turn(key);
        }
    }
}
