//! Log-ins to the databases that fail or are given up: what is tried next, how long is waited, and
//! who is told.

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{BackendFailure, BackendFault, CloseReason, Engine, Failure, Identity};

use crate::ears::{key_of, EarLetter};
use crate::notice::Notice;
use crate::slab::Key;
use crate::snapshot::{Role, Target, TargetId};
use crate::tls::TlsFault;

use super::places::BackendPlace;
use super::state::Opening;
use super::{Todo, Worker};

/// So long a client waits before a connection is taken from those who listen.
const EARS_HOLD: Duration = Duration::from_secs(1);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A log-in failed; `gone` says that the server let go of the connection. Perhaps the next
    /// address or the next password will do.
    pub(super) fn open_failed(&mut self, key: Key, failure: BackendFailure, gone: bool) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let BackendPlace::Opening(opening) = &backend.place else {
            return;
        };
        let (lane, role, password) = (backend.lane, opening.role, opening.password);
        let (target, connected) = (backend.target.clone(), opening.login.is_some());
        let address = backend.origin.address;
        backend.stats.failed.add(1);
        if !connected {
            target.signs.address_failed(address);
            if self.try_next_address(key) {
                return;
            }
        }
        let user = self.lanes.all.get(lane).map(|l| l.identity.user.clone());
        let user = user.unwrap_or_default();
        let users = self.snapshot.as_ref().map(|s| &s.users.by_name);
        let known = users.and_then(|users| users.get(&user).map(|u| u.passwords.len()));
        if failure.fault == BackendFault::WrongPassword && password + 1 < known.unwrap_or(0) {
            // The next log-in of this user begins with the next password.
            self.good_password.insert(user, password + 1);
            self.opening_over(lane, role, &target);
            self.todo.push_back(Todo::Seek(lane, role));
        } else {
            self.good_password.remove(&user);
            self.opening_over(lane, role, &target);
            // The lane may go with its last member, so whoever waits there is told first.
            self.opening_failed(lane, role, &target, &failure);
        }
        self.let_go(key, gone || !connected);
    }

    /// Goes on with another address, if there is one that wasn't tried.
    fn try_next_address(&mut self, key: Key) -> bool {
        let Some(backend) = self.backends.get_mut(key) else {
            return false;
        };
        let BackendPlace::Opening(opening) = &backend.place else {
            return false;
        };
        let now = self
            .snapshot
            .as_ref()
            .and_then(|s| s.target(backend.target.id));
        let (tried, lane) = (opening.tried.clone(), backend.lane);
        let (role, password, deadline) = (opening.role, opening.password, opening.deadline);
        let Some(target) = now.cloned() else {
            return false;
        };
        let next = Self::next_address(&target, &tried);
        let identity = self.lanes.all.get(lane).map(|lane| lane.identity.clone());
        let (Some(next), Some(identity)) = (next, identity) else {
            return false;
        };
        let Some(permit) = self.backends.get_mut(key).and_then(|b| b.permit.take()) else {
            return false;
        };
        let again = Opening {
            login: None,
            facts: None,
            role,
            password,
            tried: tried.into_iter().chain([next]).collect(),
            deadline,
        };
        self.connect(identity, target, permit, again);
        self.remove_backend(key, true);
        true
    }

    /// A log-in that nobody wants any more: nothing else is tried in its place.
    pub(super) fn give_up_opening(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let BackendPlace::Opening(opening) = &backend.place else {
            return;
        };
        let (lane, role) = (backend.lane, opening.role);
        let (target, connected) = (backend.target.clone(), opening.login.is_some());
        self.opening_over(lane, role, &target);
        self.todo.push_back(Todo::Seek(lane, role));
        self.let_go(key, !connected);
    }

    /// Its place in the budget is free when the server let go of it (`gone`), which includes that it
    /// never had it.
    fn let_go(&mut self, key: Key, gone: bool) {
        if gone {
            self.remove_backend(key, true);
        } else {
            self.say_goodbye(key);
        }
    }

    pub(super) fn opening_failed(
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
        if is_everybodys(failure.fault) {
            self.pauses.lengthen(target.id, now, false);
        } else {
            lane.pauses
                .lengthen(target.id, now, failure.fault.is_final());
        }
        self.shared.notices.push(
            Notice::new("backend_failed")
                .text("target", &*target.name)
                .text("user", &*lane.identity.user)
                .text("database", &*lane.identity.database)
                .text("fault", failure.fault.label())
                .text("code", failure.code.clone())
                .text("message", failure.message.clone()),
        );
        if failure.fault == BackendFault::Full {
            self.make_room(lane_key, role, target.id);
        }
        self.show_waiters(role);
        if failure.fault.is_final() {
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
        // It had a permit: its user and its database may have one more.
        let lacks = vec![(target, None)];
        let Some(identity) = lane.map(|lane| lane.identity.clone()) else {
            return;
        };
        if self.evict(&identity, &lacks, needy.since)
            || self.plead_for(lane_key, role, lacks)
            || self.shed_in_the_way(target, &identity, needy.since)
        {
            let now = self.driver.now();
            if let Some(lane) = self.lanes.all.get_mut(lane_key) {
                lane.pauses.end(target);
                lane.pauses.lengthen(target, now, false);
            }
        }
    }

    /// Nothing lies idle: where who waits has done so for a while, a connection that listens makes way.
    fn shed_in_the_way(&self, target: TargetId, identity: &Identity, since: Time) -> bool {
        let timeout = self.snapshot.as_ref().map(|s| s.limits.borrow_timeout);
        let patience = timeout.map_or(EARS_HOLD, |all| EARS_HOLD.min(all / 4));
        let now = self.driver.now();
        if now < since.after(patience) {
            return false;
        }
        let name = self.shared.target_name(target);
        let open = self
            .shared
            .stats
            .targets()
            .get(&name)
            .map(|sum| sum.connections);
        let key = key_of(target, identity);
        let found = self.shared.ears.shed(&key, open.unwrap_or(0), now);
        if let Some(ear) = found {
            self.write_to(ear.worker, EarLetter::Shed(ear));
        }
        found.is_some()
    }

    /// The database judged a lane's log-in. Another server may let them in; what all of them say of
    /// this user, database or setting, its clients are told. Those that are in already hear of it at
    /// the second time in a row: a password that was changed a moment ago is no reason to fail.
    fn refused(&mut self, lane_key: Key, role: Role, failure: &BackendFailure) {
        let Some(lane) = self.lanes.all.get(lane_key) else {
            return;
        };
        let serving = self.snapshot.iter().flat_map(|s| s.meant_for(role));
        let refusals = serving.map(|target| lane.pauses.refusals(target.id)).min();
        if refusals == Some(0) {
            return self.todo.push_back(Todo::Seek(lane_key, role));
        }
        let again = refusals >= Some(2);
        self.shared.templates.unlearn(&lane.identity);
        let waiting: Vec<Key> = lane.waiting(role).iter().map(|w| w.client).collect();
        for key in waiting {
            let Some(client) = self.clients.get_mut(key) else {
                continue;
            };
            if client.session.is_some() {
                if again {
                    self.refuse(key, Failure::BackendUnavailable);
                }
                continue;
            }
            match (&failure.verbatim, &client.handover) {
                (Some(error), Some(handover)) if failure.fault != BackendFault::WrongPassword => {
                    let mut out = Vec::new();
                    E::pass_on(handover, error, &mut out);
                    client.wire.push(&mut self.driver, &out);
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

/// TLS with a database failed; how certificates are judged stands in docs/troubleshooting.md.
pub(super) fn tls_failure(fault: &TlsFault) -> BackendFailure {
    let text = format!("TLS with the database failed: {}", fault.0);
    BackendFailure::found(BackendFault::Unavailable, text)
}

/// Whether a failure says something of the server rather than of this very log-in. Of two it isn't sure
/// ([`BackendFault`]).
fn is_everybodys(fault: BackendFault) -> bool {
    fault == BackendFault::Unavailable
}
