//! The trade in backends and room: who gets one that is free, here or on another worker.
//!
//! **Invariant.** A backend or a permit of target T lies idle only if nobody, on any worker, who may
//! use T and could get it has waited for long: a backend may go to waiters of its pool key, a permit
//! to waiters who have no log-in under way and aren't told to pause before the next (`pause`).
//! Everything here takes a target, for the oldest waiter of all may be one that T is no help to.
//!
//! It holds because there are two ways for a waiter and something idle to meet:
//! - what comes free is offered (`successor`, `permit_free`): to the oldest waiter of its key, here
//!   first; to another worker's if it is over 5 ms older; its room to a waiter of another key, whom
//!   it costs a log-in, only if that is over 100 ms older and has waited for 100 ms. Each worker
//!   shows its oldest waiters per target (`signs`), and one backend is promised to one waiter. Who is
//!   barred by a cap is shown where only that helps (`barred`).
//! - who waits asks (`seek` on this worker, `plead` on others): for idle backends of its key, then
//!   for room; a backend of another key that just came to rest is left alone for 100 ms as well.
//!
//! What is missed in a race is found by the next look around (`sweep`).

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{Engine, KillReason};

use crate::caps::Bar;
use crate::shared::{Lack, Letter, Loan, Plea};
use crate::signs::Waiter;
use crate::slab::Key;
use crate::snapshot::{Role, Snapshot, TargetId};

use super::lanes::Lane;
use super::places::BackendPlace;
use super::state::{Backend, Owner};
use super::{Todo, Worker};

/// How much older another worker's waiter must be.
const OTHER_WORKER_LEAD: Duration = Duration::from_millis(5);
/// How much older another key's waiter must be, and how long somebody must have waited (or have lain
/// idle) before a log-in is spent on that.
const OTHER_KEY_LEAD: Duration = Duration::from_millis(100);
/// How long a waiter waits before other workers are asked: a backend that changes hands costs more
/// than the moment until one of our own comes free.
const PATIENCE: Duration = Duration::from_millis(2);
/// How long an answer to a plea may take before the next is sent.
const ANSWERED: Duration = Duration::from_millis(10);
/// Lanes that a worker pleads for at once; the rest have their turn when these are served.
const PLEAS: usize = 4;

/// Who should have a backend that is free.
pub(super) enum Successor {
    /// A waiter of its key on this worker.
    Own(Key),
    /// The oldest waiter of its key on another worker, since then.
    Other(usize, Time),
    /// Nobody of its key; its place a waiter of another key, on that worker, since then, whom this
    /// bars.
    Place(usize, Time, Option<Bar>),
    /// Nobody now.
    Nobody,
}

/// Whether that is long enough ago for a log-in to be spent.
pub(super) fn aged(since: Time, now: Time) -> bool {
    since.after(OTHER_KEY_LEAD) <= now
}

