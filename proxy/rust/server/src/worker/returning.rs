//! Clients that log in again on the connection that they have. They go back to the front thread, as ones that have
//! just come but for their number and their age, and come to a worker anew.

use dbproxy_driver::Driver;
use dbproxy_engine::{CloseReason, Engine};

use crate::shared::{FrontLetter, Return};
use crate::slab::Key;
use crate::stats::move_pinned;

use super::Worker;

impl<E: Engine, D: Driver> Worker<E, D> {
    /// A session ends, and its client stays. What it holds becomes what it does when a client goes.
    pub(super) fn log_in_again(&mut self, key: Key) {
        self.abandon_backend(key);
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let lane = self.lanes.all.get(client.lane);
        let (Some(lane), Some(session)) = (lane, client.session.take()) else {
            return;
        };
        client.login = E::login_again(session, &lane.identity);
        if client.login.is_none() {
            return self.close_client(key, CloseReason::ProtocolViolation, None);
        }
        self.stop_hearing(key);
        self.hand_back(key);
    }

    /// It leaves as soon as all that it was sent is on the way.
    pub(super) fn hand_back(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.login.is_some() && self.driver.queued(client.wire.token) == 0 {
            client.wire.arm(&mut self.driver, false);
            self.driver.detach(client.wire.token);
        }
    }

    /// Its socket has left this worker's driver.
    pub(super) fn send_back(&mut self, key: Key, socket: D::Socket) {
        let Some(client) = self.clients.remove(key) else {
            return;
        };
        self.disown(client.wire.token);
        self.lanes.leave(client.lane);
        client.stats.clients.sub(1);
        if client.wire.is_tls() {
            client.stats.clients_tls.sub(1);
        }
        move_pinned(&client.stats, client.pinned, None);
        // It is one or the other at any time.
        self.shared.guests.change(1);
        if let Some(signs) = self.shared.signs.get(self.index) {
            signs.clients.change(-1);
        }
        if let Some(login) = client.login {
            self.shared.front.post(FrontLetter::Return(Box::new(Return {
                socket,
                wire: client.wire,
                login,
                id: client.id,
                life: client.life,
                listener: client.listener,
                peer: client.peer,
            })));
        }
    }
}
