//! What SET, RESET, savepoints and `set_config` are read as.

use super::super::{classify, Dialect};
use super::*;

fn acts(sql: &str) -> Vec<(u16, Act)> {
    let dialect = Dialect {
        literal_backslashes: true,
        ascii_safe: true,
    };
    let class = classify(sql.as_bytes(), dialect);
    assert_eq!(class.pin, None, "{sql}");
    class
        .acts
        .map_or_else(Vec::new, |script| script.acts.to_vec())
}

fn one(sql: &str) -> Act {
    match <[_; 1]>::try_from(acts(sql)) {
        Ok([(0, act)]) => act,
        other => panic!("{sql}: {other:?}"),
    }
}

fn items(name: &str, items: &[&str]) -> Act {
    let items = items.iter().map(|item| (*item).into()).collect();
    Act::Set(name.into(), Value::Items(items))
}

#[test]
fn set_is_read_in_all_its_forms() {
    for (sql, name, values) in [
        ("SET work_mem = '1MB'", "work_mem", &["1MB"][..]),
        ("set session Work_Mem to 64", "work_mem", &["64"]),
        ("SET \"work_mem\" TO '1''MB';", "work_mem", &["1'MB"]),
        ("SET geqo TO On", "geqo", &["on"]),
        ("SET geqo = false", "geqo", &["false"]),
        (
            "SET search_path TO a, \"B\"\"c\", 'd e'",
            "search_path",
            &["a", "B\"c", "d e"],
        ),
        ("SET SCHEMA 'x'", "search_path", &["x"]),
        ("SET seq_page_cost TO 1.5", "seq_page_cost", &["1.5"]),
        ("SET statement_timeout = -1", "statement_timeout", &["-1"]),
        ("SET transaction_timeout = 1", "transaction_timeout", &["1"]),
        ("SET NAMES 'LATIN1'", "client_encoding", &["LATIN1"]),
        ("SET ROLE \"A b\"", "role", &["A b"]),
        ("SET SESSION ROLE none", "role", &["none"]),
        ("SET ROLE 'x'", "role", &["x"]),
        ("SET role TO x", "role", &["x"]),
        (
            "SET SESSION AUTHORIZATION x",
            "session_authorization",
            &["x"],
        ),
        ("SET XML OPTION document", "xmloption", &["document"]),
        ("set session x.Y to 1", "x.y", &["1"]),
        ("SET local.x = 1", "local.x", &["1"]),
        ("SET transaction.x TO 1", "transaction.x", &["1"]),
    ] {
        assert_eq!(one(sql), items(name, values), "{sql}");
    }
    let zone = Act::Set("timezone".into(), Value::Reported);
    for sql in [
        "SET TIME ZONE 'UTC'",
        "SET SESSION TIME ZONE -7",
        "SET TIME ZONE INTERVAL '1'",
    ] {
        assert_eq!(one(sql), zone, "{sql}");
    }
}

#[test]
fn reset_is_read_in_all_its_forms() {
    for (sql, name) in [
        ("RESET work_mem", "work_mem"),
        ("SET work_mem TO DEFAULT", "work_mem"),
        ("SET TIME ZONE LOCAL", "timezone"),
        ("SET NAMES", "client_encoding"),
        ("SET NAMES DEFAULT", "client_encoding"),
        ("RESET TIME ZONE", "timezone"),
        ("RESET ROLE", "role"),
        ("RESET SESSION AUTHORIZATION", "session_authorization"),
        ("SET SESSION AUTHORIZATION DEFAULT", "session_authorization"),
    ] {
        assert_eq!(one(sql), Act::Reset(name.into()), "{sql}");
    }
    assert_eq!(one("RESET ALL;"), Act::ResetAll);
    assert_eq!(one("DISCARD ALL"), Act::DiscardAll);
}

