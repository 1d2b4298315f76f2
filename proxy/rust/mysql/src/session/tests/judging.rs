//! What is said of a command before it goes on.

use dbproxy_engine::PinReason;

use crate::session::judge::Judged;
use crate::session::killing::Kills;
use crate::statement::{classify, Dialect};

fn judge(text: &str) -> Judged {
    let dialect = Dialect {
        multi_statements: true,
        ..Dialect::of_version("8.0.31")
    };
    Judged::text(&classify(text.as_bytes(), dialect))
}

#[test]
fn what_a_server_does_not_report_binds() {
    for (text, reason) in [
        ("select get_lock('a', 1)", PinReason::AdvisoryLock),
        ("SELECT @a := 1", PinReason::UserVariable),
        ("SELECT 1 INTO @a", PinReason::UserVariable),
        ("SET @a = 1 + 1", PinReason::UserVariable),
        ("SET @a = 1, time_zone = 'SYSTEM'", PinReason::UserVariable),
        ("SET @a = 1; SELECT 1", PinReason::UserVariable),
        (
            "create temporary table t(a int)",
            PinReason::TemporaryObject,
        ),
        ("SELECT 1; PREPARE a FROM 'b'", PinReason::SqlPrepare),
        ("/* x */ HANDLER t OPEN", PinReason::Handler),
        ("LOCK TABLES t READ", PinReason::LockedTables),
        ("SELECT CONNECTION_ID(), 1", PinReason::SessionFunction),
    ] {
        assert!(judge(text).pins.has(reason), "{text} {:?}", judge(text));
    }
    for text in [
        "SELECT @@session.autocommit, @@sql_mode",
        "SET NAMES utf8mb4",
        "SET SESSION TRANSACTION READ ONLY",
        "INSERT INTO t VALUES (1, 'call me@home')",
        "SELECT CONNECTION_ID()",
        "SELECT @a",
        "SET @a = 1, @b = 'x'",
    ] {
        assert!(judge(text).pins.is_empty(), "{text} {:?}", judge(text));
    }
    assert!(judge("CALL p()").dirty && judge("CALL p()").asks_id);
    assert!(judge("LOAD DATA INFILE 'x' INTO TABLE t").asks_id);
}

#[test]
fn only_what_loads_may_be_asked_for_a_file() {
    for text in [
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
        "SELECT 1; /*!50000 LOAD DATA LOCAL */ INFILE 'x' INTO TABLE t",
        "load xml local infile 'x' INTO TABLE t",
        "EXECUTE loads",
    ] {
        assert!(judge(text).loads, "{text}");
    }
    let mariadb = Dialect::of_version("10.11.6-MariaDB");
    for text in [
        "SET STATEMENT max_statement_time=5 FOR LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
        "EXECUTE IMMEDIATE 'LOAD DATA LOCAL INFILE ''x'' INTO TABLE t'",
    ] {
        assert!(
            Judged::text(&classify(text.as_bytes(), mariadb)).loads,
            "{text}"
        );
    }
    for text in [
        "SELECT 'LOAD DATA LOCAL INFILE'",
        "INSERT INTO t VALUES (1)",
        "SHOW TABLES",
        "CALL p()",
    ] {
        assert!(!judge(text).loads, "{text}");
    }
    assert!(Judged::unknown(PinReason::StatementTooLarge).loads);
}

#[test]
fn what_the_statement_before_left_is_asked_for() {
    for text in [
        "SELECT ROW_COUNT()",
        "select found_rows ()",
        "SHOW WARNINGS",
        "SHOW COUNT(*) ERRORS",
        "SELECT @@warning_count",
    ] {
        assert!(judge(text).asks_before(), "{text}");
    }
    for text in ["SELECT * FROM errors", "SHOW TABLES"] {
        assert!(!judge(text).asks_before(), "{text}");
    }
    assert!(judge("SELECT last_insert_id()").asks_id);
    assert!(judge("SELECT @@identity").asks_id);
}

#[test]
fn what_ends_a_transaction_or_only_sets_is_known() {
    for (text, ends, begins) in [
        ("COMMIT", true, false),
        ("rollback work ;", true, false),
        ("COMMIT AND CHAIN", false, true),
        ("ROLLBACK TO a", false, true),
        ("SET autocommit=0", false, false),
        ("USE a", false, false),
        ("SELECT 1", false, true),
        ("COMMIT; SELECT 1", false, true),
    ] {
        let judged = judge(text);
        assert_eq!((judged.ends, judged.begins), (ends, begins), "{text}");
    }
    assert!(judge("USE a").moves && !judge("USE a; SELECT 1").moves);
    assert!(judge("SET time_zone = 'SYSTEM'").sets && !judge("SET @a = 1").sets);
    assert!(judge("SET session_track_schema = OFF").stains);
    assert!(judge("SET ROLE NONE").stains);
    assert!(!judge("SET time_zone = '+01:00'").stains);
    let number = |number, whole| Some(Kills::Number { number, whole });
    for (text, kills) in [
        ("KILL QUERY 5", number(5, false)),
        ("/* x */ kill hard query 5 ;", number(5, false)),
        ("KILL 5", number(5, true)),
        ("KILL SOFT CONNECTION 5", number(5, true)),
        ("SELECT 1; kill 5", Some(Kills::Other)),
        ("KILL QUERY ID 5", Some(Kills::Other)),
        ("KILL USER app", Some(Kills::Other)),
        ("KILL CONNECTION_ID()", Some(Kills::Other)),
        ("KILL QUERY 5 + 1", Some(Kills::Other)),
        ("KILL -5", Some(Kills::Other)),
        ("KILL '5'", Some(Kills::Other)),
        ("KILL 99999999999999999999", Some(Kills::Other)),
        ("SELECT 'KILL 5'", None),
    ] {
        assert_eq!(judge(text).kills, kills, "{text}");
    }
    assert!(judge("select connection_id()").own.is_some());
    assert!(judge("SELECT SQL_CALC_FOUND_ROWS * FROM t").calculates);
}
