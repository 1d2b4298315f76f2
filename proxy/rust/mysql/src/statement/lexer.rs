//! Cuts SQL into the few kinds of tokens that classification needs: one pass, no copies.
//!
//! Text in comments, literals and quoted names must neither hide a statement nor fake one, and what an
//! executable comment holds is read as the server would. Where the server might cut otherwise than we do,
//! finds an error, or finds no end, the lexer is *unsure*, and the caller treats the whole text as not
//! understood. What follows is `sql_lex.cc` of both servers, checked against them (see `mod.rs`).

use memchr::memchr;

use super::dialect::{Charset, Dialect};

/// One token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token<'a> {
    /// A keyword or plain name, as written.
    Word(&'a [u8]),
    /// What can't be a keyword: the inside of a quoted name, doubled quotes still doubled; a part of a name
    /// with dots.
    Name(&'a [u8]),
    /// `@name`, or the host of an account: the name, as it stands in its quotes if it has any.
    User(&'a [u8]),
    /// `@@`, in front of a system variable's name.
    System,
    /// A string of any kind, a number.
    Literal,
    /// `?`
    Parameter,
    Open,
    Close,
    Comma,
    Dot,
    Semicolon,
    /// `=`
    Equal,
    /// `:=`
    Assign,
    /// A part of any other operator.
    Other,
}

/// The cursor; a copy looks ahead.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// Where the last token begins.
    began: usize,
    pub(super) dialect: Dialect,
    /// Bytes from 0x80 on are letters, which they are in UTF-8.
    letters: bool,
    /// What is read stands in an executable comment.
    pub(super) inside: bool,
    /// A name follows, whatever it looks like.
    member: bool,
    pub(super) unsure: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        let utf8 = dialect.charset == Charset::Utf8;
        Self {
            text,
            at: 0,
            began: 0,
            dialect,
            letters: utf8 && std::str::from_utf8(text).is_ok(),
            inside: false,
            member: false,
            unsure: false,
        }
    }

    /// Whether the server might have cut otherwise, or found an error.
    pub(crate) fn unsure(&self) -> bool {
        self.unsure
    }

    /// The last token as it is written.
    pub(crate) fn taken(&self) -> &'a [u8] {
        self.text.get(self.began..self.at).unwrap_or_default()
    }

    #[inline]
    pub(super) fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// Where the last token begins, and where it ends.
    pub(super) fn range(&self) -> (usize, usize) {
        (self.began, self.at)
    }

    /// What stands behind the last token.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next token; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let Some(byte) = self.peek(0) else {
                self.unsure |= self.inside;
                return None;
            };
            let next = self.peek(1);
            match byte {
                b' ' | b'\t'..=b'\r' => self.at += 1,
                b'#' => self.line_comment(),
                b'-' if next == Some(b'-') && ends_dashes(self.peek(2)) => self.line_comment(),
                b'/' if next == Some(b'*') => self.comment(),
                b'*' if self.inside && next == Some(b'/') => {
                    self.inside = false;
                    self.at += 2;
                }
                _ => {
                    self.began = self.at;
                    return Some(self.token(byte));
                }
            }
            self.member = false;
        }
    }

    fn token(&mut self, byte: u8) -> Token<'a> {
        let member = std::mem::take(&mut self.member);
        match byte {
            _ if member && self.is_name(byte) => {
                let name = self.name();
                Token::Name(name)
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80.. => self.word(byte),
            b'0'..=b'9' => self.number(),
            b'.' if !member && self.peek(1).is_some_and(|b| b.is_ascii_digit()) => {
                self.fraction();
                Token::Literal
            }
            b'.' => {
                self.member = true;
                self.advance(1, Token::Dot)
            }
            b'\'' => self.string(b'\''),
            b'"' if !self.dialect.ansi_quotes => self.string(b'"'),
            b'"' | b'`' => Token::Name(self.quoted(byte)),
            b'@' => self.variable(),
            b'(' => self.advance(1, Token::Open),
            b')' => self.advance(1, Token::Close),
            b',' => self.advance(1, Token::Comma),
            b'?' => self.advance(1, Token::Parameter),
            b'=' => self.advance(1, Token::Equal),
            b':' if self.peek(1) == Some(b'=') => self.advance(2, Token::Assign),
            b';' => {
                // The next statement is read as if the comment had not begun.
                self.unsure |= self.inside;
                self.advance(1, Token::Semicolon)
            }
            0 => {
                self.unsure = true;
                self.advance(1, Token::Other)
            }
            _ => self.advance(1, Token::Other),
        }
    }

    pub(super) fn advance(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.at += bytes;
        token
    }

    /// Whether a byte may stand in a plain name.
    fn is_name(&self, byte: u8) -> bool {
        matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..)
    }

    fn names_at(&self, ahead: usize) -> bool {
        self.peek(ahead).is_some_and(|byte| self.is_name(byte))
    }

    /// Takes what stands here of a plain name.
    fn name(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| !self.is_name(*byte));
        let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.unsure |= !self.letters && !name.is_ascii();
        self.at += name.len();
        name
    }

    fn word(&mut self, first: u8) -> Token<'a> {
        if self.peek(1) == Some(b'\'') {
            match first {
                b'x' | b'X' => return self.digits_in_quotes(|b| b.is_ascii_hexdigit()),
                b'b' | b'B' => return self.digits_in_quotes(|b| matches!(b, b'0' | b'1')),
                b'n' | b'N' => {
                    self.at += 1;
                    return self.string(b'\'');
                }
                _ => {}
            }
        }
        // Later versions of MySQL quote with dollars.
        self.unsure |= first == b'$' && !self.dialect.is_mariadb();
        self.word_or_part()
    }

    /// A word; or a part of a name with dots, of which the server looks for no keyword.
    fn word_or_part(&mut self) -> Token<'a> {
        let word = self.name();
        if self.peek(0) == Some(b'.') && self.names_at(1) {
            self.member = true;
            return Token::Name(word);
        }
        Token::Word(word)
    }

    /// A number, or a name that begins with one.
    fn number(&mut self) -> Token<'a> {
        let hexadecimal: fn(&u8) -> bool = u8::is_ascii_hexdigit;
        let binary: fn(&u8) -> bool = |b| matches!(b, b'0' | b'1');
        let based = match (self.peek(0), self.peek(1)) {
            (Some(b'0'), Some(b'x')) => Some(hexadecimal),
            (Some(b'0'), Some(b'b')) => Some(binary),
            _ => None,
        };
        if let Some(digit) = based {
            let behind = self.rest().get(2..).unwrap_or_default();
            let digits = behind.iter().take_while(|byte| digit(byte)).count();
            if digits > 0 && !self.names_at(2 + digits) {
                return self.advance(2 + digits, Token::Literal);
            }
            return self.word_or_part();
        }
        let digits = self.digits(0);
        match self.peek(digits) {
            Some(b'e' | b'E') => match self.exponent(digits) {
                Some(length) => self.advance(length, Token::Literal),
                None => self.word_or_part(),
            },
            Some(b'.') => {
                self.at += digits;
                self.fraction();
                Token::Literal
            }
            _ if self.names_at(digits) => self.word_or_part(),
            _ => self.advance(digits, Token::Literal),
        }
    }

    /// From a number's dot to its end.
    fn fraction(&mut self) {
        let length = 1 + self.digits(1);
        self.at += match self.peek(length) {
            Some(b'e' | b'E') => self.exponent(length).unwrap_or_else(|| {
                // The server takes that for an error.
                self.unsure = true;
                length
            }),
            _ => length,
        };
    }

    fn digits(&self, ahead: usize) -> usize {
        let rest = self.rest().get(ahead..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Where a number ends that has its `e` there, if digits follow.
    fn exponent(&self, at: usize) -> Option<usize> {
        let signed = matches!(self.peek(at + 1), Some(b'+' | b'-'));
        let begin = at + 1 + usize::from(signed);
        Some(begin + self.digits(begin)).filter(|end| *end > begin)
    }

    /// `@x`, `@'x'`, `@@`. At the first `@`.
    fn variable(&mut self) -> Token<'a> {
        self.at += 1;
        match self.peek(0) {
            Some(b'@') => {
                self.at += 1;
                self.unsure |= !self.names_at(0) && self.peek(0) != Some(b'`');
                Token::System
            }
            Some(quote @ (b'\'' | b'"' | b'`')) => {
                let begin = self.at + 1;
                if quote == b'`' || quote == b'"' && self.dialect.ansi_quotes {
                    self.quoted(quote);
                } else {
                    self.string(quote);
                }
                Token::User(self.text.get(begin..self.at - 1).unwrap_or_default())
            }
            _ => {
                let rest = self.rest();
                let part = |byte: &u8| self.is_name(*byte) || *byte == b'.';
                let end = rest.iter().position(|byte| !part(byte));
                let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                // MariaDB wants quotes around others.
                self.unsure |= !name.is_ascii();
                self.at += name.len();
                Token::User(name)
            }
        }
    }

    /// `#` or `-- ` to the end of the line.
    fn line_comment(&mut self) {
        let rest = self.rest();
        let line = rest.get(..memchr(b'\n', rest).unwrap_or(rest.len()));
        let line = line.unwrap_or_default();
        // Which ends the comment, or the text.
        self.unsure |= memchr(0, line).is_some();
        self.at += line.len();
    }
}

/// Whether two dashes begin a comment in front of this.
fn ends_dashes(next: Option<u8>) -> bool {
    next.is_none_or(|byte| byte <= b' ' || byte == 0x7f)
}
