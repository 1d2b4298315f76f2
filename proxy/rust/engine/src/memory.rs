//! The classes of texts that were judged lately. Most clients say the same few again and again: then a
//! statement costs a hash and a compare.
//!
//! Each text has one slot by its hash, and takes it from whatever was there: bounded whatever clients send, and who
//! aims at another's slot makes it slower and nothing else.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

const SLOTS: usize = 1024;
/// Longer texts are not remembered.
const LONGEST: usize = 1024;

/// How a protocol's texts are read, and so what they mean.
pub trait Reads: Copy + PartialEq + Debug {
    /// What is said of a text.
    type Class: Clone + Debug;

    /// Judges a text; under the same reading always alike.
    fn judge(self, text: &[u8]) -> Self::Class;
}

/// A text that was judged.
#[derive(Debug)]
struct Judged<R: Reads> {
    text: Vec<u8>,
    reading: R,
    class: R::Class,
}

/// What is remembered; nothing is allocated before the first text.
#[derive(Debug)]
pub struct Judgements<R: Reads>(Vec<Option<Judged<R>>>);

impl<R: Reads> Default for Judgements<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: Reads> Judgements<R> {
    /// What [`Reads::judge`] says, by memory where it can.
    pub fn judge(&mut self, text: &[u8], reading: R) -> R::Class {
        if text.len() > LONGEST {
            return reading.judge(text);
        }
        if self.0.is_empty() {
            self.0.resize_with(SLOTS, || None);
        }
        let Some(slot) = self.0.get_mut(place(text)) else {
            return reading.judge(text);
        };
        match slot {
            Some(known) if known.text == text && known.reading == reading => known.class.clone(),
            Some(other) => {
                other.text.clear();
                other.text.reserve_exact(text.len());
                other.text.extend_from_slice(text);
                other.reading = reading;
                other.class = reading.judge(text);
                other.class.clone()
            }
            None => {
                let (text, class) = (text.to_vec(), reading.judge(text));
                *slot = Some(Judged {
                    text,
                    reading,
                    class: class.clone(),
                });
                class
            }
        }
    }
}

fn place(text: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish() as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Backwards(bool);

    impl Reads for Backwards {
        type Class = Vec<u8>;

        fn judge(self, text: &[u8]) -> Vec<u8> {
            let mut read = text.to_vec();
            if self.0 {
                read.reverse();
            }
            read
        }
    }

    #[test]
    fn what_is_remembered_is_what_was_judged_of_that_text_under_that_reading() {
        let mut judgements = Judgements::default();
        // More texts than slots, so that they take each other's; twice, so that some are still there.
        for number in (0..3 * SLOTS).flat_map(|number| [number, number]) {
            let text = format!("SELECT {number}").into_bytes();
            for reading in [Backwards(true), Backwards(false)] {
                assert_eq!(judgements.judge(&text, reading), reading.judge(&text));
            }
        }
    }

    #[test]
    fn it_never_grows_beyond_its_slots() {
        let mut judgements = Judgements::default();
        for number in 0..4 * SLOTS {
            for length in [LONGEST / 2 + 1, LONGEST, 2 * LONGEST] {
                let text = format!("{number:0length$}");
                judgements.judge(text.as_bytes(), Backwards(true));
            }
        }
        assert_eq!(judgements.0.len(), SLOTS);
        let mut known = judgements.0.iter().flatten();
        assert!(known.all(|one| one.text.capacity() <= LONGEST));
    }
}