#[test]
fn what_is_the_transactions_own_is_left_to_it() {
    for (sql, name) in [
        ("SET LOCAL work_mem = '1MB'", "work_mem"),
        ("SET LOCAL ROLE x", "role"),
        ("SET LOCAL SESSION AUTHORIZATION x", "session_authorization"),
        ("SET LOCAL TIME ZONE 'UTC'", "timezone"),
        ("SET LOCAL my.tenant = 1", "my.tenant"),
        (
            "SELECT pg_catalog.SET_CONFIG ('My.tenant', 'c', true)",
            "my.tenant",
        ),
        ("SELECT set_config('Work_Mem', '1MB', true)", "work_mem"),
    ] {
        assert_eq!(one(sql), Act::Local(name.into()), "{sql}");
    }
    for sql in [
        "SET TRANSACTION READ ONLY",
        "SET SESSION TRANSACTION READ ONLY",
        "SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET transaction_read_only = on",
        "RESET TRANSACTION ISOLATION LEVEL",
    ] {
        assert_eq!(acts(sql), [], "{sql}");
    }
}

#[test]
fn session_characteristics_are_the_defaults_of_transactions() {
    let sql = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE NOT DEFERRABLE";
    let expected = [
        ("isolation", "repeatable read"),
        ("read_only", "off"),
        ("deferrable", "off"),
    ];
    let expected = expected.map(|(name, value)| {
        let name = format!("default_transaction_{name}");
        (0, items(&name, &[value]))
    });
    assert_eq!(acts(sql), expected);
}

#[test]
fn set_config_is_followed_where_it_stands_alone() {
    let text = |name: &str, value: &str| Act::Set(name.into(), Value::Text(value.into()));
    assert_eq!(
        one("SELECT pg_catalog.set_config('search_path', '', false)"),
        text("search_path", "")
    );
    let both = "SELECT set_config('TimeZone', 'UTC', false) AS a, \
                pg_catalog.set_config('geqo', NULL, 'f')";
    let expected = [(0, text("timezone", "UTC")), (0, Act::Reset("geqo".into()))];
    assert_eq!(acts(both), expected);
    assert!(matches!(
        one("SELECT set_config($1, $2, false)"),
        Act::Config(_)
    ));
}

#[test]
fn savepoints_and_the_statements_number_are_read() {
    let sql = "SELECT 1;; SAVEPOINT a; RELEASE \"B\"; RELEASE SAVEPOINT savepoint; \
               ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT A; COMMIT; ROLLBACK AND CHAIN";
    let expected = [
        (1, Act::Savepoint("a".into())),
        (2, Act::Release("B".into())),
        (3, Act::Release("savepoint".into())),
        (4, Act::RollbackTo("a".into())),
        (5, Act::RollbackTo("a".into())),
        (6, Act::Commit),
        (7, Act::Rollback),
    ];
    assert_eq!(acts(sql), expected);
}

#[test]
fn what_is_not_understood_pins() {
    for sql in [
        "SET work_mem = E'1MB'",
        "SET work_mem = '1' 'MB'",
        "SET work_mem = 010",
        "SET work_mem = $$1$$",
        "SET search_path = caf\u{e9}",
        "SET temp_buffers = 100",
        "SET x FROM CURRENT",
        "SELECT set_config('a', 'b' || 'c', false)",
        "SELECT set_config('geqo', 'off', false) FROM t",
        "SELECT set_config('geqo', 'off', false), f()",
        // One of somebody's own may be meant.
        "SELECT set_config('geqo', 'off', 'false')",
        "SELECT set_config('geqo', 'off', $1)",
        // What text a number or a truth value becomes, the server says.
        "SELECT set_config('geqo', $1::text, false)",
        "SET idle_session_timeout = 1",
        "EXPLAIN SELECT set_config('geqo', 'off', false)",
    ] {
        let dialect = Dialect {
            literal_backslashes: true,
            ascii_safe: true,
        };
        assert!(classify(sql.as_bytes(), dialect).pin.is_some(), "{sql}");
    }
}
