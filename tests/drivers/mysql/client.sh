# Eight command-line clients at once, each in one session, which stays while this script's input is open.
program=$1
exec 3<&0
echo "driver $program $($program --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | tail -n 1)"
here=$(dirname "$0")
for ((client = 0; client < CLIENTS; client++)); do
  (
    {
      for ((turn = 0; turn < ROUNDS; turn++)); do sed "s/CLIENT/$client/" "$here/round.sql"; done
      echo "SELECT kind, count(*), sum(value) FROM work WHERE client = $client GROUP BY kind ORDER BY kind;"
      echo "\\! touch ready.$client"
      cat <&3
    } | "$program" --no-defaults --host="$MYSQL_HOST" --port="$MYSQL_TCP_PORT" --user="$MYSQL_USER" --batch --force \
      --unbuffered --skip-column-names "$MYSQL_DATABASE" 2>"stderr.$client" | sed "s/^/$client /" ||
      echo "failed $client $program ended with $?"
    grep ERROR "stderr.$client" | grep -v 'ERROR 1146' | sed "s/^/failed $client /"
    grep -c 'ERROR 1146' "stderr.$client" | sed "s/^/$client missing /"
    touch "ready.$client"
  ) &
done
until [ "$(find . -name 'ready.*' | wc -l)" = "$CLIENTS" ]; do sleep 0.05; done
echo done
wait
