//! Two drivers that talk to each other, and what happened on them.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::{Driver, Duration, Event, Token};

/// Two drivers, and what happened on them.
#[derive(Debug)]
pub(super) struct Bench<D: Driver> {
    pub near: Side<D>,
    pub far: Side<D>,
}

#[derive(Debug)]
pub(super) struct Side<D: Driver> {
    pub driver: D,
    pub events: Vec<Event<D::Socket>>,
}

impl<D: Driver> Side<D> {
    pub fn new(driver: D) -> Self {
        let events = Vec::new();
        Self { driver, events }
    }

    pub fn turn(&mut self) {
        let deadline = self.driver.now().after(Duration::from_millis(2));
        self.driver.wait(Some(deadline), &mut self.events);
    }

    pub fn received(&self, token: Token) -> Vec<u8> {
        let mut bytes = Vec::new();
        for event in &self.events {
            if let Event::Received { socket, data } = event {
                if *socket == token {
                    assert!(!data.is_empty(), "received nothing");
                    bytes.extend_from_slice(data.as_slice());
                }
            }
        }
        bytes
    }

    pub fn closed(&self, token: Token) -> Option<Option<ErrorKind>> {
        self.events.iter().find_map(|event| match event {
            Event::Closed { socket, error } if *socket == token => Some(*error),
            _ => None,
        })
    }

    pub fn sent(&self, token: Token) -> bool {
        let mut events = self.events.iter();
        events.any(|event| matches!(event, Event::Sent { socket } if *socket == token))
    }

    pub fn connected(&self, token: Token) -> bool {
        let mut events = self.events.iter();
        events.any(|event| matches!(event, Event::Connected { socket } if *socket == token))
    }

    pub fn accepted(&self) -> Option<Token> {
        self.events.iter().find_map(|event| match event {
            Event::Accepted { socket, .. } => Some(*socket),
            _ => None,
        })
    }

    pub fn send(&mut self, token: Token, bytes: &[u8]) -> usize {
        let mut data = self.driver.buffer();
        data.extend(bytes);
        self.driver.send(token, data)
    }

    pub fn listen(&mut self) -> (Token, SocketAddr) {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = self.driver.listen(address).expect("a listener");
        let address = self.driver.listening_on(listener);
        (listener, address.expect("where it listens"))
    }
}

impl<D: Driver> Bench<D> {
    pub fn new((near, far): (D, D)) -> Self {
        Self {
            near: Side::new(near),
            far: Side::new(far),
        }
    }

    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = self.near.driver.now().after(Duration::from_secs(20));
        while !done(self) {
            assert!(self.near.driver.now() < deadline, "in vain: {what}");
            self.near.turn();
            self.far.turn();
        }
    }

    /// A connection: its token near (which connected) and far (which listens).
    pub fn connection(&mut self) -> (Token, Token) {
        let (listener, address) = self.far.listen();
        let near = self.near.driver.connect(address);
        self.until("connect", |bench| {
            bench.near.connected(near) && bench.far.accepted().is_some()
        });
        let far = self.far.accepted().expect("accepted");
        self.far.driver.close(listener);
        self.far.events.clear();
        self.near.events.clear();
        (near, far)
    }

    /// Sends until the peer, who doesn't read, makes the driver queue; returns what was sent.
    pub fn stuff(&mut self, near: Token) -> Vec<u8> {
        let mut sent = Vec::new();
        for round in 0u32.. {
            assert!(round < 100_000, "the network swallows everything");
            let bytes: Vec<u8> = (0..8192u32).map(|i| (i * 7 + round) as u8).collect();
            sent.extend_from_slice(&bytes);
            // A queue that drained in between was not the end.
            self.near.events.clear();
            if self.near.send(near, &bytes) > 0 {
                self.near.turn();
                self.far.turn();
                if self.near.driver.queued(near) > 0 {
                    break;
                }
            }
        }
        sent
    }
}
