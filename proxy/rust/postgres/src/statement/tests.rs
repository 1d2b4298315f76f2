//! What the classifier says of real and of hostile texts.

use dbproxy_engine::PinReason;
use proptest::prelude::*;

use super::effects::{Effects, State};
use super::{classify, Act, Class, Dialect};

const USUAL: Dialect = Dialect {
    literal_backslashes: true,
    ascii_safe: true,
};

fn class(sql: &str) -> Class {
    classify(sql.as_bytes(), USUAL)
}

#[test]
fn ordinary_statements_are_shared() {
    for sql in [
        "SELECT 1",
        "select count(*), max(a) from t where b in (1,2) and lower(c) like 'x%' order by (a) limit 1",
        "SELECT a.* FROM a JOIN b ON (a.id = b.id) WHERE EXISTS (SELECT 1) AND x = ANY ($1)",
        "WITH x (a, b) AS (SELECT 1, 2), y AS MATERIALIZED (SELECT 2) SELECT * FROM x",
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t",
        "SELECT a::numeric(10,2), cast(b AS varchar(10)), c::character varying(5) FROM t",
        "SELECT * FROM generate_series(1, 3) AS g(i)",
        "INSERT INTO t (a, b) VALUES (1, now()) ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING a",
        "INSERT INTO \"public\".\"T\" (\"a\") VALUES ($1)",
        "UPDATE t SET (a, b) = (1, coalesce(c, 2)) WHERE id = $1",
        "DELETE FROM t WHERE a IN (SELECT b FROM u)",
        "SELECT nextval('s')",
        "SELECT pg_advisory_xact_lock(1)",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SET LOCAL work_mem = '1MB'",
        "SET work_mem = '1MB'",
        "RESET ALL",
        "SET ROLE x",
        "DISCARD ALL",
        "PREPARE TRANSACTION 'a'",
        "SELECT atomic FROM t",
        // As a driver's pool ends each use of a session.
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        "SELECT set_config('TimeZone', 'UTC', false)",
        "SET TRANSACTION READ ONLY",
        "SET CONSTRAINTS ALL DEFERRED",
        "COPY t (a, b) FROM STDIN WITH (FORMAT csv)",
        "CREATE TABLE t (a int PRIMARY KEY, b varchar(10) REFERENCES u (id), temp float)",
        "INSERT INTO temp (temp) VALUES (1)",
        "SELECT pg_catalog.now(), pg_catalog.pg_get_userbyid(1)",
        "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
        "VALUES (1), (2)",
        "EXPLAIN (ANALYZE, COSTS off) SELECT 1",
        "SELECT 'SET x', \"set_config\", $$ LISTEN $$ -- SET y",
        ";;",
        "",
        "SELECT EXTRACT(epoch FROM now()), position('a' in 'b'), trim(both from x)",
        "SELECT 'C:\\dir\\x'",
    ] {
        let class = class(sql);
        assert_eq!((class.pin, class.dirty), (None, false), "{sql}");
    }
}

