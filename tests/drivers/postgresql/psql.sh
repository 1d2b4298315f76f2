# Eight psql at once, each in one session, which stays while this script's input is open.
exec 3<&0
echo "driver $(psql --version | cut -d " " -f 1,3)"
here=$(dirname "$0")
turns=()
for ((turn = 0; turn < ROUNDS; turn++)); do turns+=(--file "$here/round.sql"); done
for ((client = 0; client < CLIENTS; client++)); do
  (
    export CLIENT=$client
    psql --no-psqlrc --quiet --no-align --tuples-only --variable client="$client" \
      "${turns[@]}" --file "$here/kept.sql" --file - <&3 2>"stderr.$client" ||
      echo "failed $client psql ended with $?: $(tail -n 1 "stderr.$client")"
    touch "ready.$client"
  ) &
done
until [ "$(find . -name 'ready.*' | wc -l)" = "$CLIENTS" ]; do sleep 0.05; done
echo done
wait
