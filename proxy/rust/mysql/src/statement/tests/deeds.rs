//! What a text does, asks, and may commit.

use super::super::{After, Deed, Ending, Freed, Shown, Value, Victim, Written};
use super::*;

#[test]
fn what_reads_only_is_known_for_certain() {
    for sql in [
        "SELECT 1",
        "SELECT RAND(), UUID(), SLEEP(1)",
        "SHOW TABLES FROM d",
        "DESCRIBE v",
        "SELECT * FROM information_schema.tables t JOIN `performance_schema`.threads",
        "SELECT 1 FROM DUAL",
        "SET @a = 1",
        "SET NAMES utf8mb4",
        "USE d",
        "SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "CREATE TEMPORARY TABLE t (a int)",
        "DROP TEMPORARY TABLE t",
    ] {
        let class = class(sql);
        assert!(!class.writes, "{sql}");
        assert_eq!(commits(&class), (false, false), "{sql}");
    }
    for sql in [
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM information_schema.tables LOCK IN SHARE MODE",
        "SELECT 1 INTO OUTFILE '/x'",
        "SELECT 1 INTO DUMPFILE '/x'",
        "SELECT f()",
        "EXPLAIN DELETE FROM t",
        "WITH x AS (SELECT 1) DELETE FROM t",
        "LOAD DATA INFILE 'x' INTO TABLE t",
    ] {
        let class = class(sql);
        assert!(class.writes && commits(&class) == (true, false), "{sql}");
    }
    // A view may call anything.
    for sql in [
        "SELECT * FROM v",
        "SELECT (SELECT a FROM v)",
        "SELECT 1 FROM mysql.user, v",
    ] {
        let class = class(sql);
        assert!(!class.writes && !class.dirty && class.asks.hidden, "{sql}");
        assert_eq!(commits(&class), (true, false), "{sql}");
    }
}

#[test]
fn ddl_and_its_like_commit_what_is_open() {
    for sql in [
        "CREATE TABLE t (a int)",
        "DROP TABLE t",
        "ALTER TABLE t ADD b int",
        "TRUNCATE TABLE t",
        "RENAME TABLE t TO u",
        "GRANT SELECT ON t TO u",
        "ANALYZE TABLE t",
        "OPTIMIZE TABLE t",
        "CALL p()",
        "SET PASSWORD = 'x'",
        "FLUSH TABLES",
        "EXECUTE s",
        "FROB",
        "XA COMMIT 'x'",
        "CREATE PROCEDURE p() SELECT 1",
    ] {
        assert_eq!(commits(&class(sql)), (true, true), "{sql}");
    }
    let sequence = on_mariadb("CREATE TEMPORARY SEQUENCE s");
    assert_eq!(commits(&sequence), (true, true));
    for sql in [
        "BEGIN",
        "COMMIT",
        "LOCK TABLES t READ",
        "UNLOCK TABLES",
        "SET autocommit = 1",
    ] {
        assert_eq!(commits(&class(sql)), (false, true), "{sql}");
    }
    for (sql, from) in [
        ("BEGIN; INSERT INTO t VALUES (1)", (false, true)),
        ("BEGIN; INSERT INTO t VALUES (1); COMMIT", (true, true)),
        ("ROLLBACK", (false, false)),
        ("ROLLBACK; INSERT INTO t VALUES (1)", (true, true)),
        ("INSERT INTO t VALUES (1); ROLLBACK", (true, false)),
    ] {
        assert_eq!(commits(&class(sql)), from, "{sql}");
    }
}

#[test]
fn transactions_are_steered() {
    let chain = Ending {
        chain: true,
        release: false,
    };
    let release = Ending {
        chain: false,
        release: true,
    };
    for (sql, act) in [
        ("begin work", Act::Begin),
        (
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            Act::Begin,
        ),
        ("COMMIT", Act::Commit(Ending::default())),
        ("COMMIT WORK AND CHAIN", Act::Commit(chain)),
        ("COMMIT AND NO CHAIN RELEASE", Act::Commit(release)),
        ("ROLLBACK AND CHAIN NO RELEASE", Act::Rollback(chain)),
        ("ROLLBACK WORK TO SAVEPOINT a", Act::RollbackTo),
        ("ROLLBACK TO a", Act::RollbackTo),
        ("SAVEPOINT a", Act::Savepoint),
        ("RELEASE SAVEPOINT a", Act::ReleaseSavepoint),
        (
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
            Act::NextTransaction,
        ),
        (
            "SET @@transaction_isolation = 'SERIALIZABLE'",
            Act::NextTransaction,
        ),
        (
            "/*!40100 SET TRANSACTION READ ONLY */",
            Act::NextTransaction,
        ),
    ] {
        assert_eq!(acts(&class(sql)), [act], "{sql}");
    }
}