#[test]
fn what_leaves_state_pins_with_its_reason() {
    use PinReason::*;
    for (sql, reason) in [
        (
            "SELECT /* x */ \"set_config\" /* y */ ('a.b', 'c', false)",
            SessionSetting,
        ),
        ("SET temp_buffers = 1", SessionSetting),
        ("SELECT set_config('a.b', c, true) FROM t", SessionSetting),
        ("UPDATE pg_settings SET setting = '1'", SessionSetting),
        (
            "WITH x AS (UPDATE pg_catalog.\"pg_settings\" SET setting = '1') SELECT 1",
            SessionSetting,
        ),
        ("PREPARE p AS SELECT 1", SqlPrepare),
        ("PREPARE transaction AS SELECT 1", SqlPrepare),
        ("PREPARE transaction (int) AS SELECT 1", SqlPrepare),
        (
            "CREATE RULE r AS ON UPDATE TO t DO (DELETE FROM u; SELECT 1); SAVEPOINT a",
            Unclassified,
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; SAVEPOINT a",
            Unclassified,
        ),
        ("EXECUTE p (1)", SqlPrepare),
        ("EXPLAIN ANALYZE EXECUTE p", SqlPrepare),
        ("CREATE TABLE t AS EXECUTE p", SqlPrepare),
        ("DEALLOCATE p", SqlPrepare),
        ("DEALLOCATE \"all\"", SqlPrepare),
        ("SELECT 1; DEALLOCATE PREPARE p", SqlPrepare),
        ("SELECT name FROM pg_prepared_statements", SqlPrepare),
        ("SELECT pg_catalog.pg_prepared_statement()", SqlPrepare),
        ("LISTEN \"ä\"", Listen),
        ("UNLISTEN \"ä\"", Listen),
        ("LISTEN U&\"a\"", Unclassified),
        ("CREATE TEMP TABLE t (a int)", TemporaryObject),
        (
            "CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1",
            TemporaryObject,
        ),
        ("CREATE LOCAL TEMP SEQUENCE s", TemporaryObject),
        ("CREATE TABLE pg_temp.t (a int)", TemporaryObject),
        ("CREATE TABLE \"pg_temp\".t (a int)", TemporaryObject),
        ("SELECT 1 AS a INTO TEMP t", TemporaryObject),
        (
            "CREATE SCHEMA s CREATE TEMP TABLE t (a int)",
            TemporaryObject,
        ),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", HeldCursor),
        ("SELECT pg_try_advisory_lock(1)", AdvisoryLock),
        ("SELECT currval('s')", SequenceState),
        ("SELECT lastval()", SequenceState),
        ("LOAD 'x'", ServerProcess),
        ("SELECT setseed(0.5)", SessionFunction),
        ("SELECT dblink_connect('x')", SessionFunction),
        ("SELECT pg_backup_start('x')", SessionFunction),
        ("FROB x", Unclassified),
        ("SELECT 'a\\'; LISTEN x; --'", Unclassified),
        ("SELECT 'unterminated", Unclassified),
        (
            "SELECT U&\"\\0073et_config\"('a', 'b', false)",
            Unclassified,
        ),
        ("(SELECT set_config('a', 'b', false))", SessionSetting),
        ("BEGIN; LOAD 'x'; COMMIT", ServerProcess),
        ("/* a /* b */ c */ LOAD 'x'", ServerProcess),
        ("-- a\nLOAD 'x'", ServerProcess),
        ("SELECT E'\\'' ; LOAD 'x'", ServerProcess),
        ("SELECT $a$ $$ $a$; LOAD 'x'", ServerProcess),
        ("SELECT 1;LOAD 'x'", ServerProcess),
    ] {
        assert_eq!(class(sql).pin, Some(reason), "{sql}");
    }
}

#[test]
fn a_block_is_read_for_what_it_leaves() {
    for sql in [
        "DO $$ BEGIN SET work_mem = '1MB'; END $$",
        "DO LANGUAGE plpgsql 'BEGIN SET work_mem = ''1MB''; END'",
        "DO $$ BEGIN SET work_mem = '1MB'; END $$ LANGUAGE 'plpgsql'; SELECT 1",
        "SELECT 1; DO E'BEGIN PERFORM set_config(\\'a.b\\', \\'c\\', false); END'",
    ] {
        let class = class(sql);
        assert_eq!(class.pin, Some(PinReason::SessionSetting), "{sql}");
        assert!(class.dirty && class.indelible && class.unsettles, "{sql}");
    }
    let class = class("DO $$ BEGIN PERFORM 1; END $$; SELECT 'SET work_mem = 1'");
    assert!(class.dirty && class.pin.is_none() && !class.indelible);
}

#[test]
fn functions_nobody_knows_make_dirty() {
    for sql in [
        "SELECT f()",
        "SELECT public.lower('x')",
        "SELECT \"lower\"('x')",
        "SELECT query_to_xml('x', true, true, '')",
        "DO $$ BEGIN PERFORM 1; END $$",
        "CALL p()",
        "SELECT DISTINCT ON (a) f(b) FROM t",
        "INSERT INTO t (a) SELECT f()",
        "SELECT * FROM t WHERE key(a)",
    ] {
        let class = class(sql);
        assert!(class.dirty && class.writes && class.pin.is_none(), "{sql}");
    }
}

#[test]
fn what_reads_only_is_known_for_certain() {
    for sql in [
        "SELECT 1",
        "SHOW ALL",
        "SELECT random()",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT (SELECT extract(epoch FROM now())), 'x' FROM pg_catalog.pg_class c",
        "SELECT * FROM ONLY pg_catalog.pg_class JOIN \"information_schema\".tables ON true",
        "TABLE pg_catalog.pg_class",
        "SELECT * FROM (SELECT 1) AS a, LATERAL (VALUES (2)) AS b",
    ] {
        assert_eq!(class(sql).effects, Effects::NONE, "{sql}");
    }
    for sql in [
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "SELECT 1 INTO t",
        "SELECT nextval('s')",
        "SELECT lo_create(0)",
        "SELECT pg_notify('a', 'b')",
        "SELECT f()",
        "EXPLAIN ANALYZE DELETE FROM t",
        "COPY t TO STDOUT",
        "SELECT * FROM t FOR UPDATE",
    ] {
        let class = class(sql);
        assert!(
            class.writes && class.effects.from(State::Idle).may_commit,
            "{sql}"
        );
    }
}

