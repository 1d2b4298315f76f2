-- What is left of a psql's work, and word that it is at its end.
SELECT format('%s %s rows=%s sum=%s', :client, kind, count(*), sum(value))
  FROM work WHERE client = :client GROUP BY kind;
\! touch "ready.$CLIENT"
