//! How guests go: told off, timed out, or crowded out by others.

use dbproxy_driver::{Driver, Time, Token};
use dbproxy_engine::{ClientLogin, CloseReason, Engine, Failure};

use crate::notice::Notice;
use crate::stats::count_close;

use super::guests::{Guest, Stage};
use super::Front;

/// Guests at once, for each client that may be inside: they cost memory before they proved anything.
const GUESTS_SHARE: u32 = 8;
/// So many guests at least.
const FEWEST_GUESTS: u32 = 64;
/// Of the guests, so many go at once when there is no room for another.
const CROWDED_OUT_SHARE: usize = 16;
/// Whoever it was, it wasn't who it said.
const FAILED_LOGINS: [CloseReason; 2] =
    [CloseReason::AuthenticationFailed, CloseReason::UnknownUser];

impl<E: Engine, D: Driver> Front<E, D> {
    /// Sees to it that another guest can be taken in. Those go that were told off, then those that
    /// have been silent longest: who logs in says something all the time.
    pub(super) fn make_room(&mut self) {
        let most = self.snapshot.as_ref().map_or(0, |s| s.limits.max_clients) / GUESTS_SHARE;
        let most = most.max(FEWEST_GUESTS) as usize;
        if self.guests.len() < most {
            return;
        }
        let staying = |guest: &Guest<E>| !matches!(guest.stage, Stage::Leaving(..));
        let mut order: Vec<(bool, Time, Token)> = self
            .guests
            .iter()
            .filter(|(_, guest)| staying(guest))
            .map(|(token, guest)| {
                let logging_in = !matches!(guest.stage, Stage::Lingering);
                (logging_in, guest.heard_last(), *token)
            })
            .collect();
        order.sort_unstable();
        // Several at once, so that a flood doesn't have all of them sorted for each that comes.
        for (logging_in, _, token) in order.into_iter().take((most / CROWDED_OUT_SHARE).max(1)) {
            if logging_in {
                self.count(token, CloseReason::CrowdedOut);
            }
            self.cast_out(token);
        }
    }

    /// A guest took too long. One that never said who it is gets no answer: it may not even speak
    /// the protocol, or wait for another one's first byte.
    pub(super) fn time_out(&mut self, token: Token) {
        let Some(guest) = self.guests.get(&token) else {
            return;
        };
        let named = !guest.login.claimed_user().is_empty();
        let version = self.snapshot.as_ref().and_then(|s| s.version.as_ref());
        let held = E::SPEAKS_FIRST && version.is_none();
        match guest.stage {
            Stage::Lingering => self.remove(token),
            Stage::Cancelling => self.cancel_over(token),
            Stage::LoggingIn if named => {
                let failure = Some(Failure::LoginTimeout);
                self.refuse(token, failure, CloseReason::LoginTimeout);
            }
            // No database could be asked what it is.
            Stage::LoggingIn if held => {
                let failure = Some(Failure::BorrowTimeout);
                self.refuse(token, failure, CloseReason::BorrowTimeout);
            }
            Stage::LoggingIn | Stage::Handshaking => {
                self.count(token, CloseReason::LoginTimeout);
                self.cast_out(token);
            }
            Stage::Leaving(..) => {}
        }
    }

    /// Tells a client off (with a failure of ours, or what its log-in wrote already), then waits a
    /// little for it to leave: closing at once would take the error from it.
    pub(super) fn refuse(&mut self, socket: Token, failure: Option<Failure>, reason: CloseReason) {
        self.count(socket, reason);
        let Some(guest) = self.guests.get_mut(&socket) else {
            return;
        };
        if let Some(failure) = failure {
            let mut out = Vec::new();
            guest.login.refuse(failure, &mut out);
            guest.wire.push(&mut self.driver, &out);
        }
        self.write_down(socket, reason);
        self.linger(socket);
    }

    /// A client failed to log in as another, and stays who it was.
    pub(super) fn stays(&mut self, socket: Token, reason: CloseReason) {
        let listener = self.guests.get(&socket).map(|g| g.listener.name.clone());
        if let Some(name) = listener.filter(|_| FAILED_LOGINS.contains(&reason)) {
            self.stats_of(&name).auth_failed.add(1);
            self.write_down(socket, reason);
        }
    }

    fn write_down(&self, socket: Token, reason: CloseReason) {
        let Some(guest) = self.guests.get(&socket) else {
            return;
        };
        let event = match FAILED_LOGINS.contains(&reason) {
            true => "login_failed",
            false => "client_closed",
        };
        let notice = Notice::new(event)
            .text("endpoint", &*guest.listener.name)
            .text("user", guest.login.claimed_user())
            .text("peer", guest.peer.to_string())
            .text("reason", reason.label());
        self.shared.notices.gossip(self.driver.now(), notice);
    }

    /// Says goodbye (within TLS too) and waits a little for the client to leave.
    pub(super) fn linger(&mut self, socket: Token) {
        if let Some(guest) = self.guests.get_mut(&socket) {
            guest.wire.finish(&mut self.driver);
            guest.enter(Stage::Lingering, self.driver.now());
            guest.unclaim(&mut self.claims);
        }
    }

    pub(super) fn count(&mut self, socket: Token, reason: CloseReason) {
        let Some(name) = self.guests.get(&socket).map(|g| g.listener.name.clone()) else {
            return;
        };
        let stats = self.stats_of(&name);
        count_close(&stats, reason);
        if FAILED_LOGINS.contains(&reason) {
            stats.auth_failed.add(1);
        }
    }

    pub(super) fn remove(&mut self, socket: Token) {
        if self.forget(socket) {
            self.driver.close(socket);
        }
    }

    /// Closes so that the kernel keeps nothing of it either.
    fn cast_out(&mut self, socket: Token) {
        if self.forget(socket) {
            self.driver.abort(socket);
        }
    }

    fn forget(&mut self, socket: Token) -> bool {
        let Some(mut guest) = self.guests.remove(&socket) else {
            return false;
        };
        guest.unclaim(&mut self.claims);
        self.shared.guests.change(-1);
        guest.wire.discard(&mut self.driver);
        true
    }
}
