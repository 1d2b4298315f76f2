"""What the clients of random scripts say (statements.py): texts of SQL by kind, and the objects
that they need.

`{c}` is the client's number. Temporary tables, user variables and prepared statements are called
alike by all clients: nobody may ever find another's.
"""

from __future__ import annotations

from tests.mysql_servers import MARIADB, MYSQL, Kind

PLAIN = [
    "SELECT 1, 'x', NULL",
    "SELECT NULL, '', 'ü', x'00ff', 1.50, DATE '2026-11-27'",
    "SELECT 1 AS `äö` FROM dual WHERE false",
    "SELECT REPEAT('y', 70000), NULL, REPEAT('z', 251)",
    "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3",
    "",
    " ; ",
    "nonsense",
    "SELECT 1 FROM",
    "SELECT * FROM nowhere",
    "SELECT EXP(10000)",
    "SELECT (SELECT 1 UNION SELECT 2)",
    "DO 1",
    "SELECT SLEEP(0.001)",
    "SELECT 'a\\nb', 'a' || 'b', \"c\"",
    "SELECT HEX('ü'), CHARSET('a'), COLLATION('a')",
    "SELECT 1 /* ; */",
    "-- a comment\nSELECT 2",
    "/*! SELECT 5 */",
    "SELECT /*!40000 5, */ 4 /*!99999 , 3 */",
    "(SELECT 1)",
    "SHOW TABLES LIKE 't{c}'",
    "SHOW COLLATION LIKE 'nothing'",
    "EXPLAIN SELECT 1",
    "DESCRIBE t{c}",
    "SELECT CURRENT_USER()",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'own'",
]
SEVERAL = [
    "SELECT 1; SELECT 2",
    "SELECT 1; nonsense; SELECT 3",
    "SELECT 1; SELECT * FROM nowhere; SELECT 3",
    "SELECT 1;",
    "INSERT INTO t{c} (a) VALUES (1); SELECT COUNT(*) FROM t{c}; DO 1",
    "BEGIN; INSERT INTO t{c} (a) VALUES (2)",
    "BEGIN; INSERT INTO t{c} (a) VALUES (2); SELECT * FROM nowhere",
    "SELECT 1; COMMIT",
    "INSERT INTO t{c} (a) VALUES (5); ROLLBACK; SELECT a FROM t{c}",
    "SET time_zone = '+05:00'; SELECT @@time_zone",
    "SET time_zone = '+06:00'; nonsense",
    "USE second; SELECT DATABASE()",
    "USE second; SELECT * FROM nowhere",
    "SELECT 1; USE app",
    "SET NAMES latin1; SELECT 'ü'",
    "SET autocommit = 0; SELECT 1",
    "DROP TABLE IF EXISTS made{c}; CREATE TABLE made{c} (a INT); SELECT * FROM made{c}",
]
TRANSACTIONS = [
    "BEGIN",
    "BEGIN",
    "START TRANSACTION",
    "START TRANSACTION READ ONLY",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "COMMIT",
    "COMMIT",
    "COMMIT WORK",
    "ROLLBACK",
    "ROLLBACK",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "ROLLBACK AND NO CHAIN",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "RELEASE SAVEPOINT a",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET autocommit = ON",
    "SET autocommit = DEFAULT",
    "SELECT @@autocommit",
    "SELECT a, b FROM t{c} ORDER BY id FOR UPDATE",
]
SETTINGS = [
    "SET time_zone = '+01:00'",
    "SET time_zone = 'SYSTEM'",
    "SET time_zone = DEFAULT",
    "SET time_zone = 'nowhere'",
    "SELECT @@time_zone, FROM_UNIXTIME(0)",
    "SET sql_mode = ''",
    "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
    "SET SESSION sql_mode = 'TRADITIONAL', time_zone = '-03:00'",
    "SET sql_mode = DEFAULT",
    "SET sql_mode = 'nothing'",
    "SET time_zone = '+02:00', nothing = 1",
    "SELECT @@sql_mode",
    "SET NAMES latin1",
    "SET NAMES utf8mb4",
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
    "SET NAMES DEFAULT",
    "SET NAMES binary",
    "SET CHARACTER SET latin1",
    "SET CHARACTER SET DEFAULT",
    "SET character_set_results = NULL",
    "SET character_set_client = latin1",
    "SET character_set_connection = latin1",
    "SET collation_connection = utf8mb4_unicode_ci",
    "SET collation_connection = DEFAULT",
    "SELECT @@character_set_client, @@character_set_results, @@collation_connection",
    "SELECT @@character_set_connection, @@character_set_database, @@collation_database",
    "SET sql_select_limit = 2",
    "SET sql_select_limit = DEFAULT",
    "SET foreign_key_checks = 0, unique_checks = OFF",
    "SET group_concat_max_len = 9",
    "SET auto_increment_increment = 3",
    "SET auto_increment_increment = DEFAULT",
    "SET sql_safe_updates = 1",
    "SET sql_safe_updates = 0",
    "SET div_precision_increment = 9",
    "SELECT 1/7, @@foreign_key_checks, @@unique_checks, @@auto_increment_increment",
    "SET lc_time_names = 'en_GB'",
    "SELECT DATE_FORMAT('2026-03-01', '%x'), @@lc_time_names, GROUP_CONCAT('0123456789', 'abc')",
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION READ WRITE",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION wait_timeout = 1000",
    "SELECT @@wait_timeout",
    "USE second",
    "USE app",
    "USE nowhere",
    "SELECT DATABASE()",
    "SHOW VARIABLES LIKE 'character_set_client'",
]
NEXT = [
    "SET TRANSACTION READ ONLY",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET @@transaction_read_only = 1",
    "INSERT INTO t{c} (a) VALUES (6)",
    "BEGIN",
    "COMMIT",
]
"""What is set for the next transaction alone."""
ROWS = [
    "INSERT INTO t{c} (a, b) VALUES (1, 'one')",
    "INSERT INTO t{c} (a, b) VALUES (2, 'two'), (3, 'three')",
    "INSERT INTO t{c} (a, b) VALUES (4, REPEAT('y', 30))",
    "INSERT INTO t{c} (a) VALUES ('x')",
    "INSERT INTO u{c} (a) VALUES (1)",
    "INSERT IGNORE INTO u{c} (a) VALUES (1), (2)",
    "REPLACE INTO u{c} (a) VALUES (1)",
    "INSERT INTO u{c} (a) VALUES (1) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
    "UPDATE t{c} SET a = a + 1 WHERE a < 4",
    "UPDATE t{c} SET a = 2 WHERE a = 2",
    "UPDATE t{c} SET a = LAST_INSERT_ID(700) LIMIT 1",
    "DELETE FROM t{c} WHERE a > 4",
    "DELETE FROM t{c}",
    "SELECT * FROM t{c} ORDER BY id",
    "SELECT * FROM t{c} ORDER BY id",
    "SELECT COUNT(*), SUM(a) FROM t{c}",
    "SELECT * FROM t{c} WHERE id IS NULL",
    "INSERT INTO second.t{c} VALUES (1)",
    "SELECT COUNT(*) FROM second.t{c}",
    "CREATE TABLE made{c} (a INT)",
    "CREATE TABLE IF NOT EXISTS made{c} (a INT)",
    "CREATE TABLE made{c} SELECT 1 AS a",
    "DROP TABLE made{c}",
    "DROP TABLE IF EXISTS made{c}",
    "ALTER TABLE made{c} ADD z INT",
    "SELECT * FROM made{c}",
    "TRUNCATE u{c}",
]
MADE = [
    "SELECT LAST_INSERT_ID()",
    "SELECT LAST_INSERT_ID()",
    "SELECT @@last_insert_id, @@identity",
    "SELECT LAST_INSERT_ID(900)",
    "SELECT * FROM v{c}",
    "SET last_insert_id = 99",
    "INSERT INTO t{c} (a) VALUES (LAST_INSERT_ID())",
    "INSERT INTO t{c} (a) SELECT LAST_INSERT_ID()",
    "INSERT INTO u{c} (a) VALUES (NULL)",
    "SELECT made{c}()",
    "SET insert_id = 500",
]
"""Ids: those that were made, and by whom."""
VARIABLES = [
    "SET @a = 1",
    "SET @a = 'text', @b = NULL",
    "SET @b = 2.50",
    "SELECT @a, @b",
    "SELECT @a, @b",
    "SELECT @a := 3",
    "SELECT 4 INTO @a",
    "SET @a = @a + 1",
    "SELECT sets{c}()",
    "SELECT @hidden",
    "INSERT INTO t{c} (a) VALUES (@a)",
]
STATEFUL = [
    "CREATE TEMPORARY TABLE own (a INT)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS own (a INT)",
    "INSERT INTO own VALUES (1)",
    "SELECT * FROM own",
    "DROP TEMPORARY TABLE own",
    "DROP TABLE IF EXISTS own",
    "CALL temporary{c}()",
    "SELECT * FROM hidden",
    "PREPARE s FROM 'SELECT ?, a FROM t{c}'",
    "PREPARE s FROM 'nonsense'",
    "EXECUTE s USING @a",
    "EXECUTE s",
    "DEALLOCATE PREPARE s",
    "DROP PREPARE s",
    "SELECT GET_LOCK('lock{c}', 0)",
    "SELECT RELEASE_LOCK('lock{c}')",
    "SELECT RELEASE_ALL_LOCKS()",
    "SELECT IS_FREE_LOCK('lock{c}')",
    "LOCK TABLES t{c} READ",
    "LOCK TABLES t{c} WRITE, u{c} READ",
    "UNLOCK TABLES",
    "HANDLER t{c} OPEN",
    "HANDLER t{c} READ FIRST",
    "HANDLER t{c} CLOSE",
    "SET timestamp = 1000",
    "SET timestamp = DEFAULT",
    "SELECT UNIX_TIMESTAMP() < 2000",
    "SET rand_seed1 = 1, rand_seed2 = 1",
]
ROUTINES = [
    "CALL several{c}()",
    "CALL several{c}()",
    "CALL fails{c}()",
    "CALL out{c}(@a)",
    "CALL sets{c}('ANSI')",
    "CALL sets{c}('')",
    "CALL opens{c}()",
    "CALL nothing()",
    "SELECT zones{c}()",
    "SELECT made{c}()",
]
LOADS = [
    "LOAD DATA LOCAL INFILE 'f' INTO TABLE t{c} (a, b)",
    "LOAD DATA LOCAL INFILE 'f' IGNORE INTO TABLE u{c} (a)",
    "LOAD DATA LOCAL INFILE 'f' INTO TABLE nowhere",
]
FILES: list[list[bytes]] = [
    [],
    [b"7\tseven\n8\teight\n"],
    [b"7\tsev", b"en\n8\n", b"x\ty\tz\n"],
    [b"9\t" + b"n" * 70_000 + b"\n"],
]
"""What a client has in a file, in the pieces in which it is sent."""
# None that has a parameter for a column: MySQL tells its type and length by what the statement was
# executed with before, the proxy as of a statement that is new.
PREPARED = [
    "SELECT 1, 'x'",
    "SELECT LENGTH(?), MD5(?)",
    "SELECT * FROM t{c} WHERE a > ? ORDER BY id",
    "SELECT * FROM t{c} ORDER BY id",
    "SELECT * FROM made{c}",
    "SELECT a.a FROM t{c} AS a, t{c} AS b ORDER BY a.id, b.id",
    "SELECT @@sql_mode, @@time_zone, DATABASE()",
    "SELECT 'a' || 'b', \"id\" FROM t{c}",
    "INSERT INTO t{c} (a) VALUES (?)",
    "INSERT INTO t{c} (a, b) VALUES (?, ?)",
    "UPDATE t{c} SET a = ? WHERE a = ?",
    "CALL several{c}()",
    "CALL out{c}(?)",
    "SET @a = ?",
    "SET time_zone = ?",
    "SELECT @a",
    "SELECT LAST_INSERT_ID()",
    "BEGIN",
    "COMMIT",
    "nonsense",
    "SELECT 1; SELECT 2",
    "SELECT * FROM nowhere",
]
TWISTS: dict[str, list[str]] = {
    MYSQL.name: [
        "SELECT @@transaction_isolation, @@transaction_read_only",
        "VALUES ROW(1), ROW(2)",
        "SELECT /*+ SET_VAR(time_zone = '+05:00') */ @@time_zone",
        "SET max_execution_time = 9000",
        "SELECT @@max_execution_time",
        "SET ROLE NONE",
        "/*!80000 SET time_zone = '+08:00' */",
        "/*M! SET time_zone = '+09:00' */",
    ],
    MARIADB.name: [
        "SELECT @@tx_isolation, @@tx_read_only",
        "SET STATEMENT time_zone = '+04:00' FOR SELECT @@time_zone",
        "SET STATEMENT max_statement_time = 9 FOR SELECT 1",
        "BEGIN NOT ATOMIC SET time_zone = '+03:00'; SELECT 1; END",
        "EXECUTE IMMEDIATE 'SET time_zone = \"+04:00\"'",
        "EXECUTE IMMEDIATE 'SELECT ?' USING 5",
        "INSERT INTO t{c} (a) VALUES (1) RETURNING id, a",
        "DELETE FROM t{c} WHERE a = 1 RETURNING id",
        "VALUES (1), (2)",
        "SET max_statement_time = 9",
        "SELECT @@max_statement_time",
        "/*M! SET time_zone = '+09:00' */",
        "SELECT NEXTVAL(q{c}), LASTVAL(q{c})",
    ],
}
"""What only one of the two understands."""
Kinds = list[tuple[list[str], int]]