/// Whether `since` lies more than `lead` before `own` (always, if there is no own).
fn older(since: Time, own: Option<Time>, lead: Duration) -> bool {
    own.is_none_or(|own| since.after(lead) < own)
}

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Who should have a backend, were it free.
    pub(super) fn successor(&self, backend: &Backend<E>) -> Successor {
        let (lane_key, target) = (backend.lane, &backend.target);
        let role = self.snapshot.as_ref().and_then(|s| s.role_of(target.id));
        let (Some(role), Some(lane)) = (role, self.lanes.all.get(lane_key)) else {
            return Successor::Nobody;
        };
        let now = self.driver.now();
        let own = lane.head(role);
        let own_since = own.map(|queued| queued.since);
        let needy = target.signs.neediest(Some(self.index));
        let shares = backend.permit.as_ref().map(|permit| &permit.shares);
        let barred: Vec<_> = shares.into_iter().flat_map(Self::barred_by).collect();
        let oldest = target.signs.oldest_of_key(self.index, lane.hash);
        let away = barred.iter().filter(|(worker, ..)| *worker != self.index);
        let asking = needy
            .into_iter()
            .chain(away.map(|(at, waiter, _)| (*at, *waiter)));
        let mut asking = asking.filter(|(_, waiter)| waiter.key == lane.hash);
        let same = oldest.or(asking.next().map(|(worker, waiter)| (worker, waiter.since)));
        if let Some((worker, since)) = same {
            if older(since, own_since, OTHER_WORKER_LEAD) {
                return Successor::Other(worker, since);
            }
        }
        let here = self.needy_for(target.id, role, Some(lane_key));
        let here = here.map(|(_, waiter)| (self.index, waiter));
        let needy = needy.into_iter().chain(here);
        let needy = needy.map(|(worker, waiter)| (worker, waiter, None));
        let barred = barred
            .into_iter()
            .map(|(worker, waiter, bar)| (worker, waiter, Some(bar)));
        let others = needy.chain(barred);
        let others = others.filter(|(_, waiter, _)| waiter.key != lane.hash);
        match others.min_by_key(|(_, waiter, _)| waiter.since) {
            Some((worker, Waiter { since, .. }, bar))
                if aged(since, now) && older(since, own_since, OTHER_KEY_LEAD) =>
            {
                Successor::Place(worker, since, bar)
            }
            _ => own.map_or(Successor::Nobody, |queued| Successor::Own(queued.client)),
        }
    }

    /// Whether somebody should have a backend as soon as its holder can do without.
    pub(super) fn is_wanted(&self, key: Key) -> bool {
        let backend = self.backends.get(key);
        let successor = backend.map(|backend| self.successor(backend));
        successor.is_some_and(|successor| !matches!(successor, Successor::Nobody))
    }

    /// The waiter that needs a connection to that target longest, of lanes other than `except`.
    pub(super) fn needy_for(
        &self,
        target: TargetId,
        role: Role,
        except: Option<Key>,
    ) -> Option<(Key, Waiter)> {
        let now = self.driver.now();
        self.lanes.neediest(role, |key, lane| {
            Some(key) != except
                && self.may_open(lane, target, now)
                && lane.bar(target, now).is_none()
        })
    }

    /// Lets the other workers see the oldest waiters of a role, on each target that serves it.
    pub(super) fn show_waiters(&mut self, role: Role) {
        self.show_barred(role);
        let now = self.driver.now();
        for target in self.snapshot.iter().flat_map(|s| s.serving(role)) {
            // Who can't log in pleads for what lies idle, and hides nobody behind it.
            let mut lanes = self.lanes.by_age(role);
            let oldest = lanes.find(|(_, lane)| {
                self.may_open(lane, target.id, now) && lane.bar(target.id, now).is_none()
            });
            let oldest = oldest.and_then(|(_, lane)| waiter(lane, role));
            let needy = self.needy_for(target.id, role, None);
            let needy = needy.map(|(_, waiter)| waiter);
            target.signs.show(self.index, oldest, needy);
        }
    }

    /// Shows nobody on the targets of a snapshot that is to be replaced.
    pub(super) fn hide_waiters(&mut self, before: &Snapshot<E::Credential>) {
        self.hide_barred();
        for target in before.targets.iter().flatten() {
            target.signs.show(self.index, None, None);
        }
    }

    /// Shows all waiters anew; promises to them that came to nothing lapse.
    pub(super) fn show_all_waiters(&mut self) {
        self.forget_barred_claims();
        for target in self
            .snapshot
            .iter()
            .flat_map(|s| s.targets.iter().flatten())
        {
            target.signs.forget_claims(self.index);
        }
        Role::BOTH.iter().for_each(|role| self.show_waiters(*role));
    }

    /// Asks workers that have idle backends for some, for waiters that have waited for a while.
    pub(super) fn plead(&mut self, now: Time) {
        for role in Role::BOTH {
            if self.plea_due(role).is_none_or(|due| due > now) {
                continue;
            }
            if let Some(pleaded_at) = self.pleaded_at.get_mut(role as usize) {
                *pleaded_at = now;
            }
            let lanes = self.lanes.by_age(role);
            let patient = lanes.take_while(|(_, lane)| {
                let head = lane.head(role);
                head.is_some_and(|head| head.since.after(PATIENCE) <= now)
            });
            let lanes = patient.map(|(key, _)| (key, self.lacks(key, role, now)));
            // However many wait that can't log in, or are barred, one that could gets its turn.
            let lanes = lanes.enumerate();
            let lanes: Vec<_> = lanes
                .filter(|(at, (_, room_on))| {
                    *at < PLEAS || room_on.iter().any(|(_, bar)| bar.is_none())
                })
                .collect();
            let lanes = lanes.into_iter();
            for (_, (lane, room_on)) in lanes.take(PLEAS + 1) {
                self.plead_for(lane, role, room_on);
            }
        }
    }

    /// Asks workers that have idle backends for some for one lane, or for room on these targets.
    /// Says whether there is anybody to ask.
    pub(super) fn plead_for(&self, lane: Key, role: Role, room_on: Vec<Lack>) -> bool {
        let Some(lane) = self.lanes.all.get(lane) else {
            return false;
        };
        let others: Vec<usize> = self.others_with_idle(role).collect();
        let plea = Plea {
            worker: self.index,
            identity: lane.identity.clone(),
            role,
            count: lane.waiting(role).len().div_ceil(others.len().max(1)),
            needy_since: lane.needy(role).map(|needy| needy.since),
            room_on,
        };
        for mailbox in others.iter().filter_map(|at| self.shared.workers.get(*at)) {
            mailbox.post(Letter::Plea(plea.clone()));
        }
        !others.is_empty()
    }

    /// When the oldest waiter of a role will have waited long enough for a plea, if that may help.
    fn plea_due(&self, role: Role) -> Option<Time> {
        let (_, lane) = self.lanes.by_age(role).next()?;
        self.others_with_idle(role).next()?;
        let pleaded_at = self.pleaded_at.get(role as usize)?;
        let patient = lane.head(role)?.since.after(PATIENCE);
        Some(patient.max(pleaded_at.after(ANSWERED)))
    }

    /// When the next plea is due.
    pub(super) fn next_plea(&self) -> Option<Time> {
        let due = Role::BOTH.iter().filter_map(|role| self.plea_due(*role));
        due.min()
    }

    /// The other workers that have an idle backend which sessions of that role may use.
    fn others_with_idle(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        let workers = (0..self.shared.workers.len()).filter(|worker| *worker != self.index);
        workers.filter(move |worker| {
            let mut targets = self.snapshot.iter().flat_map(|s| s.serving(role));
            targets.any(|target| {
                target
                    .signs
                    .idle(*worker)
                    .is_some_and(|idle| idle.get() > 0)
            })
        })
    }

    /// Another worker has waiters and no backend: gives it idle ones, or makes room.
    pub(super) fn answer_plea(&mut self, plea: &Plea) {
        let Some(snapshot) = self.snapshot.clone() else {
            return;
        };
        let same = self.backends.iter().filter(|(_, backend)| {
            let lane = self.lanes.all.get(backend.lane);
            matches!(backend.place, BackendPlace::Idle)
                && snapshot.role_of(backend.target.id) == Some(plea.role)
                && lane.is_some_and(|lane| lane.identity == plea.identity)
        });
        let same: Vec<Key> = same.map(|(key, _)| key).take(plea.count.max(1)).collect();
        for key in &same {
            self.depart(*key, plea.worker);
        }
        if let Some(since) = plea.needy_since.filter(|_| same.is_empty()) {
            let now = self.driver.now();
            let mut room_on = plea.room_on.clone();
            room_on.retain(|(target, _)| !self.pauses.holds(*target, now));
            self.evict(&plea.identity, &room_on, since);
        }
    }

    pub(super) fn depart(&mut self, key: Key, worker: usize) {
        let left = self.move_to(key, BackendPlace::Departing(worker));
        if let (Some(backend), Some(_)) = (self.backends.get(key), left) {
            self.driver.detach(backend.wire.token);
        }
    }

    /// A detached backend goes to the worker that asked for it.
    pub(super) fn send_loan(&mut self, key: Key, socket: D::Socket) {
        let Some(backend) = self.backends.remove(key) else {
            return;
        };
        let lane = self.lanes.all.get(backend.lane);
        let identity = lane.map(|lane| lane.identity.clone());
        self.lanes.leave(backend.lane);
        let Backend {
            wire,
            place: BackendPlace::Departing(worker),
            link: Some(link),
            permit: Some(permit),
            stats,
            counted_tls,
            origin,
            life,
            ..
        } = backend
        else {
            return;
        };
        stats.connections.sub(1);
        if counted_tls {
            stats.connections_tls.sub(1);
        }
        let (Some(identity), Some(mailbox)) = (identity, self.shared.workers.get(worker)) else {
            return self.shared.return_permit(permit, false);
        };
        mailbox.post(Letter::Loan(Box::new(Loan {
            socket,
            wire,
            link,
            identity,
            permit,
            origin,
            life,
        })));
    }

    /// Takes in a backend that another worker sent.
    pub(super) fn take_loan(&mut self, loan: Loan<E, D::Socket>) {
        let Loan {
            socket,
            wire,
            link,
            identity,
            mut permit,
            origin,
            life,
        } = loan;
        let token = self.driver.attach(socket);
        let snapshot = self.snapshot.clone();
        let target = snapshot
            .as_ref()
            .and_then(|s| s.target(permit.target))
            .cloned();
        let (Some(target), Some(snapshot)) = (target, snapshot) else {
            self.driver.abort(token);
            return self.shared.return_permit(permit, false);
        };
        // One that was on its way when a term ended may be the former writer's.
        let cut = permit.term() < snapshot.term && !snapshot.writes_at(target.id, origin.address);
        if !cut && permit.term() < snapshot.term {
            self.shared.renew(&mut permit, snapshot.term);
        }
        let fits = origin.fits(&snapshot, target.id, &identity.user);
        let spoke = !wire.input().is_empty();
        let stats = self.target_stats(&target.name);
        stats.connections.add(1);
        let mut wire = wire.moved_to(token);
        wire.arm(&mut self.driver, true);
        let counted_tls = wire.is_tls();
        if counted_tls {
            stats.connections_tls.add(1);
        }
        let key = self.backends.insert(Backend {
            wire,
            place: BackendPlace::Free,
            link: Some(link),
            lane: self.lanes.join(&identity),
            target,
            stats,
            permit: Some(permit),
            origin,
            life,
            since: self.driver.now(),
            due: None,
            rings: None,
            discarded: 0,
            cancels: 0,
            cancel_wanted: None,
            cancel_askers: Vec::new(),
            cut,
            retired: false,
            counted_tls,
        });
        self.own(token, Owner::Backend(key));
        if cut {
            return self.kill(key, KillReason::WriterLost);
        }
        if !fits {
            return self.kill(key, KillReason::Outdated);
        }
        if spoke {
            return self.spoke_out_of_turn(key);
        }
        self.todo.push_back(Todo::Offer(key));
    }
}

fn waiter(lane: &Lane, role: Role) -> Option<Waiter> {
    let since = lane.head(role)?.since;
    let key = lane.hash;
    Some(Waiter { key, since })
}
