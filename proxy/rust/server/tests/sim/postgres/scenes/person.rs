//! A client on a stage, or a connection that brings a cancel: what it was told, and what it says
//! without being asked to.

use crate::clients::PASSWORD;
use crate::postgres::wire;
use crate::witness::PER_CLIENT;

#[derive(Default)]
pub struct Person {
    pub number: u64,
    /// What it says as soon as it is connected.
    pub hello: Vec<u8>,
    user: &'static str,
    tokens: u64,
    inbox: Vec<u8>,
    /// The messages that it read, since a test last looked.
    pub heard: Vec<Vec<u8>>,
    /// ReadyForQuery messages so far.
    pub ready: usize,
    /// SQLSTATEs so far.
    pub errors: Vec<String>,
    /// The session that the last row came from.
    pub session: String,
    pub closed: bool,
    /// What cancels its requests.
    pub key: (u32, u32),
}

impl Person {
    pub fn new(number: u64, user: &'static str, hello: Vec<u8>) -> Self {
        Self {
            number,
            user,
            hello,
            ..Self::default()
        }
    }

    /// A statement of its own: with a token that nobody else has in the place of `?`.
    pub fn statement(&mut self, sql: &str) -> Vec<u8> {
        self.tokens += 1;
        let token = format!("'t{}'", self.number * PER_CLIENT + self.tokens);
        wire::query(&sql.replace('?', &token))
    }

    /// Whether a message of that type was read.
    pub fn heard_any(&self, tag: u8) -> bool {
        self.heard.iter().any(|message| message[0] == tag)
    }

    /// Takes in what came; gives what it answers to that.
    pub fn hear(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.inbox.extend(bytes);
        // The answer to an SSLRequest is no message.
        if self.inbox.first() == Some(&b'N') {
            self.heard.push(self.inbox.drain(..1).collect());
        }
        let mut answer = None;
        while let Some(message) = wire::take_message(&mut self.inbox) {
            answer = self.message(&message).or(answer);
            self.heard.push(message);
        }
        answer
    }

    fn message(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let number = |at: usize| {
            let bytes = message.get(at..at + 4).and_then(|b| b.try_into().ok());
            u32::from_be_bytes(bytes.unwrap_or_default())
        };
        match message[0] {
            b'R' if number(5) == 5 => {
                let answer = wire::md5_answer(self.user, PASSWORD, &message[9..13]);
                return Some(wire::message(b'p', &wire::texts(&[&answer])));
            }
            b'K' => self.key = (number(5), number(9)),
            b'Z' => self.ready += 1,
            b'E' => self.errors.push(wire::error_fields(message).0),
            b'D' => self.session = wire::values(message).swap_remove(0),
            _ => {}
        }
        None
    }
}
