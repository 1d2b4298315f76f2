//! What stands in quotes, and in comments with a beginning and an end.

use memchr::{memchr, memchr2, memchr3, memmem};

use super::lexer::{Lexer, Token};

impl<'a> Lexer<'a> {
    /// A string, its quote doubled inside or behind a backslash. At the opening quote.
    pub(super) fn string(&mut self, quote: u8) -> Token<'a> {
        self.at += 1;
        let escape = match self.dialect.no_backslash_escapes {
            true => quote,
            false => b'\\',
        };
        loop {
            let rest = self.rest();
            let Some(end) = memchr2(quote, escape, rest) else {
                self.endless();
                return Token::Literal;
            };
            self.at += end;
            match (self.peek(0), self.peek(1)) {
                (Some(_), None) if escape == b'\\' && self.peek(0) == Some(b'\\') => {
                    self.endless();
                    return Token::Literal;
                }
                (Some(b'\\'), _) if escape == b'\\' => self.at += 2,
                (_, Some(next)) if next == quote => self.at += 2,
                _ => {
                    self.at += 1;
                    return Token::Literal;
                }
            }
        }
    }

    /// A quoted name, its quote doubled inside. At the opening quote.
    pub(super) fn quoted(&mut self, quote: u8) -> &'a [u8] {
        self.at += 1;
        let begin = self.at;
        loop {
            let Some(end) = memchr(quote, self.rest()) else {
                self.endless();
                return self.text.get(begin..).unwrap_or_default();
            };
            self.at += end + 1;
            if self.peek(0) != Some(quote) {
                let name = self.text.get(begin..self.at - 1).unwrap_or_default();
                // Where it ends for the server.
                self.unsure |= memchr(0, name).is_some();
                return name;
            }
            self.at += 1;
        }
    }

    /// `x'00'`, `b'01'`. At the letter.
    pub(super) fn digits_in_quotes(&mut self, digit: fn(&u8) -> bool) -> Token<'a> {
        let inside = self.rest().get(2..).unwrap_or_default();
        let digits = inside.iter().take_while(|byte| digit(byte)).count();
        if inside.get(digits) != Some(&b'\'') {
            self.unsure = true;
        }
        self.at = self.text.len().min(self.at + 2 + digits + 1);
        Token::Literal
    }

    fn endless(&mut self) {
        self.unsure = true;
        self.at = self.text.len();
    }

    /// A comment: skipped, or entered. At its `/*`.
    pub(super) fn comment(&mut self) {
        let opening = match self.rest() {
            [_, _, b'!', ..] => 3,
            [_, _, b'M', b'!', ..] if self.dialect.is_mariadb() => 4,
            [_, _, inside @ ..] => {
                self.doubt_hints(inside);
                self.at += 2;
                return self.skip_comment(false);
            }
            _ => return self.endless(),
        };
        self.at += opening;
        let digits = self.rest().iter().take(7);
        let digits = digits.take_while(|byte| byte.is_ascii_digit()).count();
        match digits {
            0..=4 => self.inside = true,
            5 => self.versioned(5, opening),
            // That the sixth is part of the version depends on the version.
            _ if !self.dialect.is_mariadb() => {
                self.unsure = true;
                self.skip_comment(true);
            }
            _ => self.versioned(6, opening),
        }
    }

    /// At a version of so many digits.
    fn versioned(&mut self, digits: usize, opening: usize) {
        let said = self.rest().get(..digits).unwrap_or_default();
        let version = said.iter();
        let version = version.fold(0, |sum, digit| {
            sum * 10 + u32::from(digit.wrapping_sub(b'0'))
        });
        // What MySQL has had since it and MariaDB went apart isn't for MariaDB.
        let apart = self.dialect.is_mariadb() && opening == 3;
        if version <= self.dialect.number() && !(apart && (50_700..=99_999).contains(&version)) {
            self.at += digits;
            self.inside = true;
        } else {
            self.skip_comment(true);
        }
    }

    /// To behind the end of a comment, which may have one level of others in it, or none.
    fn skip_comment(&mut self, nests: bool) {
        let mut depth = 1;
        while depth > 0 {
            let rest = self.rest();
            let Some(slash) = memchr2(b'*', b'/', rest) else {
                return self.endless();
            };
            self.at += slash;
            match (self.peek(0), self.peek(1)) {
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                }
                (Some(b'/'), Some(b'*')) if nests && depth == 1 => {
                    depth += 1;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Hints are read with their quotes, which may hide the end of the comment.
    fn doubt_hints(&mut self, inside: &[u8]) {
        if inside.first() == Some(&b'+') {
            let end = memmem::find(inside, b"*/").unwrap_or(inside.len());
            let hint = inside.get(..end).unwrap_or_default();
            let mut rest = hint;
            while let Some(begin) = memchr3(b'\'', b'"', b'`', rest) {
                let quote = rest.get(begin).copied().unwrap_or_default();
                let behind = rest.get(begin + 1..).unwrap_or_default();
                let Some(end) = memchr(quote, behind) else {
                    self.unsure = true;
                    return;
                };
                rest = behind.get(end + 1..).unwrap_or_default();
            }
        }
    }
}
