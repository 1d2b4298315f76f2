//! What a worker has for all its clients: the operator's rules, and the classes of texts that were
//! judged lately.

use dbproxy_engine::{Judgements, Reads, Rules};

use super::class::Class;
use super::classify::classify;
use super::dialect::Dialect;

/// The rules, and what a worker remembers of its clients' texts.
#[derive(Debug, Default)]
pub struct Memory {
    judgements: Judgements<Dialect>,
    pub(crate) rules: Rules,
}

impl Memory {
    /// Judges a text, as `classify` does, under the rules.
    pub fn classify(&mut self, text: &[u8], dialect: Dialect) -> Class {
        let class = self.judgements.judge(text, dialect);
        class.under(self.rules, text.len())
    }
}

impl Reads for Dialect {
    type Class = Class;

    fn judge(self, text: &[u8]) -> Class {
        classify(text, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_may_have_settings_not_pin_and_long_texts_pin() {
        let class = |text: &str, rules| {
            let mut memory = Memory {
                rules,
                ..Memory::default()
            };
            memory.classify(text.as_bytes(), Dialect::of_version("8.0.31"))
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
