//! Clients that are still logging in: TLS, the password exchange, and the way to their worker.

use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::{Driver, Duration, Time, Token};
use dbproxy_engine::{
    Admission, CancelKey, ClientLogin, CloseReason, Engine, LoginEnv, LoginProgress, TlsFacts,
};

use crate::gauge::Seat;
use crate::ids::Id;
use crate::limits::Life;
use crate::peers::Badge;
use crate::shared::{Arrival, Letter, Return};
use crate::snapshot::Listener;
use crate::tls::{ClientTls, Tls, TlsFault};
use crate::warrant::{Asker, CancelAsked, Warrant};
use crate::wire::Wire;

use super::{gate, Front};

/// How long a guest may say nothing at first.
const FIRST_BYTE: Duration = Duration::from_secs(5);
/// How long its TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long its log-in may take.
const LOGIN: Duration = Duration::from_secs(30);
/// How long a client that was told off may take to read it and leave.
const LINGER: Duration = Duration::from_secs(2);
/// How long a worker, here or in another pod, may take to say that a cancel is over; longer than its
/// own deadline for that.
const CANCEL_PATIENCE: Duration = Duration::from_secs(9);
/// Bytes that a client may send ahead while it logs in.
const MAX_EARLY: usize = 64 * 1024;

/// How far a guest came.
pub(super) enum Stage<H> {
    LoggingIn,
    Handshaking,
    /// Admitted; its socket is leaving this driver.
    Leaving(Admission<H>, Seat),
    /// It brought a cancel, and may believe it over when its connection is closed.
    Cancelling,
    /// Told off; reading on until it leaves, so that it gets to read the error.
    Lingering,
}

/// A client that is still logging in.
pub(super) struct Guest<E: Engine> {
    pub(super) wire: Wire,
    pub(super) login: E::ClientLogin,
    pub(super) facts: Option<TlsFacts>,
    pub(super) stage: Stage<E::Handover>,
    pub(super) listener: Arc<Listener>,
    pub(super) peer: SocketAddr,
    /// The number that stands for it.
    id: Id,
    came_at: Time,
    /// When it last said something.
    heard_at: Option<Time>,
    /// Since when it does what it does.
    stage_since: Time,
    /// Counted as one that may be inside soon.
    claims: bool,
    /// One too many in its second.
    too_fast: bool,
    /// How long it has been here, if it logs in again.
    life: Option<Life>,
}

impl<E: Engine> Guest<E> {
    /// One that just came, to that listener from that address.
    pub(super) fn new(
        wire: Wire,
        login: E::ClientLogin,
        (listener, peer): (Arc<Listener>, SocketAddr),
        id: Id,
        now: Time,
        too_fast: bool,
    ) -> Self {
        Self {
            wire,
            login,
            facts: None,
            stage: Stage::LoggingIn,
            listener,
            peer,
            id,
            came_at: now,
            heard_at: None,
            stage_since: now,
            claims: false,
            too_fast,
            life: None,
        }
    }

    /// When it last said something, or came.
    pub(super) fn heard_last(&self) -> Time {
        self.heard_at.unwrap_or(self.came_at)
    }

    /// It said something.
    pub(super) fn hears(&mut self, now: Time) {
        self.heard_at = Some(now);
    }

    /// The handshake begins with what it sent of it already.
    fn begin_tls<D: Driver>(&mut self, driver: &mut D, tls: &ClientTls) -> Result<(), TlsFault> {
        let early = self.wire.take_input();
        self.wire.start_tls(Tls::accept(tls)?);
        self.enter(Stage::Handshaking, driver.now());
        early.map_or(Ok(()), |early| self.wire.receive(driver, early))
    }

    /// From here on it does something else.
    pub(super) fn enter(&mut self, stage: Stage<E::Handover>, now: Time) {
        self.stage = stage;
        self.stage_since = now;
    }

    /// It is inside, or never will be.
    pub(super) fn unclaim(&mut self, claims: &mut u32) {
        *claims -= u32::from(std::mem::take(&mut self.claims));
    }

