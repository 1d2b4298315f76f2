//! What a client sees of its connection: each command answered once, in its order, in packets whose numbers are
//! their turn's.

use std::collections::VecDeque;

use crate::message::capability::Capabilities;
use crate::message::frame::{self, Peek, HEADER};
use crate::message::{command, error};
use crate::reply::{Look, Reply, Shape};

/// A client's end.
#[derive(Debug)]
pub(super) struct View {
    agreed: Capabilities,
    /// What it said and heard, and hasn't been looked at.
    said: Vec<u8>,
    heard: Vec<u8>,
    /// What is to be answered.
    asked: VecDeque<Shape>,
    reply: Option<Reply>,
    /// A command was begun and not said to its end.
    begun: bool,
    /// It is asked for a file.
    file: bool,
    /// Bytes to come of a packet that was looked at, and whether the answer ends with them.
    passing: usize,
    ends: bool,
    /// What it says is no protocol any more, or it was told goodbye.
    over: bool,
    pub(super) answered: usize,
}

impl View {
    pub(super) fn new(agreed: Capabilities) -> Self {
        Self {
            agreed,
            said: Vec::new(),
            heard: Vec::new(),
            asked: VecDeque::new(),
            reply: None,
            begun: false,
            file: false,
            passing: 0,
            ends: false,
            over: false,
            answered: 0,
        }
    }

    /// Nothing that was asked waits for its answer.
    pub(super) fn is_answered(&self) -> bool {
        self.asked.is_empty() && self.reply.is_none() && self.heard.is_empty()
    }

    pub(super) fn says(&mut self, bytes: &[u8]) {
        self.said.extend_from_slice(bytes);
        self.look_at_said();
    }

    fn look_at_said(&mut self) {
        while let Peek::Packet {
            sequence, total, ..
        } = frame::peek(&self.said)
        {
            if self.over {
                return;
            }
            if !self.file && !self.begun {
                if sequence != 0 {
                    self.over = true;
                    return;
                }
                let kind = self.said.get(HEADER).copied();
                if kind.is_none() && total > HEADER {
                    return;
                }
                self.begins(kind.filter(|_| total > HEADER));
            }
            if self.said.len() < total {
                return;
            }
            self.begun = false;
            if self.file && total == HEADER {
                self.file = false;
                if let Some(reply) = &mut self.reply {
                    reply.had_file(sequence.wrapping_add(1));
                }
            }
            self.said.drain(..total);
        }
    }

    /// It may be answered before all of it was said.
    fn begins(&mut self, kind: Option<u8>) {
        self.begun = true;
        match kind {
            Some(command::STMT_CLOSE | command::STMT_SEND_LONG_DATA) => {}
            Some(command::QUIT) => self.over = true,
            kind => self
                .asked
                .push_back(kind.and_then(Shape::of).unwrap_or(Shape::Plain)),
        }
    }

    pub(super) fn hears(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while !self.over && self.step() {}
    }

    fn step(&mut self) -> bool {
        let some = self.passing.min(self.heard.len());
        self.heard.drain(..some);
        self.passing -= some;
        if self.passing > 0 {
            return false;
        }
        if std::mem::take(&mut self.ends) {
            self.reply = None;
            self.answered += 1;
        }
        let Peek::Packet { sequence, .. } = frame::peek(&self.heard) else {
            return false;
        };
        // A goodbye is numbered as if nothing had been said.
        if sequence == 0 && self.reply.is_none() {
            assert_eq!(self.heard.get(HEADER), Some(&error::TAG), "{self:?}");
            self.over = true;
            return false;
        }
        let agreed = self.agreed;
        if self.reply.is_none() {
            let shape = self.asked.pop_front();
            assert!(shape.is_some(), "told what it didn't ask for: {self:?}");
            self.reply = shape.map(|shape| Reply::new(shape, agreed, 1));
        }
        let Some(reply) = &mut self.reply else {
            return false;
        };
        match reply.look(&self.heard) {
            Look::NeedMore => return false,
            Look::OutOfStep => unreachable!("told what can't stand there: {self:?}"),
            Look::Part { total, last } => (self.passing, self.ends) = (total, last),
            Look::Said { total, last, .. } => (self.passing, self.ends) = (total, last),
            Look::File { total, .. } => {
                self.passing = total;
                self.file = true;
                self.look_at_said();
            }
        }
        true
    }
}

pub(super) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::packets(&mut out, sequence, |out| out.extend_from_slice(payload));
    out
}
