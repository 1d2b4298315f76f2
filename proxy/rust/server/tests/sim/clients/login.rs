//! How clients log in.

use dbproxy_driver::{Buffer, Driver, Token};

use super::{Client, Clients, Stage, PASSWORD};
use crate::wire;
use crate::witness::Waits;

impl Clients {
    /// Those that wait for the end of their log-in.
    pub fn logging_in(&self) -> impl Iterator<Item = Waits> + '_ {
        let clients = self.clients.iter().enumerate();
        let begun = |c: &&Client| c.stage == Stage::LoggingIn && !c.stutters;
        let waits = clients.filter(move |(_, c)| begun(c));
        waits.map(|(at, client)| Waits {
            who: format!("client {}", at + 1),
            class: client.class,
            since: client.asked_at,
        })
    }

    pub(super) fn greet(&mut self, at: usize, socket: Token) {
        let client = &mut self.clients[at];
        client.asked_at = self.driver.now();
        let mut hello = wire::startup(client.class.user, client.class.database);
        if client.misbehaves && !self.calm && self.random.one_in(20) {
            // The proxy must lose its patience before this run does.
            hello.truncate(self.random.index(hello.len()));
            client.stutters = true;
            self.network
                .note(|| format!("client {}: never finishes its log-in", at + 1));
        }
        self.driver.arm(socket, true);
        self.driver.send(socket, Buffer::from_vec(hello));
    }

    pub(super) fn log_in(&mut self, at: usize, socket: Token, message: &[u8]) {
        let client = &mut self.clients[at];
        let body = message.get(5..).unwrap_or_default();
        match message[0] {
            b'R' if body.get(..4) == Some(&[0, 0, 0, 5]) => {
                let answer = wire::md5_answer(client.class.user, PASSWORD, &body[4..8]);
                let answer = wire::message(b'p', &wire::texts(&[&answer]));
                self.driver.send(socket, Buffer::from_vec(answer));
            }
            b'K' => {
                let half = |from: usize| {
                    let bytes = body.get(from..from + 4).and_then(|b| b.try_into().ok());
                    u32::from_be_bytes(bytes.unwrap_or_default())
                };
                client.key = Some((half(0), half(4)));
            }
            b'Z' => {
                client.stage = Stage::Ready;
                client.next_at = self.driver.now();
            }
            b'E' => {
                let (code, text) = wire::error_fields(message);
                let mut witness = self.witness.borrow_mut();
                witness.refused += 1;
                if !matches!(code.as_str(), "53300" | "57P01" | "57P03" | "08006") {
                    witness.violation(format!("client {}: log-in {code} {text}", at + 1));
                }
            }
            _ => {}
        }
    }
}