#[test]
fn who_asks_for_what_was_left_is_known() {
    for sql in [
        "SELECT LAST_INSERT_ID()",
        "SELECT @@identity",
        "SELECT @@SESSION.`last_insert_id`",
        "INSERT INTO t VALUES (LAST_INSERT_ID())",
        "SET @a = LAST_INSERT_ID()",
    ] {
        assert!(class(sql).asks.insert_id, "{sql}");
    }
    for sql in [
        "SHOW WARNINGS",
        "SHOW COUNT(*) ERRORS",
        "SELECT @@warning_count",
        "SELECT @@session . error_count",
    ] {
        assert!(class(sql).asks.warnings, "{sql}");
    }
    for sql in [
        "GET CURRENT DIAGNOSTICS CONDITION 1 @a = MESSAGE_TEXT",
        "SHOW PROFILE",
    ] {
        assert!(class(sql).asks.diagnostics, "{sql}");
    }
    assert!(class("SELECT ROW_COUNT()").asks.row_count);
    assert!(class("SELECT FOUND_ROWS ()").asks.found_rows);
    assert!(class("SELECT SQL_CALC_FOUND_ROWS a FROM t").calculates);
    assert!(class("SELECT /*! sql_calc_found_rows */ a FROM t").calculates);
    assert!(class("SELECT CONNECTION_ID() + 0").asks.connection_id);
    assert!(class("SELECT @@pseudo_thread_id").asks.connection_id);
    assert!(class("SELECT @a").asks.user_variables);
    assert!(class("SELECT 1 WHERE x = @'a b'").asks.user_variables);
    assert!(on_mariadb("SELECT LASTVAL(s)").asks.sequences);
    assert!(on_mariadb("SELECT PREVIOUS VALUE FOR s").asks.sequences);
    let asks_nothing = class("SELECT 'LAST_INSERT_ID()', last_insert_id, identity, '@a' /* @a */ ");
    assert_eq!(asks_nothing.asks, class("SELECT 1").asks);
    assert_eq!(class("SET @a = 1").asks, class("SELECT 1").asks);
}

fn value(value: Value, from: u32, to: u32) -> Act {
    Act::Value(value, Written { from, to })
}

#[test]
fn what_the_proxy_may_answer_itself_is_told_if_it_stands_alone() {
    for (sql, act) in [
        ("SELECT CONNECTION_ID()", value(Value::ConnectionId, 7, 22)),
        (
            "select connection_id ( ) ;",
            value(Value::ConnectionId, 7, 24),
        ),
        ("SELECT /* x */ row_count()", value(Value::RowCount, 15, 26)),
        (
            "SELECT @@warning_count -- x",
            value(Value::WarningCount, 7, 22),
        ),
        (
            "select @@session.ERROR_COUNT;",
            value(Value::ErrorCount, 7, 28),
        ),
        ("SHOW WARNINGS", Act::Show(Shown::Warnings)),
        ("SHOW ERRORS", Act::Show(Shown::Errors)),
        ("show count(*) warnings", Act::Show(Shown::CountOfWarnings)),
        ("SHOW COUNT(*) ERRORS;", Act::Show(Shown::CountOfErrors)),
        ("SHOW WARNINGS LIMIT 1", Act::Show(Shown::Part)),
    ] {
        assert_eq!(acts(&class(sql)), [act], "{sql}");
    }
    for sql in [
        "SELECT 1; SHOW WARNINGS",
        "SELECT CONNECTION_ID() AS a",
        "SELECT CONNECTION_ID(); SELECT 2",
    ] {
        assert_eq!(acts(&class(sql)), [], "{sql}");
    }
}

#[test]
fn other_deeds_are_told() {
    for (sql, act) in [
        ("USE d", Act::Use),
        ("KILL 5", Act::Kill(Victim::Connection, Some(5))),
        ("KILL CONNECTION 5", Act::Kill(Victim::Connection, Some(5))),
        (
            "kill query 18446744073709551615",
            Act::Kill(Victim::Query, Some(u64::MAX)),
        ),
        ("KILL CONNECTION_ID()", Act::Kill(Victim::Connection, None)),
        ("KILL QUERY 5 + 1", Act::Kill(Victim::Query, None)),
        (
            "KILL 99999999999999999999",
            Act::Kill(Victim::Connection, None),
        ),
        ("ALTER USER u IDENTIFIED BY 'x'", Act::Account),
        ("SET PASSWORD FOR 'a'@'b' = 'x'", Act::Account),
        ("SET PASSWORD = 'x'", Act::Account),
        ("REVOKE ALL ON d.* FROM u", Act::Account),
        ("SHUTDOWN", Act::Shutdown),
        ("CHANGE MASTER TO MASTER_HOST = 'x'", Act::Replication),
        ("START SLAVE", Act::Replication),
        ("LOAD DATA LOCAL INFILE 'x' INTO TABLE t", Act::Load),
        (
            "LOAD DATA LOW_PRIORITY LOCAL INFILE 'x' INTO TABLE t",
            Act::Load,
        ),
    ] {
        assert_eq!(acts(&class(sql)), [act], "{sql}");
    }
    let soft = on_mariadb("KILL SOFT QUERY ID 5");
    assert_eq!(acts(&soft), [Act::Kill(Victim::Other, None)]);
    let hard = on_mariadb("KILL HARD 5");
    assert_eq!(acts(&hard), [Act::Kill(Victim::Connection, Some(5))]);
}

