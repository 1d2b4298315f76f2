//! How a text is read: by which server, with which settings, and where it can't be known.

use dbproxy_engine::PinReason;

use super::super::lexer::{Lexer, Token};
use super::super::Charset;
use super::*;

/// The tokens of a text, as they are written; `None` where it isn't sure.
fn cut(sql: &str, dialect: Dialect) -> Option<Vec<&str>> {
    let mut lexer = Lexer::new(sql.as_bytes(), dialect);
    let mut tokens = Vec::new();
    while lexer.next().is_some() {
        tokens.push(std::str::from_utf8(lexer.taken()).unwrap());
    }
    (!lexer.unsure()).then_some(tokens)
}

#[test]
fn an_executable_comment_is_read_where_the_server_reads_it() {
    for (sql, read_by_mysql, read_by_mariadb) in [
        ("1 /*! +1 */", true, true),
        ("1 /*!+1*/", true, true),
        ("1 /*!50000 +1 */", true, true),
        ("1 /*!50699 +1 */", true, true),
        // MariaDB has not what MySQL has had since 5.7.
        ("1 /*!50700 +1 */", true, false),
        ("1 /*!80031 +1 */", true, false),
        ("1 /*!80032 +1 */", false, false),
        ("1 /*!99999 +1 */", false, false),
        ("1 /*!99999 +1 /* x */ +1 */", false, false),
        ("1 /*M!50700 +1 */", false, true),
        ("1 /*M!100100 +1 */", false, true),
        ("1 /*M! +1 */", false, true),
        ("1 /*M!999999 +1 */", false, false),
        ("1 /*m! +1 */", false, false),
        ("1 /* +1 */", false, false),
        ("1 /*+ +1 */", false, false),
    ] {
        for (dialect, read) in [(mysql(), read_by_mysql), (mariadb(), read_by_mariadb)] {
            let expected: &[&str] = if read { &["1", "+", "1"] } else { &["1"] };
            assert_eq!(
                cut(sql, dialect).as_deref(),
                Some(expected),
                "{sql} {dialect:?}"
            );
        }
    }
    // Six digits are a version of MariaDB's; of MySQL's it depends.
    assert_eq!(cut("1 /*!100000 +1 */", mariadb()).unwrap().len(), 3);
    assert_eq!(cut("1 /*!101120 +1 */", mariadb()).unwrap().len(), 1);
    assert_eq!(cut("1 /*!100000 +1 */", mysql()), None);
}

#[test]
fn comments_end_where_the_server_ends_them() {
    for (sql, tokens) in [
        ("1 /* +1 /* x */ +1", Some(&["1", "+", "1"][..])),
        (
            "1 /*!50000 +2 /* x */ +3 */",
            Some(&["1", "+", "2", "+", "3"]),
        ),
        (
            "1 /*!50000 +2 /*!50000 +3 */ +4",
            Some(&["1", "+", "2", "+", "3", "+", "4"]),
        ),
        (
            "1 /*!50000 +2 /*!99999 +3 */ +4 */",
            Some(&["1", "+", "2", "+", "4"]),
        ),
        ("1 */ 2", Some(&["1", "*", "/", "2"])),
        ("1 --+1", Some(&["1", "-", "-", "+", "1"])),
        ("1 -- +1", Some(&["1"])),
        ("1 --", Some(&["1"])),
        ("1 --\u{1}+1", Some(&["1"])),
        ("1 # +1\r+2\n+3", Some(&["1", "+", "3"])),
        ("1 /*/ 2", None),
        ("1 /*!50000 +1", None),
        (
            "1 /*!50000 +2 /*!50000 +3 */ +4 */",
            Some(&["1", "+", "2", "+", "3", "+", "4", "*", "/"]),
        ),
        ("1 /*!50000 ; select 2 */", None),
        ("1 # \0 +1", None),
        ("1\0", None),
        // Which of them ends a hint depends on the quotes.
        ("/*+ SET_VAR(a='*/ 1, 2 /* */') */ 3", None),
        ("/*+ SET_VAR(a='b') */ 3", Some(&["3"])),
    ] {
        for dialect in [mysql(), mariadb()] {
            assert_eq!(cut(sql, dialect).as_deref(), tokens, "{sql}");
        }
    }
}

