//! What a client of PostgreSQL's and its worker say to each other, as far as an onlooker must understand it.

use super::wire;
use crate::order::{Answered, Asked};
use crate::witness::token_in;

#[derive(Default)]
pub struct Overheard;

fn is_fatal(error: &[u8]) -> bool {
    error.windows(6).any(|part| part == b"SFATAL")
}

impl crate::order::Overheard for Overheard {
    fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
        wire::take_message(buffer)
    }

    fn asks(&mut self, message: &[u8]) -> Asked {
        let mut asked = Asked {
            token: None,
            keeps: false,
            completes: matches!(message[0], b'Q' | b'S'),
        };
        if matches!(message[0], b'Q' | b'P' | b'B') {
            let text = String::from_utf8_lossy(&message[5..]);
            // What an EXECUTE names is made before it is sent.
            let sent_late = text.starts_with("EXECUTE ");
            asked.token = token_in(&text).filter(|_| !sent_late);
            let named = message[0] == b'P' && !text.starts_with('\0');
            // Until when it holds that, only its database knows.
            let sets = ["SET", "LISTEN", "lastval", "advisory_lock", "HOLD"];
            let names = ["PREPARE", "EXECUTE", "DEALLOCATE"];
            let mut state = sets.iter().chain(&names);
            asked.keeps = named || state.any(|begin| text.contains(begin));
        }
        asked
    }

    fn answers(&mut self, message: &[u8]) -> Answered {
        match message[0] {
            b'E' if is_fatal(message) => Answered::Goodbye,
            b'E' => Answered::Part,
            b'1' | b'3' => Answered::Served,
            _ => Self::says(message),
        }
    }

    fn says(message: &[u8]) -> Answered {
        match message[0] {
            b'Z' => Answered::Whole {
                in_transaction: message[5] != b'I',
            },
            b'E' if is_fatal(message) => Answered::Goodbye,
            _ => Answered::Nothing,
        }
    }
}
