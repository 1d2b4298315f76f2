//! KILL: what clients of this worker ask for of others, and what others ask for of them.

use dbproxy_driver::{Driver, Duration, Time};
use dbproxy_engine::{CloseReason, Engine, Kill, Killed, Session, Steps};

use crate::shared::FrontLetter;
use crate::slab::Key;
use crate::warrant::{Asker, CancelAsked, Warrant};

use super::places::BackendPlace;
use super::state::{ClientPlace, Timer};
use super::Worker;

/// How long one waits; longer than the front thread takes to tell another pod, and that one to answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A client ends another one, or what that runs: the front thread knows where it is.
    pub(super) fn ask_for_kill(&mut self, key: Key, kill: Kill) {
        let until = self.driver.now().after(PATIENCE);
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Some(lane) = self.lanes.all.get(client.lane) else {
            return;
        };
        client.kills_until = Some(until);
        self.timers.set(until, Timer::Kills(key));
        self.shared.front.post(FrontLetter::Kill(CancelAsked {
            warrant: Warrant::Kill(kill, lane.identity.user.clone()),
            asker: Asker::Client(self.index, key, until),
            endpoint: Some(client.listener.name.clone()),
        }));
    }

    /// What became of it; nothing that is still waited for, if that was until another time.
    pub(super) fn killed(&mut self, key: Key, until: Time, outcome: Killed) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.kills_until != Some(until) {
            return;
        }
        client.kills_until = None;
        let Some(session) = client.session.as_mut() else {
            return;
        };
        let backend = match client.place {
            ClientPlace::Holding(backend) => Some(backend),
            _ => None,
        };
        let mut steps = Steps::new();
        session.killed(outcome, &mut steps);
        self.play(key, backend, 0, steps);
        self.settle_client(key);
    }

    /// Nobody has said what became of it.
    pub(super) fn kills_for_long(&mut self, key: Key) {
        let client = self.clients.get(key);
        let until = client.and_then(|client| client.kills_until);
        if let Some(until) = until.filter(|until| *until <= self.driver.now()) {
            self.killed(key, until, Killed::Undelivered);
        }
    }

    /// A client is ended, and so is what it runs. As from a server, it hears no more.
    pub(super) fn kill_client(&mut self, key: Key, asker: Asker) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        client.stats.cancels.add(1);
        let ClientPlace::Holding(backend_key) = client.place else {
            self.close_client(key, CloseReason::Killed, None);
            return self.tell_over([asker], Killed::Done);
        };
        // Told when nothing runs there any more, or when that is cancelled.
        if let Some(backend) = self.backends.get_mut(backend_key) {
            backend.cancel_askers.push(asker);
        }
        self.close_client(key, CloseReason::Killed, None);
        let backend = self.backends.get(backend_key);
        let runs = backend.is_some_and(|backend| {
            matches!(backend.place, BackendPlace::Orphaned) && backend.cancels == 0
        });
        if runs {
            self.start_cancel(backend_key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dbproxy_driver::sim::{Network, SimDriver};
    use dbproxy_engine::{CancelKey, CancelSecret, Identity};
    use dbproxy_postgres::{Handover, Postgres};

    use super::super::state::Client;
    use super::*;
    use crate::gauge::Seat;
    use crate::ids::Place;
    use crate::limits::Life;
    use crate::notice::Notices;
    use crate::shared::Shared;
    use crate::slab::Slab;
    use crate::snapshot::{Listener, Role};
    use crate::wire::Wire;

    fn worker() -> Worker<Postgres, SimDriver> {
        let network = Network::new(1);
        let (_, front) = network.host("front", [10, 0, 0, 1].into());
        let (_, driver) = network.host("worker", [10, 0, 0, 1].into());
        let notices = Notices::new(Arc::new(|| ()));
        let shared = Arc::new(Shared::new(front.waker(), vec![driver.waker()], notices));
        Worker::new(0, driver, shared, Box::new(|bytes| bytes.fill(0)))
    }

    /// A logged-in client of that user's, which does nothing.
    fn client(worker: &mut Worker<Postgres, SimDriver>, user: &str) -> (Key, u32) {
        let identity = Identity {
            user: user.into(),
            database: "shop".into(),
            settings: [].into(),
            traces: [].into(),
        };
        let id = worker.shared.ids.give(worker.shared.badge);
        let number = id.number();
        let address = ([10, 0, 0, 3], 5432).into();
        let listener = Listener {
            name: "orders".into(),
            port: 15432,
            role: Role::ReadWrite,
        };
        let secret = CancelSecret::shown(&[0; 4]);
        let handover = Handover {
            application_name: None,
            long_cancel_key: false,
        };
        let key = CancelKey { id: number, secret };
        let session = Postgres::welcome(handover, &Arc::default(), key, &mut Vec::new());
        let client = Client {
            wire: Wire::new(worker.driver.connect(address)),
            session: Some(session),
            place: ClientPlace::Idle,
            lane: worker.lanes.join(&identity),
            stats: worker.endpoint_stats(&listener.name),
            listener: Arc::new(listener),
            login: None,
            handover: None,
            id,
            secret,
            since: Time::default(),
            wanted_at: Time::default(),
            asked_at: Time::default(),
            begun: None,
            begun_rings: false,
            stalled_since: None,
            kept_until: None,
            kills_until: None,
            reader: None,
            hearing: Default::default(),
            pinned: None,
            departing: false,
            life: Life::default(),
            outlived: false,
            _seat: Seat::take(&Arc::default()),
            peer: address,
        };
        let key = worker.clients.insert(client);
        let place = Place {
            worker: 0,
            slot: key.index,
        };
        worker.clients.get(key).expect("it").id.settle(place);
        (key, number)
    }

    /// A client of that user's asks for it; what it is told, or what the front thread is told of a client that
    /// isn't there.
    fn asks(
        worker: &mut Worker<Postgres, SimDriver>,
        user: &str,
        (id, whole): (u32, bool),
    ) -> Killed {
        let asker = Asker::Client(0, Slab::default().insert(()), Time(5));
        worker.cancel(CancelAsked {
            warrant: Warrant::Kill(Kill { id, whole }, user.into()),
            asker,
            endpoint: None,
        });
        let mut letters = worker.shared.front.collect();
        assert_eq!(letters.len(), 1);
        match letters.pop_front() {
            Some(FrontLetter::CancelOver(told, outcome)) if told == asker => outcome,
            Some(FrontLetter::CancelUnknown(_)) => Killed::Unknown,
            _ => panic!("another letter"),
        }
    }

    #[test]
    fn only_who_has_the_number_and_is_the_same_users_is_ended() {
        let mut worker = worker();
        let (app, number) = client(&mut worker, "app");
        let (other, _) = client(&mut worker, "app");
        for (user, id, whole, outcome) in [
            ("app", number + 7, true, Killed::Unknown),
            ("ops", number, true, Killed::NotOwner),
            ("ops", number, false, Killed::NotOwner),
            ("", number, true, Killed::NotOwner),
            ("app", number, false, Killed::Done),
            ("app", number, true, Killed::Done),
        ] {
            let place = |key| worker.clients.get(key).map(|client| client.place);
            assert_eq!(place(app), Some(ClientPlace::Idle));
            assert_eq!(asks(&mut worker, user, (id, whole)), outcome, "{user} {id}");
        }
        let place = |key| worker.clients.get(key).map(|client| client.place);
        assert_eq!(place(app), Some(ClientPlace::Leaving));
        assert_eq!(place(other), Some(ClientPlace::Idle));
        assert_eq!(asks(&mut worker, "app", (number, true)), Killed::Unknown);
    }

    #[test]
    fn an_answer_is_for_the_kill_that_is_waited_for() {
        let mut worker = worker();
        let (key, _) = client(&mut worker, "app");
        worker.ask_for_kill(key, Kill { id: 5, whole: true });
        let letters = worker.shared.front.collect();
        let Some(FrontLetter::Kill(asked)) = letters.into_iter().next() else {
            panic!("nothing is asked");
        };
        let Asker::Client(0, asker, until) = asked.asker else {
            panic!("{:?}", asked.asker);
        };
        assert_eq!(asker, key);
        let waits = |worker: &Worker<Postgres, SimDriver>| {
            worker
                .clients
                .get(key)
                .and_then(|client| client.kills_until)
        };
        worker.killed(key, Time(until.0 - 1), Killed::Done);
        assert_eq!(waits(&worker), Some(until));
        worker.kills_for_long(key);
        assert_eq!(waits(&worker), Some(until), "it isn't late yet");
        worker.killed(key, until, Killed::Done);
        assert_eq!(waits(&worker), None);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut worker = worker();
        let (key, _) = client(&mut worker, "app");
        worker.ask_for_kill(key, Kill { id: 5, whole: true });
        let client = worker.clients.get_mut(key).expect("it");
        client.kills_until = Some(worker.driver.now());
        worker.kills_for_long(key);
        let client = worker.clients.get(key).expect("it");
        assert_eq!(client.kills_until, None);
    }
}