    /// When it has taken too long.
    pub(super) fn due(&self) -> Time {
        let over = self.came_at.after(LOGIN);
        match self.stage {
            Stage::LoggingIn if self.heard_at.is_none() => self.came_at.after(FIRST_BYTE),
            Stage::LoggingIn => over,
            Stage::Handshaking => self.stage_since.after(HANDSHAKE).min(over),
            Stage::Lingering => self.stage_since.after(LINGER),
            Stage::Cancelling => self.stage_since.after(CANCEL_PATIENCE),
            Stage::Leaving(..) => Time(u64::MAX),
        }
    }
}

impl<E: Engine, D: Driver> Front<E, D> {
    /// A client that was inside logs in again.
    pub(super) fn takes_back(&mut self, back: Return<E, D::Socket>) {
        let Return {
            socket,
            wire,
            login,
            id,
            life,
            listener,
            peer,
        } = back;
        let token = self.driver.attach(socket);
        let mut wire = wire.moved_to(token);
        wire.arm(&mut self.driver, true);
        let now = self.driver.now();
        let mut guest = Guest::new(wire, login, (listener, peer), id, now, false);
        guest.facts = guest.wire.tls().map(Tls::facts);
        guest.life = Some(life);
        // It has said something: that it logs in.
        guest.hears(now);
        self.guests.insert(token, guest);
        self.advance(token);
    }

    pub(super) fn advance(&mut self, socket: Token) {
        loop {
            let Some(guest) = self.guests.get_mut(&socket) else {
                return;
            };
            if guest.wire.tls_closed {
                self.count(socket, CloseReason::ClientLeft);
                return self.remove(socket);
            }
            match guest.stage {
                Stage::Handshaking => {
                    let Some(tls) = guest.wire.tls().filter(|tls| !tls.handshaking()) else {
                        return;
                    };
                    guest.facts = Some(tls.facts());
                    guest.stage = Stage::LoggingIn;
                }
                Stage::LoggingIn => {
                    if !self.log_in(socket) {
                        return;
                    }
                }
                Stage::Leaving(..) | Stage::Cancelling | Stage::Lingering => {
                    if guest.wire.input().len() > MAX_EARLY {
                        guest.wire.arm(&mut self.driver, false);
                    }
                    return;
                }
            }
        }
    }

    /// Feeds the log-in once. Says whether to look again.
    pub(super) fn log_in(&mut self, socket: Token) -> bool {
        let (Some(guest), Some(snapshot)) = (self.guests.get_mut(&socket), &self.snapshot) else {
            return false;
        };
        let mut out = Vec::new();
        let coming = self.shared.inside() + self.claims;
        let mut env = LoginEnv {
            shut: gate::shut(coming, guest.too_fast, &snapshot.limits),
            users: &snapshot.users,
            tls_available: snapshot.client_tls.is_some(),
            tls_required: snapshot.require_tls,
            tls: guest.facts.as_ref(),
            id: guest.id.number(),
            version: snapshot.version.as_deref(),
            random: &mut *self.random,
        };
        let (consumed, progress) = guest.login.feed(guest.wire.input(), &mut env, &mut out);
        if !guest.claims && !guest.login.claimed_user().is_empty() {
            guest.claims = true;
            self.claims += 1;
        }
        guest.wire.consume(&mut self.driver, consumed);
        guest.wire.push(&mut self.driver, &out);
        // The last answer to one that may come in leaves in one write with its worker's welcome.
        let admitted = matches!(progress, LoginProgress::Admitted(_));
        if !admitted && guest.wire.flush(&mut self.driver).is_err() {
            self.refuse(socket, None, CloseReason::TlsFailed);
            return false;
        }
        match progress {
            LoginProgress::NeedMore => consumed > 0 && !guest.wire.input().is_empty(),
            LoginProgress::StartTls => {
                let tls = snapshot.client_tls.clone();
                let began = tls.is_some_and(|tls| guest.begin_tls(&mut self.driver, &tls).is_ok());
                if !began {
                    self.refuse(socket, None, CloseReason::TlsFailed);
                }
                began
            }
            LoginProgress::Admitted(admission) => {
                let (user, now) = (&admission.identity.user, self.driver.now());
                match self.gate.admit(user, &snapshot.limits, now) {
                    Ok(seat) => {
                        guest.stage = Stage::Leaving(admission, seat);
                        self.hand_over(socket);
                    }
                    Err((reason, failure)) => self.refuse(socket, Some(failure), reason),
                }
                false
            }
            LoginProgress::Stays(admission, reason) => {
                let seat = self.gate.readmit(&admission.identity.user);
                guest.stage = Stage::Leaving(admission, seat);
                self.stays(socket, reason);
                self.hand_over(socket);
                false
            }
            LoginProgress::Cancel(key) => {
                self.count(socket, CloseReason::CancelRequest);
                self.pass_on_cancel(socket, key);
                false
            }
            LoginProgress::Close(reason) => {
                self.refuse(socket, None, reason);
                false
            }
        }
    }

