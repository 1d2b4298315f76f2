//! New backends: connecting, TLS, logging in, and what a failure means for those who wait.

use std::sync::Arc;

use dbproxy_driver::{Driver, Duration};
use dbproxy_engine::{
    BackendAsk, BackendFailure, BackendLogin, BackendProgress, CloseReason, Engine, Failure, Link,
};

use crate::book::Permit;
use crate::notice::Notice;
use crate::slab::Key;
use crate::snapshot::{Role, Target, TargetId};
use crate::tls::{Tls, TlsMode};
use crate::wire::Wire;

use super::state::{Backend, BackendPlace, Opening, Owner, Timer};
use super::{Todo, Worker};

/// How long connecting and logging in may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// SQLSTATE of a server that has no connection left.
const TOO_MANY_CONNECTIONS: &str = "53300";

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
        let opening = Opening {
            login: None,
            role,
            password: password.unwrap_or(0),
            address: 0,
            deadline: self.driver.now().after(OPEN_TIMEOUT),
        };
        self.lanes.join(&identity);
        self.lanes.opening(lane, role);
        self.logins_in_flight += 1;
        if let Some(load) = target.signs.loaded(self.index) {
            load.rise();
        }
        self.connect(lane, target.clone(), permit, opening);
    }

    fn connect(&mut self, lane: Key, target: Arc<Target>, permit: Permit, opening: Opening<E>) {
        let stats = self.target_stats(&target.name);
        let Some(address) = target.addresses.get(opening.address).copied() else {
            let failure = local_failure("08001", "the target's host name has no address");
            self.opening_over(lane, opening.role, &target);
            self.opening_failed(lane, opening.role, &target, &failure);
            self.lanes.leave(lane);
            return self.shared.return_permit(permit, true);
        };
        stats.connections.add(1);
        let deadline = opening.deadline;
        let token = self.driver.connect(address);
        let key = self.backends.insert(Backend {
            wire: Wire::new(token),
            place: BackendPlace::Opening(Box::new(opening)),
            link: None,
            lane,
            target,
            stats,
            permit: Some(permit),
            address,
            since: self.driver.now(),
            cancels: 0,
            cancel_wanted: false,
            cut: false,
            retired: false,
            counted_tls: false,
        });
        self.own(token, Owner::Backend(key));
        self.timers.set(deadline, Timer::Opening(key));
    }

    fn opening_over(&mut self, lane: Key, role: Role, target: &Target) {
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
        let mut nonce = [0; 18];
        (self.random)(&mut nonce);
        let Some(snapshot) = self.snapshot.clone() else {
            return;
        };
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let Some(lane) = self.lanes.all.get(backend.lane) else {
            return;
        };
        let BackendPlace::Opening(opening) = &mut backend.place else {
            return;
        };
        let identity = lane.identity.clone();
        let user = snapshot.users.by_name.get(&identity.user);
        let Some(password) = user.and_then(|user| user.passwords.get(opening.password)) else {
            let failure = local_failure("28000", "the proxy has no password for this user");
            return self.open_failed(key, failure);
        };
        let mode = snapshot.backend_tls.mode;
        let ask = BackendAsk {
            identity,
            password: password.clone(),
            tls_wanted: mode != TlsMode::Disabled,
            tls_required: !matches!(mode, TlsMode::Disabled | TlsMode::Preferred),
            nonce,
            init_query: snapshot.init_query.clone(),
        };
        let mut out = Vec::new();
        opening.login = Some(E::BackendLogin::start(ask, &mut out));
        backend.wire.push(&mut self.driver, &out);
        backend.wire.arm(&mut self.driver, true);
        if backend.wire.flush(&mut self.driver).is_err() {
            self.open_failed(key, local_failure("08001", "TLS failed"));
        }
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
            let facts = backend.wire.tls().map(Tls::facts);
            let mut out = Vec::new();
            let input = backend.wire.input();
            let (consumed, progress) = login.feed(input, facts.as_ref(), &mut out);
            backend.wire.consume(&mut self.driver, consumed);
            backend.wire.push(&mut self.driver, &out);
            let flushed = backend.wire.flush(&mut self.driver).is_ok();
            match progress {
                _ if !flushed => {
                    return self.open_failed(key, local_failure("08001", "TLS failed"));
                }
                BackendProgress::NeedMore => {
                    if consumed == 0 || backend.wire.input().is_empty() {
                        return;
                    }
                }
                BackendProgress::StartTls => return self.start_backend_tls(key),
                BackendProgress::Ready(link) => return self.opened(key, link),
                BackendProgress::Failed(failure) => return self.open_failed(key, failure),
            }
        }
    }

    fn start_backend_tls(&mut self, key: Key) {
        let tls = self.snapshot.as_ref().map(|s| s.backend_tls.clone());
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let started = tls.and_then(|tls| Tls::connect(&tls, &backend.target.server_name).ok());
        let kicked = started.is_some_and(|tls| {
            backend.wire.start_tls(tls);
            backend.wire.kick(&mut self.driver).is_ok()
        });
        if !kicked {
            let text = "TLS to the database could not be started (is the host a valid name?)";
            self.open_failed(key, local_failure("08001", text));
        }
    }

    fn opened(&mut self, key: Key, link: E::Link) {
        let now = self.driver.now();
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let BackendPlace::Opening(opening) =
            std::mem::replace(&mut backend.place, BackendPlace::Free)
        else {
            return;
        };
        backend.since = now;
        backend.stats.opened.add(1);
        if backend.wire.is_tls() {
            backend.counted_tls = true;
            backend.stats.connections_tls.add(1);
        }
        let (lane, target) = (backend.lane, backend.target.clone());
        let quiet = backend.wire.input().is_empty();
        let params = link.params().clone();
        backend.link = Some(link);
        self.opening_over(lane, opening.role, &target);
        self.pauses.end(target.id);
        if let Some(lane) = self.lanes.all.get_mut(lane) {
            lane.pauses.end(target.id);
            self.good_password
                .insert(lane.identity.user.clone(), opening.password);
            self.shared.learn(opening.role, &lane.identity, &params);
        }
        if quiet {
            self.todo.push_back(Todo::Offer(key));
        } else {
            self.spoke_out_of_turn(key);
        }
    }

    /// A log-in failed: perhaps the next password or the next address will do.
    pub(super) fn open_failed(&mut self, key: Key, failure: BackendFailure) {
        let Some(mut backend) = self.backends.remove(key) else {
            return;
        };
        let token = backend.wire.token;
        self.disown(token);
        backend.stats.connections.sub(1);
        backend.stats.failed.add(1);
        let permit = backend.permit.take();
        backend.wire.discard(&mut self.driver);
        self.driver.close(token);
        let (BackendPlace::Opening(opening), Some(permit)) = (backend.place, permit) else {
            return;
        };
        let lane = self.lanes.all.get(backend.lane);
        let user = lane
            .map(|lane| lane.identity.user.clone())
            .unwrap_or_default();
        let users = self.snapshot.as_ref().map(|s| s.users.clone());
        let known = users.and_then(|users| users.by_name.get(&user).map(|u| u.passwords.len()));
        let never_connected = opening.login.is_none();
        let mut again = Opening {
            login: None,
            ..*opening
        };
        if failure.wrong_password && again.password + 1 < known.unwrap_or(0) {
            again.password += 1;
            return self.connect(backend.lane, backend.target, permit, again);
        }
        if never_connected && again.address + 1 < backend.target.addresses.len() {
            again.address += 1;
            return self.connect(backend.lane, backend.target, permit, again);
        }
        self.good_password.remove(&user);
        let target = backend.target.clone();
        self.opening_over(backend.lane, again.role, &target);
        // The lane may go with its last member, so whoever waits there is told first.
        self.opening_failed(backend.lane, again.role, &target, &failure);
        self.lanes.leave(backend.lane);
        self.shared.return_permit(permit, true);
    }

    fn opening_failed(
        &mut self,
        lane_key: Key,
        role: Role,
        target: &Target,
        failure: &BackendFailure,
    ) {
        let now = self.driver.now();
        let Some(lane) = self.lanes.all.get_mut(lane_key) else {
            return;
        };
        if is_everybodys(failure) {
            self.pauses.lengthen(target.id, now, false);
        } else {
            lane.pauses.lengthen(target.id, now, is_final(failure));
        }
        self.shared.notices.push(
            Notice::new("backend_failed")
                .text("target", &*target.name)
                .text("user", &*lane.identity.user)
                .text("database", &*lane.identity.database)
                .text("sqlstate", failure.sqlstate.clone())
                .text("message", failure.message.clone()),
        );
        if failure.sqlstate == TOO_MANY_CONNECTIONS {
            self.make_room(lane_key, role, target.id);
        }
        self.show_waiters(role);
        if is_final(failure) {
            self.refused(lane_key, role, failure);
        }
    }

    /// Others took what our budget still promises: a place of our own must do. Where there may be
    /// one, it is tried again as soon as that can be free.
    fn make_room(&mut self, lane_key: Key, role: Role, target: TargetId) {
        let lane = self.lanes.all.get(lane_key);
        let Some(needy) = lane.and_then(|lane| lane.needy(role)) else {
            return;
        };
        if self.evict(&[target], needy.since) || self.plead_for(lane_key, role, vec![target]) {
            let now = self.driver.now();
            if let Some(lane) = self.lanes.all.get_mut(lane_key) {
                lane.pauses.end(target);
                lane.pauses.lengthen(target, now, false);
            }
        }
    }

    /// The database judged a lane's log-in. Another server may let them in; what all of them say of
    /// this user, database or setting, its clients are told.
    fn refused(&mut self, lane_key: Key, role: Role, failure: &BackendFailure) {
        let Some(lane) = self.lanes.all.get(lane_key) else {
            return;
        };
        let mut serving = self.snapshot.iter().flat_map(|s| s.serving(role));
        if serving.any(|target| !lane.pauses.refused(target.id)) {
            return self.todo.push_back(Todo::Seek(lane_key, role));
        }
        drop(serving);
        self.shared.unlearn(&lane.identity);
        let waiting: Vec<Key> = lane.waiting(role).iter().map(|w| w.client).collect();
        for key in waiting {
            let Some(client) = self.clients.get_mut(key) else {
                continue;
            };
            if client.session.is_some() {
                continue;
            }
            match &failure.verbatim {
                Some(error) if !failure.wrong_password => {
                    client.wire.push(&mut self.driver, error);
                    self.close_client(key, CloseReason::BackendRefused, None);
                }
                _ => {
                    let why = Some(Failure::BackendUnavailable);
                    self.close_client(key, CloseReason::BackendRefused, why);
                }
            }
        }
    }
}

pub(super) fn local_failure(sqlstate: &str, message: &str) -> BackendFailure {
    BackendFailure {
        sqlstate: sqlstate.to_owned(),
        message: message.to_owned(),
        verbatim: None,
        wrong_password: false,
    }
}

/// Whether trying again soon is pointless: the database judged this very log-in. Not so while it
/// starts, stops, or is full (classes 53, 57, 08).
fn is_final(failure: &BackendFailure) -> bool {
    let class = failure.sqlstate.get(..2).unwrap_or_default();
    !matches!(class, "53" | "57" | "08")
}

/// Whether a failure says something of the server rather than of this very log-in: it can't be
/// reached, starts, stops, or lacks something. (A role and a database have limits of their own, so
/// that "too many connections" may be theirs.)
fn is_everybodys(failure: &BackendFailure) -> bool {
    !is_final(failure) && failure.sqlstate != TOO_MANY_CONNECTIONS
}
