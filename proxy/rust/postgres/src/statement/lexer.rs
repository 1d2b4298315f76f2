//! Cuts SQL into the few kinds of tokens that classification needs: one pass, no copies.
//!
//! Text in comments, literals and quoted names must neither hide a statement nor fake one. Where
//! the server might cut otherwise than we do (settings we don't know for sure, encodings whose
//! characters contain ASCII bytes), the lexer is *unsure*, and the caller treats the whole text as
//! not understood.

use memchr::{memchr, memchr2, memchr_iter};

/// One token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token<'a> {
    /// A keyword or plain name, as written.
    Word(&'a [u8]),
    /// The inside of a quoted name, doubled quotes still doubled.
    Quoted(&'a [u8]),
    /// A string of any kind, a number, a parameter.
    Literal,
    Open,
    Close,
    Comma,
    Dot,
    Semicolon,
    /// `::`
    Cast,
    /// A part of any other operator.
    Other,
}

/// The cursor; a copy looks ahead.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the last token begins.
    began: usize,
    literal_backslashes: bool,
    unsure: bool,
}

impl<'a> Lexer<'a> {
    /// `literal_backslashes`: `standard_conforming_strings` is on.
    pub(crate) fn new(text: &'a [u8], literal_backslashes: bool) -> Self {
        Self {
            text,
            at: 0,
            began: 0,
            literal_backslashes,
            unsure: false,
        }
    }

    /// Whether the server might have cut otherwise, or found no end.
    pub(crate) fn unsure(&self) -> bool {
        self.unsure
    }

