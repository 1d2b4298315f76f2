<?php
// PDO, which has no pool: eight processes with a connection each.

const INSERT = 'INSERT INTO work (client, kind, value) VALUES (?, ?, ?)';

function ask(PDO $db, string $text, array $values): array
{
    $statement = $db->prepare($text);
    $statement->execute($values);
    return $statement->fetchAll(PDO::FETCH_NUM);
}

function fails(PDO $db, array &$counts): void
{
    try {
        ask($db, 'SELECT 1 / ?::int', [0]);
    } catch (PDOException $error) {
        if ($error->getCode() !== '22012') {
            throw $error;
        }
        $counts['error 22012']++;
    }
}

function client(int $number, array &$counts): PDO
{
    $db = new PDO('pgsql:', getenv('PGUSER'), getenv('PGPASSWORD'));
    $many = $db->prepare(INSERT);
    for ($turn = 0; $turn < (int) getenv('ROUNDS'); $turn++) {
        [$row] = ask($db, 'SELECT ?::int + 1, ?::text', [$turn, 'é']);
        $counts['parameters'] += $row[0] + strlen($row[1]);
        fails($db, $counts);
        $db->beginTransaction();
        ask($db, INSERT, [$number, 'commit', $turn]);
        $db->commit();
        $db->beginTransaction();
        ask($db, INSERT, [$number, 'failed', $turn]);
        fails($db, $counts);
        $db->rollBack();
        $db->beginTransaction();
        for ($value = 0; $value < 10; $value++) {
            $many->execute([$number, 'batch', $value]);
        }
        $db->commit();
        $big = "SELECT n, repeat('x', 100) FROM generate_series(1, ?::int) AS n";
        foreach (ask($db, $big, [2000]) as [$n, $text]) {
            $counts['big'] += $n + strlen($text);
        }
        $rows = array_map(fn ($value) => "$number\tcopy\t$value", range(1, 50));
        $db->pgsqlCopyFromArray('work', $rows, "\t", '\\N', 'client, kind, value');
        $counts['copied'] += count($db->pgsqlCopyToArray("(SELECT 1 FROM work WHERE client = $number)"));
    }
    $kept = 'SELECT kind, count(*), sum(value) FROM work WHERE client = ? GROUP BY kind';
    foreach (ask($db, $kept, [$number]) as [$kind, $rows, $sum]) {
        [$counts["$kind rows"], $counts["$kind sum"]] = [$rows, $sum];
    }
    return $db;
}

// Its end is seen when the last client has closed it.
[$working, $atWork] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
echo 'driver PDO ', phpversion('pdo_pgsql'), "\n";
for ($number = 0; $number < (int) getenv('CLIENTS'); $number++) {
    if (pcntl_fork()) {
        continue;
    }
    $counts = ['parameters' => 0, 'big' => 0, 'copied' => 0, 'error 22012' => 0];
    try {
        $db = client($number, $counts);
        foreach ($counts as $what => $count) {
            echo "$number $what=$count\n";
        }
    } catch (Throwable $error) {
        echo "failed $number " . preg_replace('/\s+/', ' ', $error->getMessage()) . "\n";
    }
    fclose($atWork);
    fgets(STDIN);
    exit;
}
fclose($atWork);
fgets($working);
echo "done\n";
while (pcntl_wait($status) > 0);
