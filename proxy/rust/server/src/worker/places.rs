//! Where a backend stands in its life, and the one function that moves it from there to somewhere else
//! with all that belongs to it: the idle list, what is counted, whether it is listened to, how long it
//! may stay.
//!
//! ```text
//! Opening ── Free ── Idle ── Departing (to another worker, where it is Free)
//!             │ └── Lent ── Orphaned
//!             ├──── Ear ── Resetting
//!             └──── Resetting, Settling              all but Lent and Departing ── Closing
//! ```
//!
//! Who asks for a move says why; nothing but this file writes [`Backend::place`].

use std::fmt;

use dbproxy_driver::{Driver, Duration};
use dbproxy_engine::{Engine, KillReason};

use crate::slab::Key;

use super::state::Opening;
use super::Worker;

/// How long a server may take for what the proxy itself asks of it: to reset a session, to confirm a
/// cancel, to close after a goodbye.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request may run on after its client went. Long, because it was given in full and may be
/// meant so (a backup, an index); not for ever, because nobody is left to end it.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(3600);

/// Where a backend stands.
pub enum BackendPlace<E: Engine> {
    /// Connecting and logging in.
    Opening(Box<Opening<E>>),
    /// In its lane's idle list.
    Idle,
    /// In nobody's hands and in no list: about to be offered.
    Free,
    /// Lent to this client.
    Lent(Key),
    /// Its client left; the request runs to its end.
    Orphaned,
    /// It listens for clients, under that number.
    Ear(u64),
    /// Its session's state is being discarded.
    Resetting,
    /// Free, but a cancel for it is still on its way.
    Settling,
    /// On its way to another worker.
    Departing(usize),
    /// Goodbye was said; waiting for the server's EOF.
    Closing,
}

impl<E: Engine> BackendPlace<E> {
    /// How long a backend may stand there; `None` where somebody else sees to that.
    fn allowance(&self) -> Option<Duration> {
        match self {
            Self::Opening(_) | Self::Free | Self::Idle => None,
            Self::Lent(_) | Self::Ear(_) => None,
            Self::Orphaned => Some(ORPHAN_TIMEOUT),
            Self::Resetting | Self::Settling | Self::Departing(_) | Self::Closing => {
                Some(ANSWER_TIMEOUT)
            }
        }
    }

    /// What may become of a backend that stands there; all other moves are faults of ours.
    fn may_become(&self, to: &Self) -> bool {
        match self {
            Self::Opening(_) => matches!(to, Self::Free | Self::Closing),
            // From here to where it is wanted, or what must be done before.
            Self::Free => !matches!(to, Self::Opening(_) | Self::Orphaned),
            Self::Idle => matches!(to, Self::Free | Self::Departing(_) | Self::Closing),
            // Its client parts from it first, and is told why.
            Self::Lent(_) => matches!(to, Self::Free | Self::Orphaned),
            Self::Orphaned => matches!(to, Self::Free | Self::Closing),
            Self::Ear(_) => matches!(to, Self::Resetting | Self::Closing),
            Self::Resetting => matches!(to, Self::Free | Self::Settling | Self::Closing),
            Self::Settling => matches!(to, Self::Free | Self::Closing),
            // It is forgotten next.
            Self::Departing(_) | Self::Closing => false,
        }
    }

    /// Whether what it sends is wanted; `None` where its client's reading decides.
    fn listens(&self) -> Option<bool> {
        match self {
            Self::Lent(_) => None,
            Self::Departing(_) => Some(false),
            _ => Some(true),
        }
    }

    /// Whether it counts as borrowed.
    fn borrowed(&self) -> bool {
        matches!(self, Self::Lent(_) | Self::Orphaned)
    }
}

