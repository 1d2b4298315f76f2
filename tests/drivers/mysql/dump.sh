# Dumps of the whole database, and as many clients beside them that go on with their reads.
program=$1
echo "driver $program $($program --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | tail -n 1)"
where=(--no-defaults --host="$MYSQL_HOST" --port="$MYSQL_TCP_PORT" --user="$MYSQL_USER")
ask=(mariadb "${where[@]}" --batch --skip-column-names "$MYSQL_DATABASE")
"${ask[@]}" --execute "SELECT 1 AS asked; INSERT INTO work (client, kind, value) SELECT n % 8, 'dumped', n FROM numbers"
half=$((CLIENTS / 2))
for ((client = 0; client < half; client++)); do
  ( for ((turn = 0; turn < ROUNDS * 20; turn++)); do
      echo "SELECT count(*), sum(value) FROM work WHERE client = $client;"
    done | "${ask[@]}" 2>"stderr.reads.$client" | sort | uniq -c | sed "s/^/$client reads /"
    [ -s "stderr.reads.$client" ] && echo "failed $client $(cat "stderr.reads.$client")" ) &
  ( "$program" "${where[@]}" --single-transaction --skip-dump-date --no-tablespaces "$MYSQL_DATABASE" \
      >"dump.$client" 2>"stderr.$client" || echo "failed $client $(cat "stderr.$client")"
    # What is new in each: the server's address, and where its log stands.
    grep -vE '^-- Host:|GTID_PURGED' "dump.$client" | sha256sum | sed "s/^/$client dumped /" ) &
done
wait
echo done
