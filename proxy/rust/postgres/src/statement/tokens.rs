//! Goes through one statement word by word, for those who read what it does (`setting`, `channel`).

use super::act::LONGEST_NAME;
use super::lexer::{Lexer, Token};

/// The tokens of one statement.
pub(super) struct Tokens<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) next: Option<Token<'a>>,
}

impl<'a> Tokens<'a> {
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

    pub(super) fn is(&self, word: &[u8]) -> bool {
        matches!(self.next, Some(Token::Word(next)) if next.eq_ignore_ascii_case(word))
    }

    /// Takes a keyword, if it is next.
    pub(super) fn word(&mut self, word: &[u8]) -> bool {
        let is = self.is(word);
        if is {
            self.step();
        }
        is
    }

    pub(super) fn words(&mut self, words: &[&[u8]]) -> Option<()> {
        words.iter().all(|word| self.word(word)).then_some(())
    }

    pub(super) fn token(&mut self, token: Token<'_>) -> bool {
        let is = self.next == Some(token);
        if is {
            self.step();
        }
        is
    }

    pub(super) fn symbol(&mut self, symbol: u8) -> bool {
        let is = self.next == Some(Token::Other) && self.lexer.taken() == [symbol];
        if is {
            self.step();
        }
        is
    }

    /// A name, in lower case unless it is quoted.
    pub(super) fn name(&mut self) -> Option<String> {
        self.identifier().filter(|name| name.len() <= LONGEST_NAME)
    }

    /// A name of any length.
    pub(super) fn identifier(&mut self) -> Option<String> {
        let name = match self.next? {
            Token::Word(word) => std::str::from_utf8(word).ok()?.to_ascii_lowercase(),
            Token::Quoted(name) => std::str::from_utf8(name).ok()?.replace("\"\"", "\""),
            _ => return None,
        };
        self.step();
        Some(name)
    }

    /// A plain text in quotes.
    pub(super) fn text(&mut self) -> Option<String> {
        let taken = self.lexer.taken();
        let inside = taken.strip_prefix(b"'")?.strip_suffix(b"'")?;
        let text = std::str::from_utf8(inside).ok()?.replace("''", "'");
        self.step();
        Some(text)
    }

    /// A number whose text says the same as the number.
    pub(super) fn number(&mut self) -> Option<String> {
        let minus = self.symbol(b'-');
        let _ = !minus && self.symbol(b'+');
        let taken = std::str::from_utf8(self.lexer.taken()).ok()?;
        let octal = taken.len() > 1 && taken.starts_with('0') && !taken.starts_with("0.");
        let number = self.next == Some(Token::Literal)
            && taken.starts_with(|first: char| first.is_ascii_digit())
            && !octal
            && taken
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let text = format!("{}{taken}", if minus { "-" } else { "" });
        self.step();
        number.then_some(text)
    }

    /// One value of a setting.
    pub(super) fn item(&mut self) -> Option<Box<str>> {
        let item = match self.next? {
            Token::Word(_) | Token::Quoted(_) => self.name(),
            Token::Literal if self.lexer.taken().starts_with(b"'") => self.text(),
            Token::Literal | Token::Other => self.number(),
            _ => None,
        };
        item.filter(|item| item.is_ascii()).map(Into::into)
    }

    /// The name of a setting.
    pub(super) fn setting(&mut self) -> Option<String> {
        let mut name = self.name()?;
        while self.token(Token::Dot) {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Some(name)
    }
}
