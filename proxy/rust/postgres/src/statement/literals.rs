//! What the constants of a text depend on. A server makes them of literals when it parses the text, and
//! goes by that for as long as the statement lives. For `classify`.

use super::lexer::{Lexer, Token};

/// What else than the text says what a server makes of it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Reading {
    /// Nothing.
    #[default]
    Fixed,
    /// Settings: `DateStyle`, `TimeZone`, `standard_conforming_strings` and the like.
    Settings,
    /// The moment: `'now'` is a date, and FETCH has the columns of its cursor.
    Moment,
}

/// What the literals of a text depend on.
pub(super) fn reading(text: &[u8], literal_backslashes: bool) -> Reading {
    let bytes = !text.is_ascii() || memchr::memchr(b'\\', text).is_some();
    let mut found = if bytes {
        Reading::Settings
    } else {
        Reading::Fixed
    };
    let equals = memchr::memchr(b'=', text).is_some();
    let mut lexer = Lexer::new(text, literal_backslashes);
    let mut behind_string = false;
    while let Some(token) = lexer.next() {
        if equals && matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(b"null")) {
            // `transform_null_equals`, with whatever stands between the two.
            found = found.max(Reading::Settings);
        }
        let is_string = token == Token::Literal && is_string(lexer.taken());
        if is_string && behind_string {
            // Two strings in two lines are one.
            return Reading::Moment;
        }
        if is_string {
            found = found.max(of_string(lexer.taken(), literal_backslashes));
        }
        behind_string = is_string;
    }
    found
}

/// Whether a literal is a string: neither a number nor a parameter.
fn is_string(literal: &[u8]) -> bool {
    match literal {
        [b'$', next, ..] => !next.is_ascii_digit(),
        [first, ..] => !first.is_ascii_digit() && *first != b'.',
        [] => false,
    }
}

/// A string without a digit is no date, interval, amount or the like, but for some words.
fn of_string(literal: &[u8], literal_backslashes: bool) -> Reading {
    if spells(literal, literal_backslashes) {
        return Reading::Moment;
    }
    let mut words = literal.split(|byte| !byte.is_ascii_alphabetic());
    if words.any(|word| is_one_of(word, &[b"now", b"today", b"tomorrow", b"yesterday"])) {
        return Reading::Moment;
    }
    let mut words = literal.split(|byte| !byte.is_ascii_alphabetic());
    let read = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'<' | b'$');
    match literal.iter().any(read) || words.any(|word| is_one_of(word, &[b"null"])) {
        true => Reading::Settings,
        false => Reading::Fixed,
    }
}

/// Whether it may spell letters in escapes: any that is no control character.
fn spells(literal: &[u8], literal_backslashes: bool) -> bool {
    let control = |byte: u8| matches!(byte, b'b' | b'f' | b'n' | b'r' | b't');
    let letter = |pair: &[u8]| matches!(pair, [b'\\', byte] if byte.is_ascii_alphanumeric() && !control(*byte));
    match literal {
        [b'u' | b'U', b'&', ..] => true,
        [b'e' | b'E', ..] => literal.windows(2).any(letter),
        [b'\'', ..] if !literal_backslashes => literal.windows(2).any(letter),
        _ => false,
    }
}

fn is_one_of(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|one| word.eq_ignore_ascii_case(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_date_or_the_like_means_the_same_under_all_settings() {
        for text in [
            "select id, name from item where id = $1 and price > 1.5 limit 10",
            "insert into item values ($1, 'new', null, true)",
            "select * from pg_class where relkind in ('r', 'v') and relname not like 'pg!_%' and x is not null",
            "select nullif($1, 'x') is null, 'I don''t know', 'snow', 'nowhere'",
            "begin",
        ] {
            assert_eq!(reading(text.as_bytes(), true), Reading::Fixed, "{text}");
        }
    }

    #[test]
    fn what_settings_may_read_otherwise_depends_on_them() {
        for text in [
            "select '01/02/2020'::date",
            "select timestamptz '2020-01-02'",
            "select '{a,null}'::text[]",
            "select 'a\\b'",
            "select E'a\\nb'",
            "select xml '<a/>'",
            "select $1 = null",
            "select (null) = $1",
            "select $1 operator(=) ((null))",
            "select 'a' ~ '\\d'",
            "select $$1 day$$::interval",
            "select \"gr\u{f6}\u{df}e\" from t",
        ] {
            assert_eq!(reading(text.as_bytes(), true), Reading::Settings, "{text}");
        }
    }

    #[test]
    fn what_may_be_a_moment_depends_on_that() {
        for text in [
            "select 'now'::timestamp",
            "select date ' ToDay'",
            "select 'tomorrow 12:00'::timestamptz",
            "select 'yesterday'::date",
            "select E'\\156ow'::timestamptz",
            "select E'no\\w'::timestamptz",
            "select U&'\\006eow'::timestamptz",
            "select 'no'\n'w'::timestamptz",
            "select $x$now$x$::timestamptz",
        ] {
            assert_eq!(reading(text.as_bytes(), true), Reading::Moment, "{text}");
        }
    }
}
