//! What clients do besides asking and listening: they cancel, send COPY data, read slowly, talk
//! nonsense, leave in the middle.

use dbproxy_driver::{Buffer, Driver, Duration, Time, Token};

use super::{Cancel, Clients, PATIENCE};
use crate::wire;

impl Clients {
    /// While it waits for an answer, it changes its mind.
    pub(super) fn asking(&mut self, at: usize) {
        let now = self.driver.now();
        let client = &mut self.clients[at];
        if client.leaving {
            return self.leave(at);
        }
        if client.reads_again_at.take().is_some() {
            if let Some(socket) = client.socket {
                self.driver.arm(socket, true);
            }
        } else if let (Some(key), Some(of)) = (client.key, client.socket) {
            client.judge.cancelled();
            let socket = self.driver.connect(client.address);
            let client = at;
            self.cancels.insert(socket, Cancel { key, client, of });
            self.network.note(|| format!("client {}: cancels", at + 1));
        }
        self.clients[at].next_at = Time(u64::MAX).min(now.after(PATIENCE.saturating_mul(4)));
        self.clients[at].key = None;
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
                let small = [wire::sync(), wire::query(""), wire::message(b'H', &[])];
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
                nonsense[0] = b'!';
                self.driver.send(socket, Buffer::from_vec(nonsense));
                self.clients[at].judge.talked_nonsense();
            }
        }
    }

    pub(super) fn answer_copy(&mut self, at: usize, socket: Token) {
        let Some((token, fails)) = self.clients[at].judge.copying() else {
            return;
        };
        let mut bytes = Vec::new();
        for row in 0..self.random.below(200) {
            let line = format!("t{token}\t{row}\n");
            bytes.extend(wire::message(b'd', line.as_bytes()));
        }
        if !self.calm && self.clients[at].misbehaves && self.random.one_in(4) {
            self.network
                .note(|| format!("client {}: leaves inside a COPY", at + 1));
            self.driver.send(socket, Buffer::from_vec(bytes));
            return self.leave(at);
        }
        bytes.extend(match fails {
            true => wire::message(b'f', b"no more\0"),
            false => wire::message(b'c', &[]),
        });
        self.driver.send(socket, Buffer::from_vec(bytes));
    }
}
