//! What a client of MySQL's and its worker say to each other, as far as an onlooker must understand it.

use std::collections::VecDeque;

use super::answer::{Answer, Said};
use super::wire;
use crate::order::{Answered, Asked};
use crate::witness::token_in;

#[derive(Default)]
pub struct Overheard {
    answer: Answer,
    /// Commands that aren't answered.
    owed: VecDeque<u8>,
    in_transaction: bool,
}

/// How the proxy begins to set something before a request.
const SETS: [&str; 3] = ["SET @@session.", "SET @`", "SET last_insert_id = "];

/// What the proxy asks behind a request.
const BEHIND: [&str; 5] = [
    "SHOW WARNINGS",
    "SELECT @@warning_count, @@error_count",
    "DO 0",
    "SET last_insert_id = LAST_INSERT_ID()",
    "SET collation_connection = @@collation_connection",
];

/// Whether a connection ends with that error.
pub fn is_fatal(code: u16) -> bool {
    matches!(code, 1053 | 1153 | 1156 | 1158 | 1159 | 1835 | 1927 | 4031)
}

impl crate::order::Overheard for Overheard {
    fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        wire::take_packet(buffer)
    }

    fn asks(&mut self, message: &[u8]) -> Asked {
        let payload = wire::payload(message);
        let text = String::from_utf8_lossy(payload);
        let command = payload.first().copied().unwrap_or_default();
        let is_answered = !matches!(command, wire::QUIT | wire::STMT_CLOSE);
        self.owed.extend(is_answered.then_some(command));
        // Until when it holds that, only its database knows.
        let mut state = ["autocommit", "@a", "_LOCK"].iter();
        Asked {
            token: token_in(&text),
            keeps: command == wire::STMT_PREPARE || state.any(|word| text.contains(word)),
            completes: is_answered,
        }
    }

    fn answers(&mut self, message: &[u8]) -> Answered {
        let payload = wire::payload(message);
        let Some(command) = self.owed.front().copied() else {
            return match payload.first() {
                Some(&wire::ERROR) => Answered::Goodbye,
                _ => Answered::Nothing,
            };
        };
        match self.answer.take(command, payload) {
            Said::Prepared(_) => {}
            Said::Part | Said::Row(_) | Said::Done { last: false, .. } => return Answered::Part,
            Said::Done { done, .. } => self.in_transaction = done.status & wire::IN_TRANS != 0,
            Said::Failed { code, .. } if is_fatal(code) => return Answered::Goodbye,
            Said::Failed { code, .. } => self.in_transaction &= code != 1213,
        }
        self.owed.pop_front();
        Answered::Whole {
            in_transaction: self.in_transaction,
        }
    }

    fn says(message: &[u8]) -> Answered {
        let payload = wire::payload(message);
        match payload.first() {
            Some(&wire::ERROR) if is_goodbye(payload) => Answered::Goodbye,
            Some(&(wire::OK | wire::EOF | wire::ERROR)) => Answered::Whole {
                in_transaction: false,
            },
            _ => Answered::Nothing,
        }
    }

    fn renews(sent: &[u8]) -> usize {
        if wire::payload(sent).first() != Some(&wire::RESET_CONNECTION) {
            return 0;
        }
        let mut sent = sent.to_vec();
        std::iter::from_fn(|| wire::take_packet(&mut sent)).count()
    }

    fn asks_behind(sent: &[u8]) -> usize {
        let mut sent = sent.to_vec();
        let packets = std::iter::from_fn(|| wire::take_packet(&mut sent));
        let asks = |packet: &Vec<u8>| {
            let body = wire::payload(packet).get(1..).unwrap_or_default();
            BEHIND.iter().any(|text| body.ends_with(text.as_bytes()))
        };
        packets.filter(asks).count()
    }

    fn sets(sent: &[u8]) -> bool {
        let (command, body) = match wire::payload(sent).split_first() {
            Some((command, body)) => (*command, body),
            None => return false,
        };
        let begins = |begin: &str| body.starts_with(begin.as_bytes());
        match command {
            wire::INIT_DB | wire::STMT_PREPARE => true,
            wire::QUERY => SETS.iter().any(|begin| begins(begin)),
            _ => false,
        }
    }
}

fn is_goodbye(error: &[u8]) -> bool {
    matches!(wire::error_fields(error).0, 1053 | 1927)
}