    /// A cancel's connection stays open until it is over, wherever it leads: the client's next
    /// statement must not be struck.
    fn pass_on_cancel(&mut self, socket: Token, key: CancelKey) {
        let now = self.driver.now();
        let Some(guest) = self.guests.get_mut(&socket) else {
            return;
        };
        guest.enter(Stage::Cancelling, now);
        let asked = CancelAsked {
            warrant: Warrant::Key(key),
            asker: Asker::Socket(socket),
            endpoint: Some(guest.listener.name.clone()),
        };
        if Badge::in_id(key.id) == self.shared.badge {
            self.ask_worker(asked);
        } else {
            self.ask_abroad(asked);
        }
    }

    /// The worker that has the key's client looks whether the key is right. Also where no client has its
    /// number: how long an answer takes doesn't tell who is there.
    pub(super) fn ask_worker(&mut self, asked: CancelAsked) {
        let place = self.shared.ids.place(asked.warrant.id());
        let worker = place.map_or(0, |place| place.worker);
        if let Some(mailbox) = self.shared.workers.get(worker) {
            mailbox.post(Letter::Cancel(asked));
        }
    }

    pub(super) fn cancel_over(&mut self, socket: Token) {
        let guest = self.guests.get(&socket);
        if guest.is_some_and(|guest| matches!(guest.stage, Stage::Cancelling)) {
            self.linger(socket);
        }
    }

    /// An admitted client leaves for its worker as soon as all that was sent is on the way.
    pub(super) fn hand_over(&mut self, socket: Token) {
        if let Some(guest) = self.guests.get_mut(&socket) {
            if matches!(guest.stage, Stage::Leaving(..)) && self.driver.queued(socket) == 0 {
                guest.wire.arm(&mut self.driver, false);
                self.driver.detach(socket);
            }
        }
    }

    pub(super) fn deliver(&mut self, token: Token, socket: D::Socket) {
        let Some(mut guest) = self.guests.remove(&token) else {
            return;
        };
        guest.unclaim(&mut self.claims);
        let Stage::Leaving(admission, seat) = guest.stage else {
            return;
        };
        self.stats_of(&guest.listener.name).admitted.add(1);
        let signs = self.shared.signs.iter().enumerate();
        let Some((worker, signs)) = signs.min_by_key(|(_, s)| s.clients.get()) else {
            return;
        };
        // Counted here, so that a burst spreads before the workers look.
        signs.clients.change(1);
        self.shared.guests.change(-1);
        if let Some(mailbox) = self.shared.workers.get(worker) {
            mailbox.post(Letter::Arrival(Box::new(Arrival {
                socket,
                wire: guest.wire,
                admission,
                id: guest.id,
                seat,
                listener: guest.listener,
                peer: guest.peer,
                life: guest.life,
            })));
        }
    }
}