#[test]
fn strings_names_and_numbers_are_told_apart() {
    use Token::*;
    for (sql, tokens) in [
        ("x'4f' X'' b'01' 0x4f 0b01 N'a' n'b'", &[Literal; 7][..]),
        ("1 1. .5 1.5e3 1e-3 1.e3", &[Literal; 6]),
        (
            "1a 0X41 0xg 1ea",
            &[Word(b"1a"), Word(b"0X41"), Word(b"0xg"), Word(b"1ea")],
        ),
        ("_utf8'a'", &[Word(b"_utf8"), Literal]),
        ("'a\\'b' 'a''b' \"a\\\"b\" \"a\"\"b\"", &[Literal; 4]),
        (
            "`a``b` a.b.`c` a.5",
            &[
                Name(b"a``b"),
                Name(b"a"),
                Dot,
                Name(b"b"),
                Dot,
                Name(b"c"),
                Name(b"a"),
                Dot,
                Name(b"5"),
            ],
        ),
        (
            "a . b from.x",
            &[Word(b"a"), Dot, Word(b"b"), Name(b"from"), Dot, Name(b"x")],
        ),
        ("1.from", &[Literal, Word(b"from")]),
        (
            "@a @`a b` @'a' @\"a\" @a.b$ @",
            &[
                User(b"a"),
                User(b"a b"),
                User(b"a"),
                User(b"a"),
                User(b"a.b$"),
                User(b""),
            ],
        ),
        (
            "@@a @@session.a @@`a`",
            &[
                System,
                Word(b"a"),
                System,
                Name(b"session"),
                Dot,
                Name(b"a"),
                System,
                Name(b"a"),
            ],
        ),
        (
            "? := = >= ;",
            &[Parameter, Assign, Equal, Other, Equal, Semicolon],
        ),
    ] {
        for dialect in [mysql(), mariadb()] {
            let mut lexer = Lexer::new(sql.as_bytes(), dialect);
            let found: Vec<_> = std::iter::from_fn(|| lexer.next()).collect();
            assert_eq!((&*found, lexer.unsure()), (tokens, false), "{sql}");
        }
    }
    for sql in [
        "x'4g'",
        "b'2'",
        "x'4",
        "1.e",
        "@@ a",
        "'a\\'",
        "`a",
        "\"a",
        "@'a",
        "SELECT @\u{e4}",
    ] {
        assert_eq!(cut(sql, mysql()), None, "{sql}");
    }
}

#[test]
fn sql_mode_says_what_quotes_and_backslashes_mean() {
    let ansi = mysql().under("ANSI_QUOTES");
    let mut lexer = Lexer::new(b"\"a\\\" @\"b\"", ansi);
    assert_eq!(lexer.next(), Some(Token::Name(b"a\\")));
    assert_eq!(lexer.next(), Some(Token::User(b"b")));
    let literal = mysql().under("NO_BACKSLASH_ESCAPES");
    assert_eq!(cut("'a\\' b 'c''d'", literal).unwrap().len(), 3);
    assert_eq!(cut("'a\\' b 'c''d'", mysql()), None);
}

#[test]
fn the_body_of_a_routine_is_not_run() {
    let body = "CREATE DEFINER=`a`@`b` PROCEDURE p() BEGIN LOCK TABLES t READ; SET @a = 1; END";
    let alone = Dialect {
        multi_statements: false,
        ..mysql()
    };
    let class = classify(body.as_bytes(), alone);
    assert_eq!(
        (class.pin, class.statements, acts(&class).len()),
        (None, 1, 0)
    );
    // Where other statements may follow, it isn't looked for where the body ends.
    assert_eq!(on_mysql(body).pin, Some(PinReason::Unclassified));
    let one = "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a = 1;";
    assert_eq!(on_mysql(one).pin, None);
    assert_eq!(
        on_mysql(&format!("{one} LOCK TABLES t READ")).pin,
        Some(PinReason::Unclassified)
    );
}

#[test]
fn behind_a_change_of_how_texts_are_read_only_what_is_read_alike_is_judged() {
    for sql in [
        "SET sql_mode = 'ANSI_QUOTES'; SELECT \"a\"",
        "SET NAMES gbk; SELECT '\u{e4}'",
        "SET @@sql_mode = @a; SELECT 'a\\'",
        "CALL p(); SELECT \"a\"",
        "SET character_set_client = x; SELECT [",
    ] {
        assert!(on_mysql(sql).pins.has(PinReason::Unclassified), "{sql}");
        assert!(on_mariadb(sql).pins.has(PinReason::Unclassified), "{sql}");
    }
    let usual = "SET NAMES utf8mb4; SET time_zone = '+00:00'; SELECT 1";
    assert_eq!(class(usual).pin, None);
    let mode = "SET sql_mode = 'ORACLE'; SELECT 1";
    assert_eq!(on_mysql(mode).pin, None);
    assert_eq!(on_mariadb(mode).pin, Some(PinReason::Unclassified));
    assert_eq!(class("SET sql_mode = 'ORACLE' ; ").pin, None);
}

#[test]
fn a_text_whose_reading_is_not_known_is_not_judged() {
    let unknown = |dialect| {
        classify("SELECT '\u{e4}'".as_bytes(), dialect)
            .pin
            .is_some()
    };
    let ascii = |dialect| classify(b"SELECT 'a'", dialect).pin.is_some();
    for (charset, any, of_ascii) in [
        (Charset::Utf8, false, false),
        (Charset::Ascii, false, false),
        (Charset::Mixed, true, false),
        (Charset::Unknown, true, true),
    ] {
        let dialect = Dialect { charset, ..mysql() };
        assert_eq!(
            (unknown(dialect), ascii(dialect)),
            (any, of_ascii),
            "{charset:?}"
        );
    }
    assert!(ascii(mariadb().under("ORACLE")) && ascii(mariadb().under("MSSQL")));
    assert!(ascii(Dialect::of_version("8.0.11-TiDB-v7.1")));
    // In a name, only UTF-8 is known to be letters.
    let latin = Dialect {
        charset: Charset::Ascii,
        ..mysql()
    };
    assert!(classify(b"SELECT \xe4", latin).pin.is_some());
    assert!(classify(b"SELECT \xe4", mysql()).pin.is_some());
    assert!(classify("SELECT \u{e4}".as_bytes(), mysql()).pin.is_none());
}
