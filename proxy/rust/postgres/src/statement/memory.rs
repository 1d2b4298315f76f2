//! What a worker has for all its clients: the operator's rules, and the classes of texts that were
//! judged lately.

use dbproxy_engine::{Judgements, Reads, Rules};

use super::class::Class;
use super::classify::{classify, Dialect};

/// The rules, and what a worker remembers of its clients' texts.
#[derive(Debug, Default)]
pub struct Memory {
    judgements: Judgements<Dialect>,
    pub(crate) rules: Rules,
}

impl Memory {
    /// Judges a text, as `classify` does, under the rules.
    pub(crate) fn classify(&mut self, text: &[u8], dialect: Dialect) -> Class {
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