def kinds(kind: Kind) -> Kinds:
    """Everything, and how often."""
    return [*quiet(kind), (NEXT, 1), (STATEFUL, 4), (VARIABLES, 2)]


def quiet(kind: Kind) -> Kinds:
    """What most clients say: little of it binds anybody, so that connections change hands."""
    return [
        (PLAIN, 3),
        (SEVERAL, 2),
        (TRANSACTIONS, 4),
        (SETTINGS, 5),
        (ROWS, 5),
        (MADE, 2),
        (ROUTINES, 1),
        (TWISTS[kind.name], 1),
    ]


SCHEMA = """
CREATE TABLE t{c} (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(20)) CHARSET utf8mb4
CREATE TABLE u{c} (id INT AUTO_INCREMENT PRIMARY KEY, a INT UNIQUE)
CREATE TABLE second.t{c} (a INT)
CREATE SQL SECURITY INVOKER VIEW v{c} AS SELECT LAST_INSERT_ID() AS id, FOUND_ROWS() IS NULL AS f
CREATE PROCEDURE several{c}() BEGIN
 SELECT 1; SELECT a, b FROM t{c}; INSERT INTO u{c} (a) VALUES (NULL); SELECT 'x' LIMIT 0; END
CREATE PROCEDURE fails{c}() BEGIN SET time_zone = '+06:00'; SELECT 1; SELECT * FROM nowhere; END
CREATE PROCEDURE out{c}(OUT x INT) BEGIN SELECT 2; SET x = 7; END
CREATE PROCEDURE sets{c}(mode VARCHAR(50)) SET SESSION sql_mode = mode
CREATE PROCEDURE opens{c}() START TRANSACTION
CREATE PROCEDURE temporary{c}() CREATE TEMPORARY TABLE hidden (a INT)
CREATE FUNCTION sets{c}() RETURNS INT BEGIN SET @hidden = 77; RETURN 1; END
CREATE FUNCTION zones{c}() RETURNS INT BEGIN SET time_zone = '+07:00'; RETURN 1; END
CREATE FUNCTION made{c}() RETURNS INT BEGIN
 INSERT INTO u{c} (a) VALUES (NULL); RETURN LAST_INSERT_ID(); END
"""
SEQUENCE = "CREATE SEQUENCE q{c}"
RESET = """
TRUNCATE t{c}
TRUNCATE u{c}
TRUNCATE second.t{c}
DROP TABLE IF EXISTS made{c}, second.made{c}
"""
RESTART = "ALTER SEQUENCE q{c} RESTART"


def statements(text: str, client: int) -> list[str]:
    """Those of a text for one client: each begins a line."""
    joined = text.strip().replace("\n ", " ").replace("{c}", str(client))
    return joined.splitlines()
