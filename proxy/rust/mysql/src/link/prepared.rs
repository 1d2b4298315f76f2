//! The statements that a backend has, and how it is told to forget one.

use dbproxy_engine::{Leg, Payload, Step, Steps};

use crate::message::{command, frame};
use crate::prepared::{Key, Own};

use super::Link;

impl Link {
    /// The backend has a statement for whoever uses it.
    pub(crate) fn shares(&mut self, key: Key, own: Own, out: &mut Steps) {
        for old in self.statements.puts(key, own) {
            self.closes(old, out);
        }
    }

    /// What the proxy itself has asked it to prepare is there by that number, or can't be.
    pub(crate) fn prepared(&mut self, id: Option<u32>, out: &mut Steps) {
        for old in self.statements.answered(id) {
            self.closes(old, out);
        }
    }

    /// Nothing answers that.
    pub(crate) fn closes(&mut self, id: u32, out: &mut Steps) {
        let mut bytes = Vec::new();
        frame::packets(&mut bytes, 0, |out| {
            out.push(command::STMT_CLOSE);
            out.extend_from_slice(&id.to_le_bytes());
        });
        out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
    }

    /// The server has no room for more; answers whether this makes some.
    pub(crate) fn makes_room(&mut self, out: &mut Steps) -> bool {
        let all = self.statements.drains();
        for id in &all {
            self.closes(*id, out);
        }
        !all.is_empty()
    }
}
