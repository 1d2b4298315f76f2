//! Where a statement reads from. A table that isn't the server's own may be a view, whose functions may do
//! anything that functions may: who reads it may write.
//!
//! What follows FROM, JOIN and TABLE, and any comma behind the first of them, is taken for a table unless it is
//! called or a subquery: rather too many than one too few.

use super::lexer::Token;
use super::tokens::is;

/// The state of looking for tables in one statement's tokens.
#[derive(Default)]
pub(super) struct Sources {
    /// A table outside of the server's own databases is read.
    pub foreign: bool,
    /// FROM or its like was seen.
    pub reading: bool,
    /// A table's name may come next.
    expected: bool,
    /// A name whose end isn't known yet: whether a database of the server's stands before its last part, and
    /// whether that part could be one.
    name: Option<(bool, bool)>,
    dotted: bool,
}

impl Sources {
    /// Of a statement that begins with this word.
    pub(super) fn new(lead: &[u8]) -> Self {
        let reading = is(lead, &["table"]);
        Self {
            reading,
            expected: reading,
            ..Self::default()
        }
    }

    pub(super) fn token(&mut self, token: Token<'_>) {
        match token {
            Token::Word(word) if is(word, &["from", "join", "straight_join", "table"]) => {
                self.end();
                self.reading = true;
                self.expected = true;
            }
            Token::Comma if self.reading => {
                self.end();
                self.expected = true;
            }
            Token::Word(word) if self.expected && is(word, &["lateral"]) => {}
            Token::Word(word)
                if self.expected && is(word, &["select", "values", "with", "dual"]) =>
            {
                self.expected = false;
            }
            Token::Word(name) | Token::Name(name) => self.part(is(name, &DATABASES)),
            Token::Dot => {}
            // A call, or the beginning of a subquery or of a join in parentheses.
            Token::Open => self.name = None,
            _ => {
                self.expected = false;
                self.end();
            }
        }
        self.dotted = token == Token::Dot;
    }

    fn part(&mut self, database: bool) {
        match self.name {
            Some((_, before)) if self.dotted => self.name = Some((before, database)),
            _ => {
                self.end();
                if std::mem::take(&mut self.expected) {
                    self.name = Some((false, database));
                }
            }
        }
    }

    /// The name has ended.
    pub(super) fn end(&mut self) {
        if let Some((own, _)) = self.name.take() {
            self.foreign |= !own;
        }
    }
}

const DATABASES: [&str; 2] = ["information_schema", "performance_schema"];
