# pgbench's own tables and transactions by eight clients, in one of its protocols.
protocol=$1
echo "driver $(pgbench --version | cut -d " " -f 1,3), $protocol"
pgbench --initialize --quiet 2>stderr || { echo "failed 0 $(cat stderr)"; exit 1; }
for script in tpcb-like select-only; do
  pgbench --protocol "$protocol" --builtin "$script" --client "$CLIENTS" --jobs "$CLIENTS" \
    --transactions $((ROUNDS * 20)) 2>stderr |
    grep -E '^number of (transactions actually processed|failed transactions)' |
    sed "s/^/$script /"
  [ "${PIPESTATUS[0]}" = 0 ] || echo "failed $script $(tr '\n' ' ' <stderr)"
done
psql --no-align --tuples-only <<'SQL'
SELECT 'history', count(*), sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts),
       sum(delta) = (SELECT sum(bbalance) FROM pgbench_branches) FROM pgbench_history
SQL
echo done
