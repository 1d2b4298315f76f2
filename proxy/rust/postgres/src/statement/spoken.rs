//! Texts that do nothing but make, run or deallocate one prepared statement by its name.

use super::classify::Dialect;
use super::lexer::{Lexer, Token};

/// As much of a name counts for PostgreSQL; a longer one is cut by characters.
const SIGNIFICANT: usize = 63;

/// What a text does with a statement. The name is as PostgreSQL makes it, if it takes what is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Spoken {
    /// `PREPARE name [(types)] AS` …, behind so many bytes of ASCII.
    Prepares {
        name: Vec<u8>,
        head: usize,
    },
    /// `EXECUTE name [(values)]`, also explained. No value calls a function.
    Executes(Vec<u8>),
    /// `sure`: what is written is a name and no keyword.
    Deallocates {
        name: Vec<u8>,
        sure: bool,
    },
    DeallocatesAll,
}

impl Spoken {
    /// The one that it speaks of; empty for all.
    pub(crate) fn name(&self) -> &[u8] {
        match self {
            Self::Prepares { name, .. } | Self::Executes(name) | Self::Deallocates { name, .. } => {
                name
            }
            Self::DeallocatesAll => b"",
        }
    }
}

/// What a text does, if it is one statement that surely does that.
pub(crate) fn spoken(text: &[u8], dialect: Dialect) -> Option<Spoken> {
    if !dialect.ascii_safe && !text.is_ascii() {
        return None;
    }
    let mut lexer = Lexer::new(text, dialect.literal_backslashes);
    let spoken = match word(&mut lexer)? {
        lead if lead.eq_ignore_ascii_case(b"prepare") => prepares(text, &mut lexer)?,
        lead if lead.eq_ignore_ascii_case(b"execute") => executes(&mut lexer)?,
        lead if lead.eq_ignore_ascii_case(b"explain") => explains(&mut lexer)?,
        lead if lead.eq_ignore_ascii_case(b"deallocate") => deallocates(&mut lexer)?,
        _ => return None,
    };
    ends(&mut lexer).then_some(spoken)
}

/// What a text of several statements deallocates by name, each with the number of its statement; `None`
/// if nobody is sure.
pub(crate) fn deallocations(text: &[u8], dialect: Dialect) -> Option<Vec<(u16, Vec<u8>)>> {
    if !dialect.ascii_safe && !text.is_ascii() {
        return None;
    }
    let mut lexer = Lexer::new(text, dialect.literal_backslashes);
    let mut found = Vec::new();
    let mut number: u16 = 0;
    while let Some(lead) = lexer.next() {
        if lead == Token::Semicolon {
            continue;
        }
        let deallocate =
            matches!(lead, Token::Word(word) if word.eq_ignore_ascii_case(b"deallocate"));
        if deallocate {
            if let Some(Spoken::Deallocates { name, .. }) = deallocates(&mut lexer.clone()) {
                found.push((number, name));
            }
        }
        while !matches!(lexer.next(), Some(Token::Semicolon) | None) {}
        number = number.saturating_add(1);
    }
    (!lexer.unsure()).then_some(found)
}

/// Whether a statement reads and writes rows, and takes nothing else from its client than its text.
pub(crate) fn is_plain(text: &[u8], dialect: Dialect) -> bool {
    let verbs: [&[u8]; 8] = [
        b"select", b"insert", b"update", b"delete", b"merge", b"values", b"table", b"with",
    ];
    let mut lexer = Lexer::new(text, dialect.literal_backslashes);
    loop {
        return match lexer.next() {
            Some(Token::Open) => continue,
            Some(Token::Word(first)) => verbs.iter().any(|verb| first.eq_ignore_ascii_case(verb)),
            _ => false,
        };
    }
}

