-- What one psql does in its session: see psql.sh. :client and :rounds come from there.
\set QUIET on
\pset tuples_only on
\pset format unaligned
\set VERBOSITY sqlstate
SELECT 'parameters', :round + 1, :'text';
SELECT 'error', 1 / (:round - :round);
SELECT :client AS client, count(*) FROM work WHERE client = :client AND kind = 'rollback' \gset
