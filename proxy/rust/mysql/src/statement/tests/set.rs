//! What SET sets.

use dbproxy_engine::PinReason;

use super::super::Literal;
use super::*;

fn variable(name: &str) -> Act {
    Act::Variable(name.into(), false)
}

fn user(name: &str, text: &str, depends: bool) -> Act {
    let text = text.as_bytes().into();
    Act::User(name.into(), Some(Literal { text, depends }))
}

#[test]
fn a_user_variable_is_set_to_a_literal_that_can_be_set_again() {
    for (sql, act) in [
        ("SET @a = 1", user("a", "1", false)),
        ("SET @A := - 1.5", user("a", "-1.5", false)),
        ("SET @`a` = +2e3", user("a", "+2e3", false)),
        ("SET @'a.b' = NULL", user("a.b", "NULL", false)),
        ("set @a=true", user("a", "true", false)),
        ("SET @a = x'4f'", user("a", "x'4f'", false)),
        ("SET @a = 0x4f", user("a", "0x4f", false)),
        ("SET @a = 'b'", user("a", "'b'", true)),
        ("SET @a = \"b'\"", user("a", "\"b'\"", true)),
        (
            "SET @a = _utf8mb4'b' /* c */",
            user("a", "_utf8mb4'b'", true),
        ),
        ("SET @a = _utf8mb4 x'4f'", user("a", "_utf8mb4x'4f'", true)),
        ("SET @a = N'b'", user("a", "N'b'", true)),
    ] {
        let class = class(sql);
        assert_eq!((class.pin, acts(&class)), (None, vec![act]), "{sql}");
    }
    for sql in [
        "SET @a = b",
        "SET @a = -'b' 'c'",
        "SET @a = - - 1",
        "SET @a = ?",
        "SET @\u{e4} = 1",
        "SET @a = _b",
    ] {
        assert!(class(sql).pin.is_some(), "{sql}");
    }
    assert_eq!(acts(&class("SET @a = b")), [Act::User("a".into(), None)]);
}

#[test]
fn a_system_variable_is_set_for_the_session_or_for_all() {
    for (sql, act) in [
        ("SET sort_buffer_size = 1", variable("sort_buffer_size")),
        (
            "SET SESSION `Sort_Buffer_Size` = 1",
            variable("sort_buffer_size"),
        ),
        ("SET LOCAL a := b", variable("a")),
        ("SET @@session.a = ON", variable("a")),
        ("SET @@local.`a` = ON", variable("a")),
        ("SET a = DEFAULT", Act::Variable("a".into(), true)),
        ("SET GLOBAL a = 1", Act::Global("a".into())),
        ("SET @@global.a = 1", Act::Global("a".into())),
        ("SET @@global . a = 1", Act::Global("a".into())),
        ("SET PERSIST a = 1", Act::Global("a".into())),
        ("SET @@persist_only.a = 1", Act::Global("a".into())),
        ("SET session = 1", variable("session")),
        ("SET NAMES utf8mb4 COLLATE utf8mb4_bin", Act::Names),
        ("SET NAMES DEFAULT", Act::Names),
        ("SET CHARACTER SET latin1", Act::CharacterSet),
        ("SET CHARSET 'latin1'", Act::CharacterSet),
        ("SET last_insert_id = 7", Act::InsertId(Some(7))),
        ("SET @@session.identity = 7", Act::InsertId(Some(7))),
        (
            "SET tx_isolation = 'SERIALIZABLE'",
            variable("tx_isolation"),
        ),
        (
            "SET @@session.tx_isolation = 'SERIALIZABLE'",
            variable("tx_isolation"),
        ),
    ] {
        let class = class(sql);
        assert_eq!((class.pin, acts(&class)), (None, vec![act]), "{sql}");
    }
    let session = "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY";
    let both = ["transaction_isolation", "transaction_read_only"];
    assert_eq!(acts(&on_mysql(session)), both.map(variable));
    let theirs = ["tx_isolation", "tx_read_only"];
    assert_eq!(acts(&on_mariadb(session)), theirs.map(variable));
}

#[test]
fn each_assignment_of_a_list_counts() {
    let sql = "SET @a = 1, sql_mode = (SELECT CONCAT(@@sql_mode, ',ANSI')), NAMES utf8mb4, @@global.b = 2, \
               time_zone = '+00:00', GLOBAL c = 1, d = 2, SESSION e = 3, autocommit = 0";
    let class = class(sql);
    let global = |name: &str| Act::Global(name.into());
    let expected = [
        user("a", "1", false),
        variable("sql_mode"),
        Act::Names,
        global("b"),
        variable("time_zone"),
        global("c"),
        // GLOBAL holds for what follows.
        global("d"),
        variable("e"),
        variable("autocommit"),
    ];
    assert_eq!((class.pin, acts(&class)), (None, expected.to_vec()));
    assert_eq!(commits(&class), (false, true));
}

#[test]
fn expressions_are_looked_into() {
    assert!(class("SET a = @b").asks.user_variables);
    assert!(class("SET a = LAST_INSERT_ID()").asks.insert_id);
    assert!(class("SET a = (SELECT b FROM v)").asks.hidden);
    assert!(class("SET a = f(), b = 1").dirty);
    assert_eq!(
        class("SET a = GET_LOCK('b', 1)").pin,
        Some(PinReason::AdvisoryLock)
    );
    assert_eq!(class("SET a = @b := 1").pin, Some(PinReason::UserVariable));
}

#[test]
fn what_is_set_for_one_statement_is_undone_behind_it() {
    let class =
        on_mariadb("SET STATEMENT max_statement_time = 1, sort_buffer_size = 2 FOR SELECT @a");
    assert_eq!(
        (class.pin, acts(&class).len(), class.asks.user_variables),
        (None, 0, true)
    );
    let many = format!("{} SELECT 1", "SET STATEMENT a = 1 FOR ".repeat(100_000));
    assert_eq!(on_mariadb(&many).pin, None);
    for sql in [
        "SET STATEMENT a = 1",
        "SET STATEMENT a = f() FOR SELECT 1",
        "SET STATEMENT a = 1; SELECT 1 FOR",
    ] {
        assert!(on_mariadb(sql).pin.is_some(), "{sql}");
        assert!(on_mysql(sql).pin.is_some(), "{sql}");
    }
}

/// It reports what is set otherwise.
#[test]
fn mariadb_tells_nobody_of_a_variable_with_two_ats_and_no_scope() {
    for (sql, pins) in [
        ("SET @@time_zone = '+01:00'", true),
        ("SET @@`time_zone` = '+01:00'", true),
        ("SET a = 1, @@wait_timeout = 5", true),
        ("SET @@session.time_zone = '+01:00'", false),
        ("SET time_zone = '+01:00'", false),
        ("SET @@global.wait_timeout = 5", false),
    ] {
        assert_eq!(on_mariadb(sql).pin.is_some(), pins, "{sql}");
        assert_eq!(on_mysql(sql).pin, None, "{sql}");
    }
}
