//! The statements that a text deallocates.

use super::lexer::{Lexer, Token};

/// As much of a name counts for PostgreSQL; a longer one is cut by characters.
const SIGNIFICANT: usize = 63;

/// Which of its client's statements a text deallocates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Deallocated {
    All,
    Name(Vec<u8>),
}

/// What `DEALLOCATE [PREPARE] name` or `ALL` speaks of, if the text is that, and surely: not a keyword,
/// and nothing that depends on the encoding. The name is as PostgreSQL makes it.
pub(crate) fn deallocated(text: &[u8]) -> Option<Deallocated> {
    if !text.is_ascii() {
        return None;
    }
    let mut lexer = Lexer::new(text, true);
    match lexer.next()? {
        Token::Word(word) if word.eq_ignore_ascii_case(b"deallocate") => {}
        _ => return None,
    }
    let mut name = lexer.next()?;
    let mut end = lexer.next();
    if matches!(name, Token::Word(word) if word.eq_ignore_ascii_case(b"prepare")) {
        name = end?;
        end = lexer.next();
    }
    while end == Some(Token::Semicolon) {
        end = lexer.next();
    }
    if end.is_some() || lexer.unsure() {
        return None;
    }
    let name = match name {
        Token::Word(word) if word.eq_ignore_ascii_case(b"all") => return Some(Deallocated::All),
        Token::Quoted(name) => unquoted(name),
        Token::Word(word) if is_no_keyword(word) => word.to_ascii_lowercase(),
        _ => return None,
    };
    let sure = (1..=SIGNIFICANT).contains(&name.len());
    sure.then_some(Deallocated::Name(name))
}

/// Drivers give names with a number in them, and no keyword has a digit, or one letter.
fn is_no_keyword(word: &[u8]) -> bool {
    word.len() == 1 || word.iter().any(u8::is_ascii_digit)
}

fn unquoted(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut quoted = false;
    for byte in name {
        quoted = *byte == b'"' && !quoted;
        if !quoted {
            out.push(*byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_read_as_postgres_reads_it() {
        for (text, name) in [
            ("DEALLOCATE pdo_stmt_00000001", "pdo_stmt_00000001"),
            ("deallocate prepare S_1;", "s_1"),
            ("DEALLOCATE \"Mine\" ; -- gone", "Mine"),
            ("DEALLOCATE \"a\"\"\"\"b\"", "a\"\"b"),
            ("deallocate s", "s"),
        ] {
            let name = Deallocated::Name(name.into());
            assert_eq!(deallocated(text.as_bytes()), Some(name));
        }
    }

    #[test]
    fn all_of_them_have_no_name() {
        for text in ["DEALLOCATE ALL", "deallocate prepare All; -- gone"] {
            assert_eq!(deallocated(text.as_bytes()), Some(Deallocated::All));
        }
    }

    #[test]
    fn what_is_not_surely_one_name_is_none() {
        for text in [
            "DEALLOCATE ALL; SELECT 1",
            "SELECT 1; DEALLOCATE ALL",
            "DEALLOCATE ALL s1",
            "DEALLOCATE prepare",
            "DEALLOCATE select",
            "DEALLOCATE current_date",
            "DEALLOCATE s1; SELECT 1",
            "SELECT 1; DEALLOCATE s1",
            "DEALLOCATE s1 s2",
            "DEALLOCATE \"\"",
            "DEALLOCATE \u{e4}1",
            "DEALLOCATE U&\"s1\"",
            "DEALLOCATE \"s1",
            "DEALLOCATE",
            "",
        ] {
            assert_eq!(deallocated(text.as_bytes()), None, "{text}");
        }
    }
}
