//! Goes through one statement token by token, for those who read what it does by its grammar.

use super::lexer::{Lexer, Token};

/// The tokens of one statement.
#[derive(Clone)]
pub(super) struct Tokens<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) next: Option<Token<'a>>,
}

impl<'a> Tokens<'a> {
    /// Those behind where the lexer is.
    pub(super) fn of(lexer: &Lexer<'a>) -> Self {
        let mut tokens = Self {
            lexer: lexer.clone(),
            next: None,
        };
        tokens.step();
        tokens
    }

    pub(super) fn step(&mut self) {
        self.next = self.lexer.next();
    }

    /// The statement ends here.
    pub(super) fn end(&self) -> bool {
        matches!(self.next, None | Some(Token::Semicolon))
    }

    pub(super) fn is(&self, words: &[&str]) -> bool {
        matches!(self.next, Some(Token::Word(next)) if is(next, words))
    }

    /// Takes a keyword, if it is one of these.
    pub(super) fn word(&mut self, words: &[&str]) -> bool {
        let found = self.is(words);
        if found {
            self.step();
        }
        found
    }

    /// Takes these keywords, if they are next; or else perhaps some of them.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        words.iter().all(|word| self.word(&[word]))
    }

    pub(super) fn token(&mut self, token: Token<'_>) -> bool {
        let found = self.next == Some(token);
        if found {
            self.step();
        }
        found
    }

    /// A name in ASCII, in lower case.
    pub(super) fn name(&mut self) -> Option<String> {
        let (Token::Word(name) | Token::Name(name)) = self.next? else {
            return None;
        };
        self.step();
        plain(name)
    }

    /// A whole number.
    pub(super) fn whole(&mut self) -> Option<u64> {
        let taken = (self.next == Some(Token::Literal)).then(|| self.lexer.taken())?;
        self.step();
        let digits = std::str::from_utf8(taken).ok()?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    }

    /// The arguments of a call, which call nothing themselves.
    pub(super) fn call_of_literals(&mut self) -> bool {
        let open = self.token(Token::Open);
        while matches!(
            self.next,
            Some(Token::Literal | Token::Comma | Token::User(_) | Token::Other)
        ) {
            self.step();
        }
        open && self.token(Token::Close)
    }

    /// What a column is called, if that is said.
    pub(super) fn alias(&mut self) -> bool {
        let said = self.word(&["as"]);
        let named = matches!(self.next, Some(Token::Word(_) | Token::Name(_)));
        if named {
            self.step();
        }
        named || !said
    }

    /// To the end of the statement.
    pub(super) fn skip_statement(&mut self) {
        while !self.end() {
            self.step();
        }
    }

    /// To behind an expression: to a comma that stands in no parentheses, or to the end.
    pub(super) fn skip_expression(&mut self) {
        let mut depth = 0_i32;
        while !self.end() && (depth != 0 || self.next != Some(Token::Comma)) {
            depth += i32::from(self.next == Some(Token::Open));
            depth -= i32::from(self.next == Some(Token::Close));
            self.step();
        }
    }
}

/// Whether a word is one of these, whatever its case.
pub(super) fn is(word: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|one| word.eq_ignore_ascii_case(one.as_bytes()))
}

/// A name that servers compare with others as ASCII does, in lower case.
pub(super) fn plain(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.');
    name.bytes().all(plain).then(|| name.to_ascii_lowercase())
}
