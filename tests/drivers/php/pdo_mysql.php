<?php
// PDO over mysqlnd, which has no pool: eight processes with a connection each. It puts parameters into texts itself,
// unless it is asked to have statements prepared.

const INSERT = 'INSERT INTO work (client, kind, value) VALUES (?, ?, ?)';
const LETTERS = 'zażółć 🐬 ';

function ask(PDO $db, string $text, array $values = []): array
{
    $statement = $db->prepare($text);
    $statement->execute($values);
    return $statement->columnCount() ? $statement->fetchAll(PDO::FETCH_NUM) : [];
}

function fails(PDO $db, array &$counts): void
{
    try {
        ask($db, 'SELECT * FROM nowhere');
    } catch (PDOException $error) {
        if ($error->getCode() !== '42S02') {
            throw $error;
        }
        $counts['error 42S02']++;
    }
}

function typed(PDO $db, int $number, array &$counts): void
{
    $big = str_repeat(LETTERS, 6000);
    $row = [$number, null, LETTERS, '12345678901234.5678', '2026-01-01 12:30:00.123456', $big];
    ask($db, 'INSERT INTO typed (client, nothing, words, amount, moment, big) VALUES (?, ?, ?, ?, ?, ?)', $row);
    $id = $db->lastInsertId();
    [$found] = ask($db, 'SELECT nothing, words, amount, moment, big FROM typed WHERE id = ?', [$id]);
    $found[0] = var_export($found[0], true);
    $found[4] = $found[4] === $big ? 'true' : 'false';
    $told = implode(' ', $found);
    $counts[$told] = ($counts[$told] ?? 0) + 1;
}

function client(int $number, array &$counts): PDO
{
    $where = 'mysql:host=' . getenv('MYSQL_HOST') . ';port=' . getenv('MYSQL_TCP_PORT');
    $db = new PDO($where . ';dbname=' . getenv('MYSQL_DATABASE'), getenv('MYSQL_USER'), getenv('MYSQL_PWD'));
    for ($turn = 0; $turn < (int) getenv('ROUNDS'); $turn++) {
        [$row] = ask($db, 'SELECT ? + 1 AS asked, ? AS words', [$turn, 'é']);
        $counts['parameters'] += $row[0] + strlen($row[1]);
        fails($db, $counts);
        $db->beginTransaction();
        ask($db, INSERT, [$number, 'commit', $turn]);
        [[$value]] = ask($db, 'SELECT value FROM work WHERE id = ?', [$db->lastInsertId()]);
        $counts['by id'] += $value;
        $db->commit();
        $db->beginTransaction();
        ask($db, INSERT, [$number, 'failed', $turn]);
        fails($db, $counts);
        $db->rollBack();
        ask($db, INSERT, [$number, 'autocommit', $turn]);
        [[$last]] = ask($db, 'SELECT LAST_INSERT_ID()');
        $counts['id told'] += $last == $db->lastInsertId();
        $db->beginTransaction();
        $many = $db->prepare(INSERT);
        for ($value = 0; $value < 10; $value++) {
            $many->execute([$number, 'batch', $value]);
        }
        $db->commit();
        typed($db, $number, $counts);
        foreach (ask($db, "SELECT n, repeat('x', 100) FROM numbers ORDER BY n") as [$n, $text]) {
            $counts['big'] += $n + strlen($text);
        }
        // As many ask for: statements prepared by the server.
        $db->setAttribute(PDO::ATTR_EMULATE_PREPARES, false);
        [$row] = ask($db, 'SELECT ? + 2, ? AS words', [$turn, 'é']);
        $counts['prepared'] += $row[0] + strlen($row[1]);
        typed($db, $number, $counts);
        $db->setAttribute(PDO::ATTR_EMULATE_PREPARES, true);
    }
    $kept = 'SELECT kind, count(*), sum(value) FROM work WHERE client = ? GROUP BY kind';
    foreach (ask($db, $kept, [$number]) as [$kind, $rows, $sum]) {
        [$counts["$kind rows"], $counts["$kind sum"]] = [$rows, $sum];
    }
    return $db;
}

// Its end is seen when the last client has closed it.
[$working, $atWork] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
echo 'driver PDO ', phpversion('pdo_mysql'), " (mysqlnd)\n";
for ($number = 0; $number < (int) getenv('CLIENTS'); $number++) {
    if (pcntl_fork()) {
        continue;
    }
    $counts = ['parameters' => 0, 'by id' => 0, 'id told' => 0, 'big' => 0, 'error 42S02' => 0, 'prepared' => 0];
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
