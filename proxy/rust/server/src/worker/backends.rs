//! Backends that are logged in: answering, closing, being killed or lost.

use std::io::ErrorKind;

use dbproxy_driver::{Buffer, Driver, Time};
use dbproxy_engine::{BackendFailure, BackendFault, Engine, KillReason, Link};

use crate::slab::Key;
use crate::stats::count_kill;

use super::failing::tls_failure;
use super::places::BackendPlace;
use super::state::{ClientPlace, Timer};
use super::Worker;

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Bytes from a backend.
    pub(super) fn backend_received(&mut self, key: Key, data: Buffer) {
        let Some(backend) = self.backends.get_mut(key) else {
            return self.driver.recycle(data);
        };
        if matches!(backend.place, BackendPlace::Closing) {
            return self.driver.recycle(data);
        }
        let received = backend.wire.receive(&mut self.driver, data);
        let opening = matches!(backend.place, BackendPlace::Opening(_));
        match (received, opening) {
            (Ok(()), true) => self.go_on_opening(key),
            (Ok(()), false) => {
                let over = backend.wire.tls_closed;
                if !backend.wire.input().is_empty() {
                    self.pump_backend(key);
                }
                if over {
                    self.server_left(key);
                }
            }
            (Err(fault), true) => self.open_failed(key, tls_failure(&fault), false),
            (Err(_), false) => self.lose(key, KillReason::OutOfStep),
        }
    }

    /// A backend that nobody holds said something, or closed: it goes before anybody gets it.
    pub(super) fn spoke_out_of_turn(&mut self, key: Key) {
        self.kill(key, KillReason::SpokeWhileIdle);
    }

    /// The server closed, or its socket broke.
    pub(super) fn backend_closed(&mut self, key: Key, error: Option<ErrorKind>) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        match backend.place {
            BackendPlace::Opening(_) => {
                let address = backend.origin.address;
                let text = match error {
                    Some(kind) => format!("cannot reach {address}: {kind}"),
                    None => format!("{address} closed during the log-in"),
                };
                let name = backend.target.name.clone();
                let failure = BackendFailure::found(BackendFault::Unavailable, text);
                self.open_failed(key, failure, let_go_of(error));
                self.doubt(&name, "it cannot be connected to");
            }
            BackendPlace::Closing => self.remove_backend(key, let_go_of(error)),
            _ => {
                self.server_left(key);
                self.remove_backend(key, let_go_of(error));
            }
        }
    }

    /// The server ended a session, or is about to.
    fn server_left(&mut self, key: Key) {
        if let Some(backend) = self.backends.get(key).filter(|backend| !backend.cut) {
            let name = backend.target.name.clone();
            self.doubt(&name, "it closed a connection");
        }
        self.lose(key, KillReason::ServerClosed);
    }

    /// A backend may stay where it stands until then.
    pub(super) fn allow_until(&mut self, key: Key, due: Time) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.due = Some(due);
        // One timer at a time, which is set anew when it rings too soon: most stay nowhere for so long.
        if backend.rings.is_none_or(|at| at > due) {
            backend.rings = Some(due);
            self.timers.set(due, Timer::Backend(key));
        }
    }

    /// A backend's timer rings.
    pub(super) fn look_at_due(&mut self, key: Key) {
        let now = self.driver.now();
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        backend.rings = backend.rings.filter(|at| *at > now);
        match backend.due {
            Some(due) if due <= now => self.overstayed(key),
            Some(due) => self.allow_until(key, due),
            None => {}
        }
    }

    /// A backend has stood where it stands for as long as it may.
    pub(super) fn overstayed(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        match backend.place {
            BackendPlace::Opening(_) => self.backend_closed(key, Some(ErrorKind::TimedOut)),
            BackendPlace::Lent(_) => self.lose(key, KillReason::WriterLost),
            BackendPlace::Orphaned => self.kill(key, KillReason::ClientLost),
            BackendPlace::Ear(_) => self.kill(key, KillReason::OutOfStep),
            BackendPlace::Resetting => self.kill(key, KillReason::ResetFailed),
            BackendPlace::Settling => self.kill(key, KillReason::CancelUnconfirmed),
            BackendPlace::Departing(_) | BackendPlace::Closing => self.remove_backend(key, false),
            BackendPlace::Free | BackendPlace::Idle => {}
        }
    }

    /// All that was queued for a backend is with the kernel.
    pub(super) fn backend_drained(&mut self, key: Key) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        if let BackendPlace::Lent(client) = backend.place {
            self.regulate(client);
        }
    }

    /// Says goodbye to a backend that nobody holds any more; its permit returns with the EOF.
    pub(super) fn kill(&mut self, key: Key, reason: KillReason) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        match backend.place {
            BackendPlace::Closing | BackendPlace::Departing(_) => return,
            BackendPlace::Opening(_) => return self.give_up_opening(key),
            _ => {}
        }
        count_kill(&backend.stats, reason);
        let running = backend.link.as_ref().is_some_and(|l| l.outstanding() > 0);
        self.say_goodbye(key);
        if running && reason != KillReason::ServerClosed {
            // What it still does nobody wants: the server shall not finish it at leisure.
            self.start_cancel(key);
        }
    }

    /// From here on only the server's EOF is waited for.
    pub(super) fn say_goodbye(&mut self, key: Key) {
        self.move_to(key, BackendPlace::Closing);
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if let Some(link) = &backend.link {
            let mut out = Vec::new();
            link.goodbye(&mut out);
            backend.wire.push(&mut self.driver, &out);
        }
        backend.wire.finish(&mut self.driver);
    }

    /// Forgets a backend; its place in the budget is free. `confirmed`: the server let go of it. If
    /// it didn't, nothing of ours may reach it any more.
    pub(super) fn remove_backend(&mut self, key: Key, confirmed: bool) {
        self.leave_place(key);
        self.want_no_cancel(key);
        let Some(mut backend) = self.backends.remove(key) else {
            return;
        };
        let token = backend.wire.token;
        self.disown(token);
        backend.stats.connections.sub(1);
        if backend.counted_tls {
            backend.stats.connections_tls.sub(1);
        }
        let permit = backend.permit.take();
        self.lanes.leave(backend.lane);
        backend.wire.discard(&mut self.driver);
        self.end_cancels_of(key, backend.cancels);
        if confirmed {
            self.driver.close(token);
        } else {
            self.driver.abort(token);
        }
        if let Some(permit) = permit {
            self.shared.return_permit(permit, confirmed);
        }
    }

    /// A backend goes while somebody may hold it: its client is told the truth.
    pub(super) fn lose(&mut self, key: Key, reason: KillReason) {
        let holder = self.backends.get(key).map(|backend| match backend.place {
            BackendPlace::Lent(client) => Some(client),
            _ => None,
        });
        let Some(holder) = holder else {
            return;
        };
        if let Some(client) = holder {
            self.tell_loss(client, key);
        }
        if let Some(backend) = self.backends.get(key) {
            if matches!(
                backend.place,
                BackendPlace::Lent(_) | BackendPlace::Orphaned
            ) {
                self.part(holder, key);
            }
        }
        self.kill(key, reason);
        if let Some(client) = holder {
            if self
                .clients
                .get(client)
                .is_some_and(|c| c.place == ClientPlace::Idle)
            {
                self.settle_client(client);
            }
        }
    }

    /// Tells Python that a target may not be what it is taken for.
    pub(super) fn doubt(&self, target: &str, reason: &'static str) {
        self.shared.notices.doubt(self.driver.now(), target, reason);
    }
}

/// Whether the way in which a connection ended says that the server has let go of it.
fn let_go_of(error: Option<ErrorKind>) -> bool {
    let reset = [
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionRefused,
        ErrorKind::BrokenPipe,
    ];
    error.is_none_or(|kind| reset.contains(&kind))
}
