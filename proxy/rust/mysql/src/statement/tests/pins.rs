//! What pins, what ends that, and what makes a backend dirty.

use dbproxy_engine::{PinReason, Reasons};

use super::*;

#[test]
fn ordinary_statements_are_shared() {
    for sql in [
        "SELECT 1",
        "select count(*), max(a) from t where b in (1,2) and lower(c) like 'x%' order by (a) limit 1",
        "SELECT `a`.* FROM a JOIN b ON (a.id = b.id) WHERE EXISTS (SELECT 1) AND x = ANY (SELECT 2)",
        "WITH x (a, b) AS (SELECT 1, 2), y AS (SELECT 2) SELECT * FROM x",
        "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t",
        "SELECT CAST(a AS DECIMAL(10,2)), CONVERT(b, CHAR(10)), CONVERT(c USING utf8mb4) FROM t",
        "SELECT MATCH (a) AGAINST ('x' IN BOOLEAN MODE), INSERT('a', 1, 2, 'b'), REPLACE(a, 'b', 'c') FROM t",
        "SELECT a FROM t WHERE d > NOW() - INTERVAL (1) DAY AND e = DATE_ADD(f, INTERVAL 1 DAY)",
        "SELECT IF(a, 1, 2), LEFT(b, 1), COALESCE(c, CURRENT_TIMESTAMP(6)), GROUP_CONCAT(d SEPARATOR ',') FROM t",
        "INSERT INTO t (a, b) VALUES (1, now()), (?, ?) ON DUPLICATE KEY UPDATE b = VALUES(b)",
        "INSERT IGNORE t (a) VALUES (1)",
        "REPLACE t (a) SELECT b FROM u",
        "INSERT INTO `db`.`t` (`a`) VALUES (?)",
        "UPDATE t SET a = a + 1, b = COALESCE(b, 2) WHERE id = ? ORDER BY id LIMIT 1",
        "UPDATE t SET id = LAST_INSERT_ID(id + 1)",
        "DELETE t FROM t JOIN u USING (id) WHERE a IN (SELECT b FROM u)",
        "LOAD DATA INFILE '/x' INTO TABLE t FIELDS TERMINATED BY ',' (a, b)",
        "CREATE TABLE t (a int PRIMARY KEY, b varchar(10) REFERENCES u (id), KEY k (b), x enum('a'))",
        "CREATE INDEX i ON t (a, b(10))",
        "CREATE VIEW v (a) AS SELECT 1",
        "CREATE PROCEDURE p (a INT) SELECT get_lock('a', 1)",
        "ALTER TABLE t ADD COLUMN c int DEFAULT (1), ADD INDEX j (c)",
        "DROP TABLE IF EXISTS t, u",
        "TRUNCATE t",
        "SHOW TABLES FROM d LIKE 'x'",
        "SHOW FULL COLUMNS FROM t",
        "EXPLAIN FORMAT = JSON SELECT 1",
        "DESC t a",
        "SELECT 'LOCK TABLES', \"x := 1\", `@a` -- @a\n, 1 # GET_LOCK('a')",
        "SELECT * FROM t FOR UPDATE",
        "SELECT {d '2020-01-01'}, {fn now()}",
        "(SELECT 1) UNION (SELECT 2)",
        "DO SLEEP(0)",
        "",
        ";",
        "SELECT 1;",
        " /* nothing */ ",
    ] {
        let class = class(sql);
        assert_eq!((class.pin, class.dirty), (None, false), "{sql}");
    }
}

