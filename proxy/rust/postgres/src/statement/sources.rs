//! Where a statement reads from. A relation that isn't of the system may be a view, and have rules,
//! policies, operators and casts that call anything: who reads it may write.
//!
//! What follows FROM, JOIN and TABLE, and any comma behind the first of them, is taken for a
//! relation unless it is called or a subquery: rather too many than one too few.

use super::lexer::Token;

/// The state of looking for relations in one statement's tokens.
#[derive(Default)]
pub(super) struct Sources {
    /// A relation outside of the system's catalogs is read.
    pub foreign: bool,
    /// FROM or its like was seen.
    reading: bool,
    /// A relation's name may come next.
    expected: bool,
    /// A name whose end isn't known yet: whether a catalog's schema stands before its last part,
    /// and whether that part could be one.
    name: Option<(bool, bool)>,
    dotted: bool,
}

impl Sources {
    /// Of a statement that begins with this word.
    pub(super) fn new(lead: &[u8]) -> Self {
        let reading = lead.eq_ignore_ascii_case(b"table");
        Self {
            reading,
            expected: reading,
            ..Self::default()
        }
    }

    pub(super) fn token(&mut self, token: Token<'_>) {
        match token {
            Token::Word(word) if !self.dotted && is(word, &[b"from", b"join", b"table"]) => {
                self.end();
                self.reading = true;
                self.expected = true;
            }
            Token::Comma if self.reading => {
                self.end();
                self.expected = true;
            }
            Token::Word(word) if self.expected && is(word, &[b"only", b"lateral"]) => {}
            Token::Word(word) if self.expected && is(word, &[b"select", b"values", b"with"]) => {
                self.expected = false;
            }
            Token::Word(name) => self.part(is(name, &SCHEMAS)),
            Token::Quoted(name) => self.part(SCHEMAS.contains(&name)),
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

    fn part(&mut self, schema: bool) {
        match self.name {
            Some((_, before)) if self.dotted => self.name = Some((before, schema)),
            _ => {
                self.end();
                if std::mem::take(&mut self.expected) {
                    self.name = Some((false, schema));
                }
            }
        }
    }

    /// The name has ended.
    pub(super) fn end(&mut self) {
        if let Some((catalog, _)) = self.name.take() {
            self.foreign |= !catalog;
        }
    }
}

const SCHEMAS: [&[u8]; 2] = [b"pg_catalog", b"information_schema"];

fn is(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|other| word.eq_ignore_ascii_case(other))
}
