//! The framing of protocol 3.0: message headers, tags of both sides, and the few messages that the
//! proxy makes itself.
//!
//! Called by every other room of this crate. Frames are forwarded unparsed, so all that is usually
//! needed of a message is its tag and its length; both are judged here, before anybody waits for a
//! body. The letters of the two sides collide, hence two modules of tags.

pub(crate) mod backend;
pub(crate) mod build;
pub(crate) mod error;
pub(crate) mod frontend;

/// Tag and length word.
pub(crate) const HEADER: usize = 5;

/// The longest message that either side may send (PostgreSQL's own limit).
pub(crate) const LONGEST: usize = 0x3fff_ffff;

/// What the first bytes of a message say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peek {
    /// The header isn't complete.
    NeedMore,
    /// A message; `total` counts tag, length word and body.
    Message { tag: u8, total: usize },
    /// No such message exists.
    Bad,
}

/// Reads a header. `longest_body` tells the limit for a tag's body, `None` if there is no such tag.
#[inline]
pub(crate) fn peek(input: &[u8], longest_body: fn(u8) -> Option<usize>) -> Peek {
    let Some((&tag, rest)) = input.split_first() else {
        return Peek::NeedMore;
    };
    let Some(longest) = longest_body(tag) else {
        return Peek::Bad;
    };
    let Some((word, _)) = rest.split_first_chunk::<4>() else {
        return Peek::NeedMore;
    };
    let length = u32::from_be_bytes(*word) as usize;
    if length < 4 || length - 4 > longest {
        return Peek::Bad;
    }
    Peek::Message {
        tag,
        total: length + 1,
    }
}

/// The body of the message that begins at `rest`, as far as it has come.
#[inline]
pub(crate) fn body(rest: &[u8], total: usize) -> &[u8] {
    rest.get(HEADER..total.min(rest.len())).unwrap_or_default()
}