fn prepares(text: &[u8], lexer: &mut Lexer<'_>) -> Option<Spoken> {
    let name = name(lexer)?;
    let mut depth = 0;
    loop {
        match lexer.next()? {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            Token::Semicolon => return None,
            Token::Word(word) if depth == 0 && word.eq_ignore_ascii_case(b"as") => break,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    let head = text.len() - lexer.rest().len();
    let plain = text.get(..head).is_some_and(<[u8]>::is_ascii);
    // The rest is looked at by whoever classifies it.
    while !matches!(lexer.clone().next(), Some(Token::Semicolon) | None) {
        lexer.next();
    }
    plain.then_some(Spoken::Prepares { name, head })
}

fn executes(lexer: &mut Lexer<'_>) -> Option<Spoken> {
    let name = name(lexer)?;
    if lexer.clone().next() == Some(Token::Open) {
        lexer.next();
        loop {
            match lexer.next()? {
                Token::Close => break,
                Token::Open | Token::Semicolon => return None,
                _ => {}
            }
        }
    }
    Some(Spoken::Executes(name))
}

fn explains(lexer: &mut Lexer<'_>) -> Option<Spoken> {
    if lexer.clone().next() == Some(Token::Open) {
        while lexer.next()? != Token::Close {}
    }
    let options: [&[u8]; 3] = [b"analyze", b"analyse", b"verbose"];
    loop {
        let word = word(lexer)?;
        if word.eq_ignore_ascii_case(b"execute") {
            return executes(lexer);
        }
        if !options.iter().any(|one| word.eq_ignore_ascii_case(one)) {
            return None;
        }
    }
}

fn deallocates(lexer: &mut Lexer<'_>) -> Option<Spoken> {
    let ahead = lexer.clone().next();
    if matches!(ahead, Some(Token::Word(word)) if word.eq_ignore_ascii_case(b"prepare")) {
        lexer.next();
    }
    let sure = match lexer.clone().next()? {
        Token::Word(word) if word.eq_ignore_ascii_case(b"all") => {
            lexer.next();
            return Some(Spoken::DeallocatesAll);
        }
        Token::Word(word) => is_no_keyword(word),
        _ => true,
    };
    let name = name(lexer)?;
    Some(Spoken::Deallocates { name, sure })
}

/// Drivers give names with a number in them, and no keyword has a digit, or one letter.
fn is_no_keyword(word: &[u8]) -> bool {
    word.len() == 1 || word.iter().any(u8::is_ascii_digit)
}

fn word<'a>(lexer: &mut Lexer<'a>) -> Option<&'a [u8]> {
    match lexer.next()? {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

/// A name as PostgreSQL makes it, unless that depends on the encoding.
fn name(lexer: &mut Lexer<'_>) -> Option<Vec<u8>> {
    let name = match lexer.next()? {
        Token::Quoted(name) => unquoted(name),
        Token::Word(word) => word.to_ascii_lowercase(),
        _ => return None,
    };
    let sure = name.is_ascii() && (1..=SIGNIFICANT).contains(&name.len());
    sure.then_some(name)
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

/// Whether nothing follows, and the server has cut it the same way.
fn ends(lexer: &mut Lexer<'_>) -> bool {
    let mut end = lexer.next();
    while end == Some(Token::Semicolon) {
        end = lexer.next();
    }
    end.is_none() && !lexer.unsure()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect {
        literal_backslashes: true,
        ascii_safe: true,
    };

    #[test]
    fn one_statement_by_name_is_understood() {
        let prepares = |name: &str, head: usize| Spoken::Prepares {
            name: name.into(),
            head,
        };
        let executes = |name: &str| Spoken::Executes(name.into());
        let deallocates = |name: &str, sure: bool| Spoken::Deallocates {
            name: name.into(),
            sure,
        };
        for (text, spoken) in [
            ("PREPARE s AS SELECT 1", prepares("s", 12)),
            (
                "prepare \"A\"\"b\" (int, numeric(3, 1)) as select $1;",
                prepares("A\"b", 38),
            ),
            (
                "PREPARE /* ; */ transaction AS TABLE t -- x",
                prepares("transaction", 30),
            ),
            ("EXECUTE s", executes("s")),
            (
                "execute Mine(1, 'a', null, date '2020-01-01', -2::int) ;",
                executes("mine"),
            ),
            ("EXPLAIN EXECUTE s", executes("s")),
            ("explain analyze verbose execute s (1)", executes("s")),
            ("EXPLAIN (COSTS off, FORMAT json) EXECUTE s", executes("s")),
            ("DEALLOCATE mine", deallocates("mine", false)),
            ("deallocate PREPARE Select;", deallocates("select", false)),
            (
                "DEALLOCATE pdo_stmt_00000001",
                deallocates("pdo_stmt_00000001", true),
            ),
            ("deallocate prepare S_1;", deallocates("s_1", true)),
            ("DEALLOCATE \"Mine\" ; -- gone", deallocates("Mine", true)),
            ("DEALLOCATE \"a\"\"\"\"b\"", deallocates("a\"\"b", true)),
            ("deallocate s", deallocates("s", true)),
            ("DEALLOCATE ALL", Spoken::DeallocatesAll),
            ("deallocate prepare All; -- gone", Spoken::DeallocatesAll),
        ] {
            assert_eq!(
                super::spoken(text.as_bytes(), DIALECT),
                Some(spoken),
                "{text}"
            );
        }
    }

    #[test]
    fn what_reads_and_writes_rows_is_plain_behind_comments_too() {
        for text in [
            "select 1",
            "/* app='x' */ SELECT 1",
            "-- of x\n((values (1)))",
            "table t",
            "merge into t using u on true when matched then delete",
        ] {
            assert!(super::is_plain(text.as_bytes(), DIALECT), "{text}");
        }
        for text in [
            "",
            "-- select",
            "/* x */ copy t to stdout",
            "fetch c",
            "\"select\"",
        ] {
            assert!(!super::is_plain(text.as_bytes(), DIALECT), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_not_surely_that_is_not() {
        for text in [
            "",
            "PREPARE TRANSACTION 'x'",
            "PREPARE s AS SELECT 1; SELECT 2",
            "PREPARE s (int AS SELECT 1",
            "PREPARE \"\" AS SELECT 1",
            "PREPARE s\u{e4} AS SELECT 1",
            "PREPARE s (\"gr\u{f6}\u{df}e\") AS SELECT 1",
            "PREPARE s AS SELECT 'open",
            "SELECT 1; EXECUTE s",
            "EXECUTE s(f(1))",
            "EXECUTE s(1); SELECT 1",
            "EXECUTE s 1",
            "EXPLAIN SELECT execute (1)",
            "EXPLAIN CREATE TABLE t AS EXECUTE s",
            "CREATE TABLE t AS EXECUTE s",
            "DEALLOCATE ALL; SELECT 1",
            "SELECT 1; DEALLOCATE ALL",
            "DEALLOCATE ALL s1",
            "DEALLOCATE prepare",
            "DEALLOCATE s; DEALLOCATE t",
            "DEALLOCATE s1 s2",
            "DEALLOCATE \"\"",
            "DEALLOCATE \u{e4}1",
            "DEALLOCATE U&\"s1\"",
            "DEALLOCATE \"s1",
            "DEALLOCATE",
        ] {
            assert_eq!(super::spoken(text.as_bytes(), DIALECT), None, "{text}");
        }
    }
}