    /// The last token as it is written.
    pub(crate) fn taken(&self) -> &'a [u8] {
        self.text.get(self.began..self.at).unwrap_or_default()
    }

    #[inline]
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// What stands behind the last token.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next token; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let byte = self.peek(0)?;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c => self.at += 1,
                b'-' if self.peek(1) == Some(b'-') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                _ => {
                    self.began = self.at;
                    return Some(self.token(byte));
                }
            }
        }
    }

    fn token(&mut self, byte: u8) -> Token<'a> {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word(byte),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
            b'\'' => self.plain_literal(),
            b'"' => self.quoted(),
            b'$' => self.dollar(),
            b':' if self.peek(1) == Some(b':') => self.advance(2, Token::Cast),
            b'(' => self.advance(1, Token::Open),
            b')' => self.advance(1, Token::Close),
            b',' => self.advance(1, Token::Comma),
            b'.' => self.advance(1, Token::Dot),
            b';' => self.advance(1, Token::Semicolon),
            _ => self.advance(1, Token::Other),
        }
    }

    fn advance(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.at += bytes;
        token
    }

    fn line_comment(&mut self) {
        let rest = self.rest();
        self.at += memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    }

    fn block_comment(&mut self) {
        let mut depth = 0u32;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => {
                    self.unsure = true;
                    return;
                }
            }
        }
    }

    fn word(&mut self, first: u8) -> Token<'a> {
        let second = self.peek(1);
        match (first, second) {
            (b'e' | b'E', Some(b'\'')) => return self.escaped_literal(),
            (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', Some(b'\'')) => {
                self.at += 1;
                return self.plain_literal();
            }
            (b'u' | b'U', Some(b'&')) if self.peek(2) == Some(b'\'') => {
                self.at += 2;
                return self.plain_literal();
            }
            // A name that is spelled in escapes: it could be any.
            (b'u' | b'U', Some(b'&')) if self.peek(2) == Some(b'"') => {
                self.unsure = true;
                self.at += 2;
                return self.quoted();
            }
            _ => {}
        }
        let rest = self.rest();
        let in_word =
            |b: &u8| !matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..);
        let end = rest.iter().position(in_word).unwrap_or(rest.len());
        self.at += end;
        Token::Word(rest.get(..end).unwrap_or_default())
    }

    /// Digits, and what may stick to them; `1.5e-3` may fall apart, which changes nothing.
    fn number(&mut self) -> Token<'a> {
        let rest = self.rest();
        let part = |b: &u8| !(b.is_ascii_alphanumeric() || *b == b'.' || *b == b'_');
        self.at += rest.iter().position(part).unwrap_or(rest.len());
        Token::Literal
    }

    /// `'...'`, a quote doubled inside. At the opening quote.
    fn plain_literal(&mut self) -> Token<'a> {
        self.at += 1;
        loop {
            let rest = self.rest();
            let Some(end) = memchr(b'\'', rest) else {
                self.unsure = true;
                self.at = self.text.len();
                return Token::Literal;
            };
            let inside = rest.get(..end).unwrap_or_default();
            // Before a quote, a backslash decides where the literal ends.
            let decisive = inside.last() == Some(&b'\\');
            if decisive || (!self.literal_backslashes && memchr(b'\\', inside).is_some()) {
                self.unsure = true;
            }
            self.at += end + 1;
            if self.peek(0) != Some(b'\'') {
                return Token::Literal;
            }
            self.at += 1;
        }
    }

    /// `E'...'`, where a backslash takes the next byte with it. At the `E`.
    fn escaped_literal(&mut self) -> Token<'a> {
        self.at += 2;
        loop {
            let rest = self.rest();
            let Some(end) = memchr2(b'\'', b'\\', rest) else {
                self.unsure = true;
                self.at = self.text.len();
                return Token::Literal;
            };
            self.at += end;
            match (self.peek(0), self.peek(1)) {
                (Some(b'\\'), _) | (_, Some(b'\'')) => self.at += 2,
                _ => {
                    self.at += 1;
                    return Token::Literal;
                }
            }
        }
    }

    /// `"..."`, a quote doubled inside. At the opening quote.
    fn quoted(&mut self) -> Token<'a> {
        self.at += 1;
        let rest = self.rest();
        let mut quotes = memchr_iter(b'"', rest);
        while let Some(end) = quotes.next() {
            if rest.get(end + 1) == Some(&b'"') {
                quotes.next();
                continue;
            }
            self.at += end + 1;
            return Token::Quoted(rest.get(..end).unwrap_or_default());
        }
        self.unsure = true;
        self.at = self.text.len();
        Token::Quoted(rest)
    }

    /// `$tag$...$tag$`, or `$1`, or a stray `$`.
    fn dollar(&mut self) -> Token<'a> {
        let rest = self.rest();
        if self.peek(1).is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
            return self.number();
        }
        let after = rest.get(1..).unwrap_or_default();
        let in_tag = |b: &u8| !matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | 0x80..);
        let length = after.iter().position(in_tag);
        let Some((tag_end, b'$')) = length.and_then(|n| Some((n, *after.get(n)?))) else {
            return self.advance(1, Token::Other);
        };
        let tag = rest.get(..tag_end + 2).unwrap_or_default();
        let inside = rest.get(tag.len()..).unwrap_or_default();
        match memchr::memmem::find(inside, tag) {
            Some(end) => self.at += tag.len() + end + tag.len(),
            None => {
                self.unsure = true;
                self.at = self.text.len();
            }
        }
        Token::Literal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Token::*;

    fn tokens(text: &str) -> (Vec<Token<'_>>, bool) {
        let mut lexer = Lexer::new(text.as_bytes(), true);
        let mut found = Vec::new();
        while let Some(token) = lexer.next() {
            found.push(token);
        }
        (found, lexer.unsure())
    }

    #[test]
    fn words_names_and_literals_are_told_apart() {
        assert_eq!(
            tokens("select \"a\"\"b\".c::int, $1, 1.5e3 'x''y'"),
            (
                vec![
                    Word(b"select"),
                    Quoted(b"a\"\"b"),
                    Dot,
                    Word(b"c"),
                    Cast,
                    Word(b"int"),
                    Comma,
                    Literal,
                    Comma,
                    Literal,
                    Literal
                ],
                false
            )
        );
    }

    #[test]
    fn comments_vanish_even_nested() {
        assert_eq!(
            tokens("a -- x 'y\nb /* c /* d */ e */ f"),
            (vec![Word(b"a"), Word(b"b"), Word(b"f")], false)
        );
        assert!(tokens("/* a /* b */").1);
        assert_eq!(tokens("a--b\rc").0, vec![Word(b"a"), Word(b"c")]);
    }

    #[test]
    fn strings_of_every_kind_hide_what_they_hold() {
        for text in [
            "'; SET x'",
            "E'\\'; SET x'",
            "$$; SET x$$",
            "$a$ $$ ; SET x $b$ $a$",
            "U&'; \\0041 SET'",
            "N'; SET'",
            "$1",
        ] {
            assert_eq!(tokens(text), (vec![Literal], false), "{text}");
        }
    }

    #[test]
    fn a_dollar_inside_a_word_quotes_nothing() {
        assert_eq!(tokens("a$b$ c").0, vec![Word(b"a$b$"), Word(b"c")]);
        assert_eq!(
            tokens("$ a $ b").0,
            vec![Other, Word(b"a"), Other, Word(b"b")]
        );
    }

    #[test]
    fn where_the_server_might_cut_otherwise_it_is_unsure() {
        for text in [
            "'a\\'",
            "'a\\'' b'",
            "'a",
            "\"a",
            "$$a",
            "E'a",
            "U&\"a\"",
            "E'a' \n'b\\' c'",
        ] {
            assert!(tokens(text).1, "{text}");
        }
        for text in ["'a\\b'", "E'a\\\\'", "E'a''b'", "U&'x'"] {
            assert!(!tokens(text).1, "{text}");
        }
        let mut lexer = Lexer::new(b"'a\\b'", false);
        while lexer.next().is_some() {}
        assert!(lexer.unsure());
    }
}
