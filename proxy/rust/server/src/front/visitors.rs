//! Other pods' errands to this one: they bring the cancel key of one of its clients, or its number. What they bring
//! is looked for here and passed on to nobody, so that no errand goes in circles.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use dbproxy_driver::{Buffer, Driver, Duration, Time, Token};
use dbproxy_engine::{Engine, Killed};

use crate::notice::Notice;
use crate::peers::{Badge, Peers};
use crate::warrant::{self, Asker, CancelAsked, Warrant};
use crate::wire::Wire;

use super::Front;

/// Visitors at once. Of those that haven't proved yet who they are, the one that came first makes
/// room for another.
const MOST: usize = 128;
/// How long one may take to say what it wants.
const WORD: Duration = Duration::from_secs(2);
/// How long a cancel may take; longer than its worker's own deadline.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long an answer may take to be read.
const LINGER: Duration = Duration::from_secs(2);

/// Where other pods come in.
#[derive(Default)]
pub(super) struct Visitors {
    listener: Option<(Token, u16)>,
    here: BTreeMap<Token, Visitor>,
}

struct Visitor {
    wire: Wire,
    asked: bool,
    came_at: Time,
    due: Time,
}

impl Visitors {
    pub(super) fn come_to(&self, listener: Token) -> bool {
        self.listener.is_some_and(|(token, _)| token == listener)
    }
}

impl<E: Engine, D: Driver> Front<E, D> {
    /// The fleet's other pods are these now. Their door stays open while this pod drains: its clients
    /// are still there, and their cancels come to the others by then.
    pub(super) fn meet(&mut self, peers: Arc<Peers>) {
        let open = self.visitors.listener.map(|(_, port)| port);
        if open != Some(peers.port) {
            self.open_to_peers(peers.port);
        }
        self.errands.peers = Some(peers);
    }

    fn open_to_peers(&mut self, port: u16) {
        if let Some((former, _)) = self.visitors.listener.take() {
            self.driver.close(former);
        }
        let address = SocketAddr::new(self.address, port);
        match self.driver.listen(address) {
            Ok(token) => self.visitors.listener = Some((token, port)),
            // Clients are served all the same: it is tried again when the pods change.
            Err(error) => {
                let notice = Notice::new("peers_locked_out")
                    .text("address", address.to_string())
                    .text("reason", error.to_string());
                self.shared.notices.push(notice);
            }
        }
    }

    pub(super) fn visited(&mut self, socket: Token) {
        let now = self.driver.now();
        if self.visitors.here.len() >= MOST {
            let strangers = self.visitors.here.iter().filter(|(_, v)| !v.asked);
            let first = strangers.min_by_key(|(_, visitor)| visitor.came_at);
            if let Some(first) = first.map(|(token, _)| *token) {
                self.end_visit(first);
            }
        }
        let tls = self.errands.peers.as_ref().map(|peers| peers.answer());
        let (Some(Ok(tls)), true) = (tls, self.visitors.here.len() < MOST) else {
            return self.driver.close(socket);
        };
        let mut wire = Wire::new(socket);
        wire.start_tls(tls);
        wire.arm(&mut self.driver, true);
        let visitor = Visitor {
            wire,
            asked: false,
            came_at: now,
            due: now.after(WORD),
        };
        self.visitors.here.insert(socket, visitor);
    }

    pub(super) fn visitor_received(&mut self, socket: Token, data: Buffer) {
        let Some(visitor) = self.visitors.here.get_mut(&socket) else {
            return self.driver.recycle(data);
        };
        // One that isn't of the fleet learns so by TLS, and needn't be told more.
        if visitor.wire.receive(&mut self.driver, data).is_err() || visitor.wire.tls_closed {
            return self.end_visit(socket);
        }
        if visitor.asked {
            return;
        }
        let Some(said) = Warrant::read(visitor.wire.input()) else {
            return;
        };
        visitor.asked = true;
        visitor.due = self.driver.now().after(PATIENCE);
        match said.filter(|warrant| Badge::in_id(warrant.id()) == self.shared.badge) {
            Some(warrant) => self.ask_worker(CancelAsked {
                warrant,
                asker: Asker::Socket(socket),
                endpoint: None,
            }),
            None => self.answer_visitor(socket, Killed::Unknown),
        }
    }

    /// What became of the cancel that a visitor brought.
    pub(super) fn answer_visitor(&mut self, socket: Token, outcome: Killed) {
        let now = self.driver.now();
        if let Some(visitor) = self.visitors.here.get_mut(&socket) {
            visitor
                .wire
                .push(&mut self.driver, &[warrant::answer(outcome)]);
            visitor.wire.finish(&mut self.driver);
            visitor.due = now.after(LINGER);
        }
    }

    pub(super) fn end_visit(&mut self, socket: Token) {
        if let Some(visitor) = self.visitors.here.remove(&socket) {
            visitor.wire.discard(&mut self.driver);
            self.driver.close(socket);
        }
    }

    pub(super) fn time_out_visitors(&mut self, now: Time) {
        let late = self.visitors.here.iter().filter(|(_, v)| v.due <= now);
        for socket in late.map(|(socket, _)| *socket).collect::<Vec<_>>() {
            self.end_visit(socket);
        }
    }
}
