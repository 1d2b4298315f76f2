//! What a worker has for all its clients: the operator's rules, and the classes of texts that were
//! judged lately. Most clients say the same few again and again: then a statement costs a hash and a
//! compare.
//!
//! Each text has one slot by its hash, and takes it from
//! whatever was there: bounded whatever clients send, and who aims at another's slot makes it slower
//! and nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};

use dbproxy_engine::Rules;

use super::class::Class;
use super::classify::classify;
use super::dialect::Dialect;

const SLOTS: usize = 1024;
/// Longer texts are not remembered.
const LONGEST: usize = 1024;

/// A text that was judged.
#[derive(Debug)]
struct Judged {
    text: Vec<u8>,
    dialect: Dialect,
    class: Class,
}

/// The rules, and what a worker remembers of its clients' texts.
#[derive(Debug, Default)]
pub struct Memory {
    slots: Vec<Option<Judged>>,
    pub(crate) rules: Rules,
}

impl Memory {
    /// Judges a text, as `classify` does, under the rules.
    pub fn classify(&mut self, text: &[u8], dialect: Dialect) -> Class {
        self.judge(text, dialect).under(self.rules, text.len())
    }

    fn judge(&mut self, text: &[u8], dialect: Dialect) -> Class {
        if text.len() > LONGEST {
            return classify(text, dialect);
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let Some(slot) = self.slots.get_mut(place(text)) else {
            return classify(text, dialect);
        };
        match slot {
            Some(known) if known.text == text && known.dialect == dialect => known.class.clone(),
            Some(other) => {
                other.text.clear();
                other.text.reserve_exact(text.len());
                other.text.extend_from_slice(text);
                other.dialect = dialect;
                other.class = classify(text, dialect);
                other.class.clone()
            }
            None => {
                let (text, class) = (text.to_vec(), classify(text, dialect));
                *slot = Some(Judged {
                    text,
                    dialect,
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

    fn dialect(ansi_quotes: bool) -> Dialect {
        Dialect {
            ansi_quotes,
            ..Dialect::of_version("8.0.31")
        }
    }

    #[test]
    fn a_remembered_class_is_that_of_its_text_and_dialect() {
        let mut memory = Memory::default();
        // More texts than slots, so that they take each other's; twice, so that some are still there.
        let texts = (0..3 * SLOTS).map(|number| match number % 3 {
            0 => format!("SELECT {number}"),
            1 => format!("SELECT \"\\\"; LOCK TABLES x{number} READ; --\""),
            _ => format!("INSERT INTO t VALUES ({number})"),
        });
        let texts: Vec<String> = texts.flat_map(|text| [text.clone(), text]).collect();
        for text in &texts {
            for ansi_quotes in [true, false] {
                let dialect = dialect(ansi_quotes);
                let text = text.as_bytes();
                assert_eq!(memory.classify(text, dialect), classify(text, dialect));
            }
        }
    }

    #[test]
    fn it_never_grows_beyond_its_slots() {
        let mut memory = Memory::default();
        for number in 0..4 * SLOTS {
            let text = format!("SELECT {number} {}", "x".repeat(2 * LONGEST));
            for length in [LONGEST / 2 + 1, LONGEST, text.len()] {
                memory.classify(&text.as_bytes()[..length], dialect(true));
            }
        }
        assert_eq!(memory.slots.len(), SLOTS);
        let mut known = memory.slots.iter().flatten();
        assert!(known.all(|one| one.text.capacity() <= LONGEST));
    }

    #[test]
    fn an_operator_may_have_settings_not_pin_and_long_texts_pin() {
        let class = |text: &str, rules| {
            let mut memory = Memory {
                rules,
                ..Memory::default()
            };
            memory.classify(text.as_bytes(), dialect(false))
        };
        let excluding = Rules {
            excludes_settings: true,
            ..Rules::default()
        };
        for text in ["SET sql_log_bin = 0", "SELECT 1 INTO @a"] {
            assert!(class(text, Rules::default()).pin.is_some());
            let class = class(text, excluding);
            assert!(
                class.pin.is_none() && class.pins.is_empty() && class.dirty,
                "{text}"
            );
        }
        assert!(class("LOCK TABLES t READ", excluding).pin.is_some());
        let short = Rules {
            longest_statement: Some(8),
            ..Rules::default()
        };
        assert!(class("SELECT 1", short).pin.is_none());
        assert!(class("SELECT 11", short).pin.is_some());
    }
}