#[test]
fn what_leaves_state_pins_with_its_reason() {
    use PinReason::*;
    for (sql, reason) in [
        ("CREATE TEMPORARY TABLE t (a int)", TemporaryObject),
        ("create temporary table t select 1", TemporaryObject),
        ("LOCK TABLES t READ, u WRITE", LockedTables),
        ("lock table t write", LockedTables),
        ("FLUSH TABLES WITH READ LOCK", LockedTables),
        ("FLUSH LOCAL TABLES t, u FOR EXPORT", LockedTables),
        ("SELECT GET_LOCK('a', 1)", AdvisoryLock),
        ("SELECT /* x */ `get_lock` /* y */ ('a', 1)", AdvisoryLock),
        ("DO GET_LOCK('a', 1)", AdvisoryLock),
        ("SET @a = GET_LOCK('a', 1)", UserVariable),
        ("INSERT INTO t VALUES (GET_LOCK('a', 1))", AdvisoryLock),
        ("HANDLER t OPEN", Handler),
        ("HANDLER d.t OPEN AS h", Handler),
        ("XA START 'x'", XaTransaction),
        ("xa begin 'x','y',1", XaTransaction),
        ("XA PREPARE 'x'", XaTransaction),
        ("PREPARE s FROM 'SELECT 1'", SqlPrepare),
        ("PREPARE s FROM @a", SqlPrepare),
        ("EXECUTE s USING @a", SqlPrepare),
        ("SELECT @a := 1", UserVariable),
        ("SELECT @`a` := @`a` + 1 FROM t", UserVariable),
        ("SELECT 1 INTO @a", UserVariable),
        ("SELECT 1, 2 INTO @a, @b FROM t", UserVariable),
        ("SET @a = (SELECT 1)", UserVariable),
        ("SET @a = @b", UserVariable),
        ("SET @a = 1 + 1", UserVariable),
        ("SET @a = 'a' 'b'", UserVariable),
        ("SET @'a b' = 1", UserVariable),
        ("SET @a = 1, @b = @c := 2", UserVariable),
        (
            "LOAD DATA INFILE 'x' INTO TABLE t (a, @b) SET c = @b",
            UserVariable,
        ),
        ("CALL p(1, @out)", UserVariable),
        ("GET DIAGNOSTICS @n = ROW_COUNT", UserVariable),
        ("SELECT LAST_INSERT_ID(5)", SequenceState),
        ("DELETE FROM t WHERE a = LAST_INSERT_ID(a)", SequenceState),
        ("SET last_insert_id = @a", SequenceState),
        ("SET sql_log_bin = 0", SessionSetting),
        (
            "SET @@session.timestamp = 5, autocommit = 1",
            SessionSetting,
        ),
        ("SET ROLE r", SessionSetting),
        ("BINLOG 'x'", Untracked),
        ("FROB x", Unclassified),
        ("BEGIN foo", Unclassified),
        ("(LOCK TABLES t READ)", Unclassified),
        ("SET", Unclassified),
        ("SET NAMES", Unclassified),
        ("SET a", Unclassified),
        ("SET @@ = 1", Unclassified),
        ("SELECT 'unterminated", Unclassified),
        ("SELECT /* unterminated", Unclassified),
        ("SELECT 1;LOCK TABLES t READ", LockedTables),
        ("/* a /* b */ LOCK TABLES t READ", LockedTables),
        ("-- a\nLOCK TABLES t READ", LockedTables),
        ("# a\nLOCK TABLES t READ", LockedTables),
        ("SELECT 1 -- a\r; \n;LOCK TABLES t READ", LockedTables),
        ("SELECT 1--1;LOCK TABLES t READ", LockedTables),
        ("SELECT '\\''; LOCK TABLES t READ; -- '", LockedTables),
        ("SELECT 1.LOCK; LOCK TABLES t READ", LockedTables),
        ("SELECT 1.INTO @a", UserVariable),
        ("SELECT 1e3INTO @a", UserVariable),
        ("SELECT 0x1F INTO @a", UserVariable),
        ("/*!50000 LOCK TABLES t READ */", LockedTables),
        ("LOCK /*! TABLES */ t READ", LockedTables),
    ] {
        assert_eq!(class(sql).pin, Some(reason), "{sql}");
    }
    for (sql, reason) in [
        ("LOCK INSTANCE FOR BACKUP", LockedTables),
        ("SET RESOURCE GROUP g", ServerProcess),
        ("SELECT $x$", Unclassified),
        ("/*!80031 LOCK TABLES t READ */", LockedTables),
    ] {
        assert_eq!(on_mysql(sql).pin, Some(reason), "{sql}");
    }
    for (sql, reason) in [
        ("BACKUP STAGE START", LockedTables),
        ("BACKUP LOCK t", LockedTables),
        (
            "CREATE OR REPLACE TEMPORARY TABLE t (a int)",
            TemporaryObject,
        ),
        ("BEGIN NOT ATOMIC SELECT 1; SELECT 2; END", Untracked),
        ("IF 1 THEN SELECT 1; END IF", Unclassified),
        ("EXECUTE IMMEDIATE 'SET @a = 1'", SqlPrepare),
        ("SELECT NEXTVAL(s)", SequenceState),
        ("SELECT NEXT VALUE FOR s", SequenceState),
        ("SELECT SETVAL(s, 10)", SequenceState),
        (
            "SET STATEMENT max_statement_time = 1 FOR LOCK TABLES t READ",
            LockedTables,
        ),
        ("ANALYZE SELECT GET_LOCK('a', 1)", AdvisoryLock),
        ("/*M!100100 LOCK TABLES t READ */", LockedTables),
    ] {
        assert_eq!(on_mariadb(sql).pin, Some(reason), "{sql}");
    }
}

#[test]
fn what_may_end_a_pin_is_said() {
    use PinReason::*;
    for (sql, reason) in [
        ("UNLOCK TABLES", LockedTables),
        ("BEGIN", LockedTables),
        ("START TRANSACTION", LockedTables),
        ("SELECT RELEASE_LOCK('a')", AdvisoryLock),
        ("DO RELEASE_ALL_LOCKS()", AdvisoryLock),
        ("HANDLER h CLOSE", Handler),
        ("DROP TABLE t", TemporaryObject),
        ("DROP TEMPORARY TABLE IF EXISTS t", TemporaryObject),
        ("DEALLOCATE PREPARE s", SqlPrepare),
        ("DROP PREPARE s", SqlPrepare),
        ("XA COMMIT 'x'", XaTransaction),
        ("XA ROLLBACK 'x'", XaTransaction),
    ] {
        let class = class(sql);
        assert_eq!(class.ends, Reasons::of(&[reason]), "{sql}");
        assert_eq!(class.pin, None, "{sql}");
    }
}

#[test]
fn functions_nobody_knows_make_dirty_and_may_write() {
    for sql in [
        "SELECT f()",
        "SELECT d.lower('x')",
        "SELECT d . get_lock('x', 1)",
        "SELECT `count`(1)",
        "CALL p()",
        "INSERT INTO t (a) SELECT f()",
        "SELECT * FROM t WHERE keyed(a)",
        "CREATE TABLE t AS SELECT f(1)",
        "SET SESSION sort_buffer_size = f()",
    ] {
        let class = class(sql);
        assert!(class.dirty && class.writes && class.asks.hidden, "{sql}");
        assert_eq!(class.pin, None, "{sql}");
    }
    // Of the other server's, or of a later version.
    assert!(on_mariadb("SELECT bin_to_uuid(a)").dirty && !on_mysql("SELECT bin_to_uuid(a)").dirty);
    assert!(on_mysql("SELECT nvl2(a, b, c)").dirty && !on_mariadb("SELECT nvl2(a, b, c)").dirty);
    let old = classify(b"SELECT regexp_like(a, b)", Dialect::of_version("5.7.44"));
    assert!(old.dirty);
}