impl<E: Engine> fmt::Debug for BackendPlace<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening(_) => "Opening",
            Self::Idle => "Idle",
            Self::Free => "Free",
            Self::Lent(_) => "Lent",
            Self::Orphaned => "Orphaned",
            Self::Ear(_) => "Ear",
            Self::Resetting => "Resetting",
            Self::Settling => "Settling",
            Self::Departing(_) => "Departing",
            Self::Closing => "Closing",
        })
    }
}

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Moves a backend to another place; answers where it stood. A move that the table doesn't know
    /// ends it: nobody is sure of its state any more.
    pub(super) fn move_to(&mut self, key: Key, to: BackendPlace<E>) -> Option<BackendPlace<E>> {
        let from = &self.backends.get(key)?.place;
        if !from.may_become(&to) {
            debug_assert!(false, "a backend can't become {to:?} from {from:?}");
            match from {
                BackendPlace::Lent(_) => self.lose(key, KillReason::OutOfStep),
                BackendPlace::Departing(_) | BackendPlace::Closing => {}
                _ => self.kill(key, KillReason::OutOfStep),
            }
            return None;
        }
        self.leave_place(key);
        let now = self.driver.now();
        let backend = self.backends.get_mut(key)?;
        backend.since = now;
        backend.due = to.allowance().map(|time| now.after(time));
        backend.discarded = 0;
        if let Some(listens) = to.listens() {
            backend.wire.arm(&mut self.driver, listens);
        }
        let from = std::mem::replace(&mut backend.place, to);
        self.take_place(key);
        Some(from)
    }

    /// What goes with the place where a backend stands comes to it.
    fn take_place(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let signs = &backend.target.signs;
        if matches!(backend.place, BackendPlace::Idle) {
            if let Some(lane) = self.lanes.all.get_mut(backend.lane) {
                lane.list_idle(backend.target.id, key);
            }
            if let Some(idle) = signs.idle(self.index) {
                idle.rise();
            }
        }
        if backend.place.borrowed() {
            backend.stats.borrowed.add(1);
            if let Some(load) = signs.loaded(self.index) {
                load.rise();
            }
        }
        let orphaned = matches!(backend.place, BackendPlace::Orphaned);
        backend.stats.orphaned.add(u64::from(orphaned));
        let listens = matches!(backend.place, BackendPlace::Ear(_));
        backend.stats.listening.add(u64::from(listens));
    }

    /// What goes with the place where a backend stands is taken from it, before it leaves.
    pub(super) fn leave_place(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let signs = &backend.target.signs;
        if matches!(backend.place, BackendPlace::Idle) {
            if let Some(lane) = self.lanes.all.get_mut(backend.lane) {
                lane.unlist_idle(backend.target.id, key);
            }
            if let Some(idle) = signs.idle(self.index) {
                idle.fall();
            }
        }
        if backend.place.borrowed() {
            backend.stats.borrowed.sub(1);
            if let Some(load) = signs.loaded(self.index) {
                load.fall();
            }
        }
        let orphaned = matches!(backend.place, BackendPlace::Orphaned);
        backend.stats.orphaned.sub(u64::from(orphaned));
        if let BackendPlace::Ear(number) = backend.place {
            backend.stats.listening.sub(1);
            self.lose_ear(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use dbproxy_driver::sim::{Network, SimDriver};
    use dbproxy_driver::Time;
    use dbproxy_engine::Identity;
    use dbproxy_postgres::Postgres;

    use super::super::state::Backend;
    use super::*;
    use crate::limits::Life;
    use crate::notice::Notices;
    use crate::origin::Origin;
    use crate::shared::Shared;
    use crate::snapshot::Target;
    use crate::test_support::snapshot;
    use crate::wire::Wire;

    const ADDRESS: ([u8; 4], u16) = ([10, 0, 0, 2], 5432);

    fn worker() -> Worker<Postgres, SimDriver> {
        let network = Network::new(1);
        let (_, front) = network.host("front", [10, 0, 0, 1].into());
        let (_, driver) = network.host("worker", [10, 0, 0, 1].into());
        let notices = Notices::new(Arc::new(|| ()));
        let shared = Arc::new(Shared::new(front.waker(), vec![driver.waker()], notices));
        Worker::new(0, driver, shared, Box::new(|bytes| bytes.fill(0)))
    }

    fn target(worker: &Worker<Postgres, SimDriver>) -> Arc<Target> {
        let (id, signs) = worker.shared.target_id("db");
        Arc::new(Target {
            id,
            name: "db".into(),
            addresses: vec![SocketAddr::from(ADDRESS)],
            server_name: "db".into(),
            reader: false,
            available: true,
            max_connections: 1,
            max_idle: 1,
            min_idle: 0,
            defaults: "".into(),
            signs,
        })
    }

    fn backend(worker: &mut Worker<Postgres, SimDriver>, target: Arc<Target>) -> Key {
        let identity = Identity {
            user: "app".into(),
            database: "shop".into(),
            settings: Vec::new().into(),
            traces: Vec::new().into(),
        };
        let stats = worker.target_stats(&target.name);
        let origin = Origin::new(&snapshot(), &target, ADDRESS.into());
        let backend = Backend {
            wire: Wire::new(worker.driver.connect(ADDRESS.into())),
            place: BackendPlace::Free,
            link: None,
            lane: worker.lanes.join(&identity),
            target,
            stats,
            permit: None,
            origin,
            life: Life::default(),
            since: Time::default(),
            due: None,
            rings: None,
            discarded: 0,
            cancels: 0,
            cancel_wanted: None,
            cancel_askers: Vec::new(),
            cut: false,
            retired: false,
            counted_tls: false,
        };
        worker.backends.insert(backend)
    }

    #[test]
    fn a_backend_that_is_offered_twice_is_listed_once() {
        let mut worker = worker();
        let target = target(&worker);
        let key = backend(&mut worker, target.clone());
        worker.offer(key);
        worker.offer(key);
        let lane = worker.backends.get(key).map(|backend| backend.lane);
        let lane = lane.and_then(|lane| worker.lanes.all.get_mut(lane));
        let listed = lane.map(|lane| {
            lane.unlist_idle(target.id, key);
            lane.has_idle(target.id)
        });
        assert_eq!(listed, Some(false), "it was listed twice");
        let counted = target.signs.idle(0).map(|idle| idle.get());
        assert_eq!(counted, Some(1));
    }

    #[test]
    fn a_backend_that_closes_leaves_the_idle_list() {
        let mut worker = worker();
        let target = target(&worker);
        let key = backend(&mut worker, target.clone());
        worker.offer(key);
        worker.kill(key, KillReason::Idle);
        let lane = worker.backends.get(key).map(|backend| backend.lane);
        let lane = lane.and_then(|lane| worker.lanes.all.get_mut(lane));
        assert_eq!(lane.map(|lane| lane.has_idle(target.id)), Some(false));
        let counted = target.signs.idle(0).map(|idle| idle.get());
        assert_eq!(counted, Some(0));
    }

    #[test]
    fn what_is_counted_follows_a_backend_from_place_to_place() {
        let mut worker = worker();
        let target = target(&worker);
        let key = backend(&mut worker, target.clone());
        let path = [
            (BackendPlace::Lent(key), [1, 0, 1, 0]),
            (BackendPlace::Orphaned, [1, 1, 1, 0]),
            (BackendPlace::Free, [0; 4]),
            (BackendPlace::Resetting, [0; 4]),
            (BackendPlace::Settling, [0; 4]),
            (BackendPlace::Free, [0; 4]),
            (BackendPlace::Idle, [0, 0, 0, 1]),
            (BackendPlace::Closing, [0; 4]),
        ];
        for (place, counted) in path {
            let name = format!("{place:?}");
            assert!(worker.move_to(key, place).is_some(), "{name}");
            let stats = worker.target_stats(&target.name);
            let idle = target.signs.idle(0).map_or(0, |idle| idle.get());
            let now = [
                stats.borrowed.get() as u32,
                stats.orphaned.get() as u32,
                target.signs.load(),
                idle,
            ];
            assert_eq!(now, counted, "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "can't become Lent from Closing")]
    fn a_backend_that_closes_is_lent_to_nobody() {
        let mut worker = worker();
        let target = target(&worker);
        let key = backend(&mut worker, target);
        worker.kill(key, KillReason::Idle);
        worker.move_to(key, BackendPlace::Lent(key));
    }
}
