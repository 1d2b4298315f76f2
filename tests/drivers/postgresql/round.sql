-- What psql does in each round: see psql.sh, which names the client.
\set VERBOSITY sqlstate
SELECT format('%s parameters=%s', :client, 1 + :'client'::int);
SELECT 1 / (:client - :client);
\echo :client error :SQLSTATE
BEGIN;
INSERT INTO work (client, kind, value) VALUES (:client, 'commit', 1);
SAVEPOINT before;
SELECT 1 / (:client - :client);
ROLLBACK TO before;
COMMIT;
BEGIN;
INSERT INTO work (client, kind, value) VALUES (:client, 'rollback', 1);
ROLLBACK;
SET statement_timeout = '1min';
SELECT format('%s timeout=%s', :client, current_setting('statement_timeout'));
RESET statement_timeout;
-- The big result, by a cursor as psql makes one.
\set FETCH_COUNT 500
SELECT n, repeat('x', 100) FROM generate_series(1, 2000) AS n \g |wc --bytes
\unset FETCH_COUNT
\copy work (client, kind, value) FROM PROGRAM 'seq --format "$CLIENT copy %.0f" 50 | tr " " "\t"'
\copy (SELECT n FROM generate_series(1, 2000) AS n) TO PROGRAM 'wc --lines'
\d work