#[test]
fn statements_are_counted_and_their_deeds_numbered() {
    let class = class("SELECT 1; USE d; /* x */; ; COMMIT -- y");
    assert_eq!(class.statements, 3);
    let acts: Vec<_> = class.acts.as_ref().unwrap().acts.to_vec();
    assert_eq!(acts, [(1, Act::Use), (2, Act::Commit(Ending::default()))]);
}

/// As seen on both servers.
#[test]
fn what_becomes_of_warnings_is_known() {
    for (sql, mysql, mariadb) in [
        ("SHOW WARNINGS", After::Kept, After::Kept),
        ("SHOW COUNT(*) ERRORS", After::Kept, After::Kept),
        ("SELECT 1", After::Cleared, After::Kept),
        ("SELECT @@warning_count", After::Cleared, After::Kept),
        ("BEGIN", After::Cleared, After::Kept),
        ("SET time_zone = 'SYSTEM'", After::Cleared, After::Kept),
        ("INSERT INTO t VALUES (1)", After::Cleared, After::Cleared),
        ("SELECT a FROM t", After::Cleared, After::Cleared),
        ("SELECT 1 FROM DUAL", After::Cleared, After::Unsure),
        ("SELECT EXTRACT(YEAR FROM a)", After::Cleared, After::Unsure),
        ("EXPLAIN SELECT a FROM t", After::Cleared, After::Unsure),
        ("SHOW TABLES", After::Cleared, After::Unsure),
        ("CREATE TABLE t (a INT)", After::Cleared, After::Unsure),
        ("CALL p()", After::Any, After::Any),
        ("SELECT f()", After::Any, After::Any),
        ("SELECT 1; SELECT 2", After::Any, After::Any),
    ] {
        assert_eq!(on_mysql(sql).after, mysql, "{sql}");
        assert_eq!(on_mariadb(sql).after, mariadb, "{sql}");
    }
}

#[test]
fn what_takes_or_frees_what_binds_is_counted_where_it_stands_alone() {
    use dbproxy_engine::PinReason::*;
    for (sql, deed) in [
        ("LOCK TABLES t READ", Deed::Takes(LockedTables)),
        ("UNLOCK TABLES;", Deed::Frees(LockedTables, Freed::All)),
        ("SELECT GET_LOCK('a', -1)", Deed::Takes(AdvisoryLock)),
        ("DO get_lock(@a, 1)", Deed::Takes(AdvisoryLock)),
        ("SELECT GET_LOCK('a', 1) AS b", Deed::Takes(AdvisoryLock)),
        (
            "SELECT RELEASE_LOCK('a') b",
            Deed::Frees(AdvisoryLock, Freed::IfOne),
        ),
        (
            "SELECT RELEASE_ALL_LOCKS()",
            Deed::Frees(AdvisoryLock, Freed::Whatever),
        ),
        (
            "CREATE TEMPORARY TABLE t (a INT)",
            Deed::Takes(TemporaryObject),
        ),
        (
            "DROP TEMPORARY TABLE a, b.c",
            Deed::Frees(TemporaryObject, Freed::So(2)),
        ),
        (
            "DROP TEMPORARY TABLE IF EXISTS a",
            Deed::Frees(TemporaryObject, Freed::IfChanged),
        ),
        ("HANDLER t OPEN AS u", Deed::Takes(Handler)),
        ("HANDLER d.t CLOSE", Deed::Frees(Handler, Freed::So(1))),
        (
            "XA COMMIT 'a' ONE PHASE",
            Deed::Frees(XaTransaction, Freed::Whatever),
        ),
    ] {
        assert_eq!(acts(&class(sql)), [Act::Deed(deed)], "{sql}");
    }
    for sql in [
        "SELECT GET_LOCK('a', 1), GET_LOCK('b', 1)",
        "SELECT GET_LOCK(CONCAT('a', f()), 1)",
        "SELECT GET_LOCK('a', 1) FROM t",
        "SELECT GET_LOCK('a', 1) WHERE 1",
        "SELECT 1 + RELEASE_LOCK('a')",
        "DO RELEASE_LOCK('a')",
        "SELECT GET_LOCK('a', 1); SELECT 1",
        "LOCK INSTANCE FOR BACKUP",
        "UNLOCK INSTANCE",
        "FLUSH TABLES WITH READ LOCK",
        "CREATE TEMPORARY TABLE IF NOT EXISTS t (a INT)",
        "CREATE TEMPORARY TABLE t SELECT f()",
        "CREATE TEMPORARY TABLE t SELECT * FROM v",
        "DROP TEMPORARY TABLE IF EXISTS a, b",
        "DROP TABLE a",
        "HANDLER t READ FIRST",
        "XA PREPARE 'a'",
    ] {
        assert_eq!(acts(&class(sql)), [], "{sql}");
    }
}