#[test]
fn who_reads_a_relation_may_write_behind_its_name() {
    for sql in [
        "SELECT * FROM next_job",
        "SELECT * FROM public.next_job",
        "SELECT * FROM pg_catalog.pg_class, next_job",
        "SELECT * FROM pg_catalog.pg_class JOIN next_job ON true",
        "SELECT * FROM (pg_catalog.pg_class c CROSS JOIN next_job)",
        "SELECT * FROM \"PG_CATALOG\".x",
        "SELECT * FROM pg_class",
        "SELECT (SELECT a FROM next_job)",
        "SELECT * FROM ONLY next_job",
        "TABLE next_job",
        "EXPLAIN ANALYZE TABLE next_job",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM next_job",
    ] {
        let class = class(sql);
        assert!(class.effects.from(State::Idle).may_commit, "{sql}");
        assert!(!class.effects.from(State::Transaction).may_commit, "{sql}");
        assert!(!class.writes && !class.dirty, "{sql}");
    }
}

#[test]
fn what_ends_a_transaction_may_commit() {
    for (sql, commits) in [
        ("COMMIT", true),
        ("END", true),
        ("PREPARE TRANSACTION 'x'", true),
        ("FROB", true),
        ("SELECT 1; COMMIT", true),
        ("ROLLBACK; INSERT INTO t VALUES (1)", true),
        ("ROLLBACK", false),
        ("ROLLBACK TO SAVEPOINT a", false),
        ("ROLLBACK WORK TO a", false),
        ("INSERT INTO t VALUES (1)", false),
        ("SAVEPOINT a", false),
        ("RELEASE a", false),
        ("CALL p()", false),
    ] {
        assert_eq!(
            class(sql).effects.from(State::Transaction).may_commit,
            commits,
            "{sql}"
        );
    }
}

#[test]
fn a_text_in_an_encoding_with_ascii_inside_its_characters_is_not_judged() {
    let dialect = Dialect {
        ascii_safe: false,
        ..USUAL
    };
    assert_eq!(
        classify("SELECT 'é'".as_bytes(), dialect).pin,
        Some(PinReason::Unclassified)
    );
    assert_eq!(classify(b"SELECT 1", dialect).pin, None);
}

#[test]
fn a_value_that_never_ends_is_not_judged() {
    let sql = "SELECT $q$$q$; COMMIT$q$ ; SET x TO 1";
    assert_eq!(class(sql).pin, Some(PinReason::Unclassified));
}

#[test]
fn without_standard_strings_a_backslash_makes_unsure() {
    let dialect = Dialect {
        literal_backslashes: false,
        ..USUAL
    };
    assert_eq!(
        classify(b"SELECT 'a\\b'", dialect).pin,
        Some(PinReason::Unclassified)
    );
}

/// Something that hides nothing and means nothing.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(" ".to_owned()),
        "[ \t\n]{1,4}",
        "[a-z SET;'\"]{0,8}".prop_map(|s| format!("/* {s} */")),
        "[a-z SET;'\"]{0,8}".prop_map(|s| format!("-- {s}\n")),
    ]
}

/// A value that may hold anything but its own end.
fn value() -> impl Strategy<Value = String> {
    let text = "[a-zA-Z ;()$-]{0,12}".prop_filter("ends a value", |s| !s.contains("$q$"));
    prop_oneof![
        text.clone().prop_map(|s| format!("'{s}; SET x TO 1'")),
        text.clone().prop_map(|s| format!("E'{s}\\'; LISTEN y'")),
        text.clone().prop_map(|s| format!("$q${s}; COMMIT$q$")),
        text.prop_map(|s| format!("\"{s}\"\"LOAD\"")),
        "[0-9]{1,5}",
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), on: bool, safe: bool) {
        classify(&bytes, Dialect { literal_backslashes: on, ascii_safe: safe });
    }

    #[test]
    fn no_sql_like_text_makes_it_panic(text in "[a-zA-Z0-9 '\"$;()/*.,:\\\\-]{0,200}") {
        class(&text);
    }

    #[test]
    fn values_never_fake_a_statement(a in noise(), v in value(), b in noise(), w in value()) {
        let class = class(&format!("SELECT{a}{v}{b},{w}"));
        let reading = class.reading;
        prop_assert_eq!(class, Class { reading, ..Class::default() });
    }

    #[test]
    fn nothing_hides_a_statement(a in noise(), v in value(), b in noise(), set in "[sS][eE][tT]") {
        let class = class(&format!("{a}SELECT {v}{b};{a}{set}{b}x{a}TO 1"));
        let one = Act::Set("x".into(), super::Value::Items(["1".into()].into()));
        let script = class.acts.unwrap();
        prop_assert_eq!(&*script.acts, [(1, one)]);
    }

    #[test]
    fn nothing_hides_a_call(a in noise(), v in value(), b in noise()) {
        let class = class(&format!("SELECT {v}{a}, set_config{b}({v}, {v}, false)"));
        prop_assert_eq!(class.pin, Some(PinReason::SessionSetting));
    }
}
