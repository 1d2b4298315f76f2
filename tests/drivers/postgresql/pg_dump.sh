# Dumps of the whole database, and as many clients beside them that go on with their reads.
echo "driver $(pg_dump --version | cut -d " " -f 1,3)"
psql --quiet --command \
  "INSERT INTO work (client, kind, value) SELECT n % 8, 'dumped', n FROM generate_series(1, 5000) n"
echo 'SELECT count(*), sum(value) FROM work WHERE client = :client_id;' >read.sql
half=$((CLIENTS / 2))
pgbench --no-vacuum --file read.sql --client $half --transactions $((ROUNDS * 40)) 2>stderr |
  grep '^number of transactions actually processed' &
reads=$!
for ((client = 0; client < half; client++)); do
  # What is new in each dump: the key of its own restrictions.
  ( pg_dump >"dump.$client" 2>"stderr.$client" || echo "failed $client $(cat "stderr.$client")"
    grep -vE '^.(un)?restrict' "dump.$client" | sha256sum | sed "s/^/$client dumped /" ) &
done
wait $reads || echo "failed reads $(tr '\n' ' ' <stderr)"
wait
echo done
