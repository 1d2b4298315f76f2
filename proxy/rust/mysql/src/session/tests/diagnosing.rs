//! What a statement has left to ask for, once its backend is gone.

use crate::message::capability::*;
use crate::message::column::Column;
use dbproxy_engine::Outcome;

use super::pair::{hex, link, packet, payloads, query, Pair, MARIADB, MYSQL};

const OK: &str = "00000002000000";
/// An OK with one warning.
const WARNED: &str = "00000002000100";
const WARNINGS: &str = "SHOW WARNINGS";
const COUNTS: &str = "SELECT @@warning_count, @@error_count";

/// A result of columns without a name and rows of texts.
fn rows(agreed: Capabilities, columns: u8, rows: &[&[&str]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut number = 1;
    let mut put = |payload: &[u8]| {
        out.extend(packet(number, payload));
        number += 1;
    };
    let end = hex("fe00000200");
    put(&[columns]);
    for _ in 0..columns {
        let mut column = Vec::new();
        Column::default().write(&mut column);
        put(&column);
    }
    if !agreed.has(DEPRECATE_EOF) {
        put(&end);
    }
    for row in rows {
        let text = |text: &&str| [&[text.len() as u8], text.as_bytes()].concat();
        put(&row.iter().flat_map(text).collect::<Vec<_>>());
    }
    match agreed.has(DEPRECATE_EOF) {
        true => put(&hex("fe000002000000")),
        false => put(&end),
    }
    out
}

/// A client whose last statement had that list, and whose backend is gone.
fn after(version: &str, agreed: Capabilities, list: &[&[&str]], errors: &str) -> Pair {
    let mut pair = Pair::new(version, agreed);
    pair.asks("SELECT 1");
    pair.gives(WARNED);
    assert_eq!(pair.asked(), [WARNINGS, COUNTS]);
    let counts: &[&[&str]] = &[&[&list.len().to_string(), errors]];
    let answers = [rows(agreed, 3, list), rows(agreed, 2, counts)].concat();
    assert_eq!(
        pair.answers(&answers),
        b"",
        "and the client knows nothing of it"
    );
    assert!(pair.is_free());
    pair.spare = Some(link(version, agreed));
    pair
}

fn told(pair: &mut Pair, text: &str) -> Vec<u8> {
    assert_eq!(pair.says(&query(text)), b"", "{text} needs no backend");
    assert!(pair.link.is_none());
    std::mem::take(&mut pair.client)
}

const LIST: &[&[&str]] = &[&["Warning", "1292", "w"], &["Error", "1064", "e"]];

#[test]
fn warnings_are_told_from_a_copy_as_the_server_told_them() {
    for version in [MYSQL, MARIADB] {
        for agreed in [SSL, DEPRECATE_EOF] {
            let mut pair = after(version, agreed, LIST, "1");
            for _ in 0..2 {
                assert_eq!(told(&mut pair, "SHOW WARNINGS"), rows(agreed, 3, LIST));
                assert_eq!(told(&mut pair, "SHOW ERRORS"), rows(agreed, 3, &LIST[1..]));
                for (text, count) in [
                    ("SHOW COUNT(*) WARNINGS", "2"),
                    ("show count(*) errors", "1"),
                ] {
                    let answer = payloads(&told(&mut pair, text));
                    let row = [&[1], count.as_bytes()].concat();
                    assert_eq!(answer[answer.len() - 2], row, "{text}");
                }
            }
            let answer = payloads(&told(&mut pair, "SELECT ROW_COUNT()"));
            assert_eq!(answer[answer.len() - 2], b"\x02-1");
        }
    }
}

#[test]
fn the_next_statement_takes_their_place() {
    let mut pair = after(MYSQL, DEPRECATE_EOF, LIST, "1");
    told(&mut pair, "SELECT @@warning_count");
    // It has cleared them, and any backend that has none tells so.
    pair.says(&query("SHOW WARNINGS"));
    let none = rows(DEPRECATE_EOF, 3, &[]);
    assert_eq!(
        pair.answers(&[packet(1, &hex(OK)), none.clone()].concat()),
        none
    );
    assert!(pair.is_free());

    let mut pair = after(MARIADB, DEPRECATE_EOF, LIST, "1");
    told(&mut pair, "SELECT @@warning_count");
    told(&mut pair, "SHOW WARNINGS");
    // Without a table it leaves them there; with one it takes them away; of some nobody knows.
    for (text, count) in [("BEGIN", 2), ("SELECT a FROM t", 0)] {
        pair.asks(text);
        pair.gives(OK);
        assert!(pair.is_free(), "{text}");
        pair.spare = Some(link(MARIADB, DEPRECATE_EOF));
        let answer = payloads(&told(&mut pair, "SHOW COUNT(*) WARNINGS"));
        assert_eq!(answer[2], format!("\x01{count}").as_bytes(), "{text}");
    }
    let mut pair = after(MARIADB, DEPRECATE_EOF, LIST, "1");
    pair.asks("SHOW TABLES");
    pair.gives(OK);
    assert_eq!(Pair::error(&told(&mut pair, "SHOW WARNINGS")).0, 1235);
}

#[test]
fn rows_are_counted_as_the_server_counts_them() {
    for (text, answer, count) in [
        ("UPDATE t SET a = 1", "00050002000000", "5"),
        ("SELECT 1", "0101", "-1"),
        ("SET time_zone = 'SYSTEM'", OK, "0"),
    ] {
        let mut pair = Pair::mysql();
        pair.asks(text);
        match answer {
            "0101" => pair.answers(&rows(DEPRECATE_EOF, 1, &[&["1"]])),
            answer => pair.gives(answer),
        };
        for count in [count, "-1"] {
            let answer = payloads(&told(&mut pair, "SELECT ROW_COUNT()"));
            assert_eq!(answer[2][1..], *count.as_bytes(), "{text}");
        }
    }
    // A column is called as it is written.
    let answer = told(&mut Pair::mysql(), "SELECT /**/ row_count ( ) ;");
    assert!(answer.windows(13).any(|part| part == b"row_count ( )"));
}

/// What is asked while the proxy itself asks the backend is not asked of that.
#[test]
fn a_question_waits_for_what_the_proxy_asks() {
    let mut pair = Pair::mysql();
    pair.asks("INSERT INTO t VALUES (1)");
    pair.gives("00010202000000");
    assert_eq!(pair.asked(), ["SET last_insert_id = LAST_INSERT_ID()"]);
    assert_eq!(pair.asks("SELECT ROW_COUNT()"), [""; 0]);
    let id = [
        session_track("last_insert_id", "2"),
        crate::message::session_track::Change::State(true),
    ];
    let answer = payloads(&pair.reports(2, &id));
    assert_eq!(answer[2], b"\x011");
}

fn session_track<'a>(name: &'a str, value: &'a str) -> crate::message::session_track::Change<'a> {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    crate::message::session_track::Change::Variable { name, value }
}

#[test]
fn who_holds_the_backend_is_told_by_it() {
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.asks("UPDATE t SET a = 1");
    pair.gives("00050003000100");
    for text in [
        "SELECT ROW_COUNT()",
        "SHOW WARNINGS LIMIT 1",
        "SELECT @@warning_count, 1",
    ] {
        assert_eq!(pair.asks(text), [text]);
        let mut answer = rows(DEPRECATE_EOF, 1, &[&["1"]]);
        let at = answer.len() - 4;
        answer[at] = 3;
        pair.answers(&answer);
    }
    // Behind an answer of the proxy's own it doesn't know any more, but the proxy does.
    pair.asks("SELECT CONNECTION_ID()");
    let answer = payloads(&std::mem::take(&mut pair.client));
    assert_eq!(
        answer[3],
        hex("fe000003000000"),
        "it is still in its transaction"
    );
    assert_eq!(pair.asks("SELECT ROW_COUNT()"), [""; 0]);
    assert_eq!(payloads(&std::mem::take(&mut pair.client))[2], b"\x02-1");
}

#[test]
fn how_many_rows_there_were_is_asked_on_the_same_backend() {
    let mut pair = Pair::mysql();
    pair.asks("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1");
    pair.answers(&rows(DEPRECATE_EOF, 1, &[&["1"]]));
    assert!(pair.link.is_some() && pair.pinned().is_none());
    assert_eq!(pair.asks("SELECT FOUND_ROWS()"), ["SELECT FOUND_ROWS()"]);
    pair.answers(&rows(DEPRECATE_EOF, 1, &[&["9"]]));
    assert!(pair.is_free());
}

#[test]
fn what_is_long_or_wide_is_not_kept() {
    let long = "x".repeat(200);
    let list: Vec<&[&str]> = vec![];
    let row: &[&str] = &["Warning", "1", &long];
    let list: Vec<_> = list
        .into_iter()
        .chain(std::iter::repeat_n(row, 80))
        .collect();
    let mut pair = after(MYSQL, DEPRECATE_EOF, &list, "0");
    assert_eq!(Pair::error(&told(&mut pair, "SHOW WARNINGS")).0, 1235);

    let mut pair = Pair::mysql();
    pair.asks("SET character_set_results = utf16");
    let changes = [
        session_track("character_set_results", "utf16"),
        crate::message::session_track::Change::State(true),
    ];
    pair.reports(2, &changes);
    pair.asks("SELECT 1");
    pair.gives(WARNED);
    assert_eq!(pair.asked(), [""; 0]);
    assert_eq!(Pair::error(&told(&mut pair, "SHOW WARNINGS")).0, 1235);
}

#[test]
fn what_was_lost_with_its_backend_is_not_told() {
    let mut pair = Pair::mysql();
    pair.asks("SELECT 1");
    pair.gives(WARNED);
    assert_eq!(pair.asked(), [WARNINGS, COUNTS]);
    assert_eq!(pair.lost(), (Outcome::Stays, vec![]), "nothing else was");
    assert_eq!(Pair::error(&told(&mut pair, "SHOW WARNINGS")).0, 1235);
}
