//! How clients of MySQL's log in.

use super::wire;
use crate::clients::{PASSWORD, USERS};
use crate::speaker::LoggingIn;
use crate::witness::Class;

/// One log-in.
#[derive(Clone)]
pub struct Login {
    class: Class,
    /// What the client speaks.
    pub agreed: u32,
    /// Which connection this is, once the server has said so.
    pub thread: Option<u32>,
}

/// What the clients of a user speak. It is part of the pool's key.
fn manner(user: &str) -> u32 {
    let common = wire::BASE | wire::CONNECT_WITH_DB | wire::PLUGIN_AUTH_LENENC;
    match user == USERS[0] {
        true => common | wire::DEPRECATE_EOF,
        false => common | wire::MULTI_STATEMENTS,
    }
}

impl Login {
    /// `tracks`: it hears what changes in its session.
    pub fn new(class: Class, tracks: bool) -> Self {
        let tracks = if tracks { wire::SESSION_TRACK } else { 0 };
        Self {
            class,
            agreed: manner(class.user) | tracks,
            thread: None,
        }
    }

    /// Takes in a message that is no error.
    pub fn hear(&mut self, packet: &[u8]) -> LoggingIn {
        let payload = wire::payload(packet);
        let answers = packet[3].wrapping_add(1);
        match payload.first() {
            Some(_) if self.thread.is_none() => {
                LoggingIn::Says(wire::packet(answers, &self.respond(payload)))
            }
            Some(&wire::EOF) => {
                let mut cursor = wire::Cursor(&payload[1..]);
                let plugin = cursor.ended();
                let scramble = cursor.0.strip_suffix(b"\0").unwrap_or(cursor.0);
                let proof = wire::proof(&plugin, PASSWORD, scramble);
                LoggingIn::Says(wire::packet(answers, &proof))
            }
            Some(&wire::OK) => LoggingIn::Done,
            _ => LoggingIn::Waits,
        }
    }

    /// Its answer to the greeting.
    fn respond(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut cursor = wire::Cursor(&payload[1..]);
        cursor.ended();
        self.thread = Some(cursor.long());
        let mut scramble = cursor.take(8).to_vec();
        cursor.take(19);
        scramble.extend(cursor.take(12));
        cursor.take(1);
        let plugin = cursor.ended();
        let proof = wire::proof(&plugin, PASSWORD, &scramble);
        let mut out = self.agreed.to_le_bytes().to_vec();
        out.extend(0x00ff_ffffu32.to_le_bytes());
        out.push(wire::COLLATION);
        out.extend([0; 23]);
        wire::put_ended(&mut out, self.class.user);
        wire::put_text(&mut out, &proof);
        wire::put_ended(&mut out, self.class.database);
        wire::put_ended(&mut out, &plugin);
        out
    }
}

/// Somebody who logs in to end another's statement.
pub struct Killer {
    login: Login,
    thread: u32,
    /// It has asked for that.
    asked: bool,
}

impl Killer {
    /// Of the statement that the connection of that number runs.
    pub fn new(class: Class, thread: u32) -> Self {
        Self {
            login: Login::new(class, false),
            thread,
            asked: false,
        }
    }
}

impl crate::speaker::Canceller for Killer {
    fn hello(&self) -> Vec<u8> {
        Vec::new()
    }

    fn hear(&mut self, message: &[u8]) -> LoggingIn {
        // Whatever is answered to it: it strikes nothing any more.
        if self.asked || wire::payload(message).first() == Some(&wire::ERROR) {
            return LoggingIn::Done;
        }
        match self.login.hear(message) {
            LoggingIn::Done => {
                self.asked = true;
                LoggingIn::Says(wire::query(&format!("KILL QUERY {}", self.thread)))
            }
            other => other,
        }
    }
}
