//! Cancels on their way to the worker of the client that they are for: whose they are, who asked, and what one
//! pod says to another of them.
//!
//! | said | is |
//! |---|---|
//! | the length of what follows (4 or more), a cancel key | a cancel |
//! | 0, 1 if the client is to go or else 0, its number (4 bytes), the length of a name (2 bytes), the name | KILL by a client of that user, who has proved to be him to a pod of this fleet |

use std::sync::Arc;

use dbproxy_driver::{Time, Token};
use dbproxy_engine::{CancelKey, Kill, Killed};

use crate::slab::Key;

/// Whose statement is to end, and why its asker may have that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warrant {
    /// It has its key.
    Key(CancelKey),
    /// It is a client of that user, and so is the other one, or nothing comes of it.
    Kill(Kill, Arc<str>),
}

/// Who is told what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// A connection of the front thread's: a client's that brought a key, or another pod's.
    Socket(Token),
    /// A client of a worker's, that waits for this until then.
    Client(usize, Key, Time),
}

/// Somebody cancels what a worker's client runs.
#[derive(Clone, Debug)]
pub struct CancelAsked {
    /// Whose.
    pub warrant: Warrant,
    /// For whom.
    pub asker: Asker,
    /// The endpoint that it came to; none if another pod passed it on.
    pub endpoint: Option<Arc<str>>,
}

impl Warrant {
    /// The number of the client that it is for.
    pub fn id(&self) -> u32 {
        match self {
            Self::Key(key) => key.id,
            Self::Kill(kill, _) => kill.id,
        }
    }

    /// That client is to go.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Kill(kill, _) if kill.whole)
    }

    /// For another pod.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Key(key) => {
                let key = key.to_bytes();
                [&[key.len() as u8], &key[..]].concat()
            }
            Self::Kill(kill, user) => {
                // Longer ones don't fit into a packet of a log-in: none is cut.
                let length = u16::try_from(user.len()).unwrap_or(u16::MAX).to_be_bytes();
                let head = [0, u8::from(kill.whole)];
                [&head[..], &kill.id.to_be_bytes(), &length, user.as_bytes()].concat()
            }
        }
    }

    /// What another pod says, once it is there whole; `Some(None)`: it can't be understood.
    pub fn read(input: &[u8]) -> Option<Option<Self>> {
        let (length, rest) = input.split_first()?;
        if *length > 0 {
            let key = rest.get(..usize::from(*length))?;
            return Some(CancelKey::from_bytes(key).map(Self::Key));
        }
        let (whole, rest) = rest.split_first()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let user = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        let kill = Kill {
            id: u32::from_be_bytes(*id),
            whole: *whole == 1,
        };
        let user = std::str::from_utf8(user).ok().filter(|_| *whole <= 1);
        Some(user.map(|user| Self::Kill(kill, user.into())))
    }
}

/// What a pod answers; one of another release may know the first two alone.
const ANSWERS: [(u8, Killed); 4] = [
    (b'1', Killed::Done),
    (b'0', Killed::Unknown),
    (b'2', Killed::NotOwner),
    (b'3', Killed::Undelivered),
];

/// As another pod is told it.
pub fn answer(outcome: Killed) -> u8 {
    let known = ANSWERS.iter().find(|(_, of)| *of == outcome);
    known.map_or(b'3', |(byte, _)| *byte)
}

/// As another pod tells it.
pub fn answered(byte: u8) -> Killed {
    let known = ANSWERS.iter().find(|(of, _)| *of == byte);
    known.map_or(Killed::Unknown, |(_, outcome)| *outcome)
}

#[cfg(test)]
mod tests {
    use dbproxy_engine::CancelSecret;

    use super::*;

    fn all() -> Vec<Warrant> {
        let secret = CancelSecret::shown(&[7; 16]);
        let kill = |id, whole| Kill { id, whole };
        vec![
            Warrant::Key(CancelKey { id: 5, secret }),
            Warrant::Kill(kill(1 << 21, false), "app".into()),
            Warrant::Kill(kill(u32::MAX, true), "mönitor".into()),
            Warrant::Kill(kill(0, true), "".into()),
        ]
    }

    #[test]
    fn what_a_pod_says_comes_whole_to_another() {
        for said in all() {
            let bytes = said.to_bytes();
            for part in 0..bytes.len() {
                assert_eq!(Warrant::read(&bytes[..part]), None, "{said:?} {part}");
            }
            assert_eq!(Warrant::read(&bytes), Some(Some(said)));
        }
    }

    #[test]
    fn what_no_pod_says_is_nobodys() {
        for said in [
            &[3, 0, 0, 1][..],
            &[0, 2, 0, 0, 0, 1, 0, 0],
            &[0, 1, 0, 0, 0, 1, 0, 1, 0xff],
        ] {
            assert_eq!(Warrant::read(said), Some(None), "{said:?}");
        }
    }

    #[test]
    fn an_answer_means_the_same_to_both() {
        for (byte, outcome) in ANSWERS {
            assert_eq!(answer(outcome), byte);
            assert_eq!(answered(byte), outcome);
        }
        assert_eq!(answered(b'x'), Killed::Unknown);
        assert_eq!(answer(Killed::Ambiguous), b'3');
    }
}
