//! How clients log in.

use dbproxy_driver::{Buffer, Driver, Token};

use super::{Client, Clients, Stage};
use crate::speaker::{LoggingIn, Speaker};
use crate::witness::Waits;

impl<S: Speaker> Clients<S> {
    /// Those that wait for the end of their log-in.
    pub fn logging_in(&self) -> impl Iterator<Item = Waits> + '_ {
        let clients = self.clients.iter().enumerate();
        let begun = |c: &&Client<S>| c.stage == Stage::LoggingIn && !c.stutters;
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
        self.driver.arm(socket, true);
        let hello = client.speaker.hello();
        if !hello.is_empty() {
            self.say_first(at, socket, hello);
        }
    }

    /// Its first words, or some of them.
    fn say_first(&mut self, at: usize, socket: Token, mut words: Vec<u8>) {
        let client = &mut self.clients[at];
        client.spoke = true;
        if client.misbehaves && !self.calm && self.random.one_in(20) {
            // The proxy must lose its patience before this run does.
            words.truncate(self.random.index(words.len()));
            client.stutters = true;
            self.network
                .note(|| format!("client {}: never finishes its log-in", at + 1));
        }
        self.driver.send(socket, Buffer::from_vec(words));
    }

    pub(super) fn log_in(&mut self, at: usize, socket: Token, message: &[u8]) {
        let client = &mut self.clients[at];
        let mut witness = self.witness.borrow_mut();
        let led = client.speaker.log_in(message, &mut witness);
        drop(witness);
        match led {
            LoggingIn::Waits => {}
            LoggingIn::Says(words) if !client.spoke => self.say_first(at, socket, words),
            LoggingIn::Says(words) => self.send(socket, words),
            LoggingIn::Done => {
                client.stage = Stage::Ready;
                client.next_at = self.driver.now();
            }
        }
    }
}
