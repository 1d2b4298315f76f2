//! What clients do besides asking and listening: they cancel, send files, read slowly, talk
//! nonsense, leave in the middle.

use dbproxy_driver::{Buffer, Driver, Duration, Time, Token};

use super::{Cancel, Clients, PATIENCE};
use crate::speaker::{Canceller, LoggingIn, Speaker};

impl<S: Speaker> Clients<S> {
    /// While it waits for an answer, it changes its mind.
    pub(super) fn asking(&mut self, at: usize) {
        let now = self.driver.now();
        let client = &mut self.clients[at];
        if client.leaving {
            return self.leave(at);
        }
        let cancel = client.speaker.take_cancel();
        if client.reads_again_at.take().is_some() {
            if let Some(socket) = client.socket {
                self.driver.arm(socket, true);
            }
        } else if let (Some(canceller), Some(of)) = (cancel, client.socket) {
            client.speaker.cancelled();
            let socket = self.driver.connect(client.address);
            let client = at;
            let cancel = Cancel {
                canceller,
                inbox: Vec::new(),
                client,
                of,
            };
            self.cancels.insert(socket, cancel);
            self.network.note(|| format!("client {}: cancels", at + 1));
        }
        self.clients[at].next_at = Time(u64::MAX).min(now.after(PATIENCE.saturating_mul(4)));
    }

    /// Who brings a cancel has heard something.
    pub(super) fn bring(&mut self, socket: Token) {
        while let Some(cancel) = self.cancels.get_mut(&socket) {
            let Some(message) = S::take_message(&mut cancel.inbox) else {
                return;
            };
            match cancel.canceller.hear(&message) {
                LoggingIn::Waits => {}
                LoggingIn::Says(bytes) => self.send(socket, bytes),
                LoggingIn::Done => {
                    self.brought(socket, true);
                    self.driver.close(socket);
                }
            }
        }
    }

    /// A connection that brought a cancel is at its end; `confirmed`: it strikes nothing any more.
    pub(super) fn brought(&mut self, socket: Token, confirmed: bool) {
        let Some(cancel) = self.cancels.remove(&socket) else {
            return;
        };
        let client = &mut self.clients[cancel.client];
        if confirmed && client.socket == Some(cancel.of) {
            client.speaker.cancel_over();
        }
    }

    pub(super) fn send(&mut self, socket: Token, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.driver.send(socket, Buffer::from_vec(bytes));
        }
    }

    pub(super) fn misbehave(&mut self, at: usize, socket: Token, bytes: &mut Vec<u8>) {
        let how = self.random.below(6);
        self.network
            .note(|| format!("client {}: misbehaves ({how})", at + 1));
        match how {
            // Reads nothing for a while.
            0 => {
                self.driver.arm(socket, false);
                let until = Duration::from_millis(self.random.between(10, 3000));
                let client = &mut self.clients[at];
                client.reads_again_at = Some(self.driver.now().after(until));
                client.next_at = self.driver.now().after(until);
                self.driver
                    .send(socket, Buffer::from_vec(std::mem::take(bytes)));
            }
            // Goes in the middle of what it says.
            1 => {
                bytes.truncate(self.random.index(bytes.len() + 1));
                self.driver
                    .send(socket, Buffer::from_vec(std::mem::take(bytes)));
                self.leave(at);
            }
            // Says all of it and is gone before the answer, properly or not.
            2 => {
                self.driver
                    .send(socket, Buffer::from_vec(std::mem::take(bytes)));
                if self.random.one_in(2) {
                    self.driver.finish(socket);
                }
                self.leave(at);
            }
            // Asks without end and reads nothing.
            3 => {
                let small = self.clients[at].speaker.small_requests();
                let size = self.random.between(1, 64) as usize * 1024;
                if let Some(small) = self.random.pick(&small) {
                    bytes.extend(small.repeat(size / small.len()));
                }
                self.driver.arm(socket, false);
                self.driver
                    .send(socket, Buffer::from_vec(std::mem::take(bytes)));
                let until = Duration::from_millis(self.random.between(10, 3000));
                let client = &mut self.clients[at];
                client.leaving = true;
                client.next_at = self.driver.now().after(until);
            }
            // Says all of it and nothing more, and waits for the answer, or not long enough.
            4 => {
                self.driver
                    .send(socket, Buffer::from_vec(std::mem::take(bytes)));
                self.driver.finish(socket);
                let until = Duration::from_millis(self.random.between(1, 12_000));
                let client = &mut self.clients[at];
                client.leaving = true;
                client.next_at = self.driver.now().after(until);
            }
            // Talks nonsense.
            _ => {
                let mut nonsense = vec![0; 1 + self.random.index(40)];
                self.random.fill(&mut nonsense);
                self.clients[at].speaker.garble(&mut nonsense);
                self.driver.send(socket, Buffer::from_vec(nonsense));
            }
        }
    }

    pub(super) fn send_file(&mut self, at: usize, socket: Token) {
        let client = &mut self.clients[at];
        let may_leave = !self.calm && client.misbehaves;
        let Some(file) = client.speaker.file(&mut self.random, may_leave) else {
            return;
        };
        self.driver.send(socket, Buffer::from_vec(file.bytes));
        if file.leaves {
            self.network
                .note(|| format!("client {}: leaves inside a file", at + 1));
            self.leave(at);
        }
    }
}
