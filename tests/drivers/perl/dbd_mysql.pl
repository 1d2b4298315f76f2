# DBD::mysql or DBD::MariaDB, which have no pool: eight processes with a connection each. The word behind is the driver's.

use strict;
use warnings;
use utf8;
use open ':std', ':encoding(UTF-8)';
use DBI;

my $driver = shift;
my $id_name = $driver eq 'mysql' ? 'mysql_insertid' : 'mariadb_insertid';
my ($rounds, $clients) = @ENV{qw(ROUNDS CLIENTS)};
my $insert = 'INSERT INTO work (client, kind, value) VALUES (?, ?, ?)';
my $letters = 'zażółć 🐬 ';
my $big_text = $letters x 6_000;

sub fails {
    my ($db, $counts) = @_;
    return if eval { $db->selectrow_array('SELECT * FROM nowhere'); 1 };
    die $@ if $db->err != 1146;
    $counts->{'error ' . $db->err}++;
}

sub typed {
    my ($db, $number, $counts) = @_;
    my @row = ($number, undef, $letters, '12345678901234.5678', '2026-01-01 12:30:00.123456', $big_text);
    $db->do('INSERT INTO typed (client, nothing, words, amount, moment, big) VALUES (?, ?, ?, ?, ?, ?)', undef, @row);
    my @found = $db->selectrow_array(
        'SELECT nothing, words, amount, moment, big FROM typed WHERE id = ?', undef, $db->{$id_name});
    $counts->{join ' ', $found[0] // 'undef', @found[1 .. 3], $found[4] eq $big_text ? 'same' : 'other'}++;
}

sub client {
    my ($number, $counts) = @_;
    my $where = "dbi:$driver:database=$ENV{MYSQL_DATABASE};host=$ENV{MYSQL_HOST};port=$ENV{MYSQL_TCP_PORT}";
    my %options = (RaiseError => 1, PrintError => 0);
    # The other has it so by default.
    $options{mysql_enable_utf8mb4} = 1 if $driver eq 'mysql';
    my $db = DBI->connect($where, $ENV{MYSQL_USER}, $ENV{MYSQL_PWD}, \%options);
    my $many = $db->prepare($insert);
    for my $turn (0 .. $rounds - 1) {
        my @row = $db->selectrow_array('SELECT ? + 1 AS asked, ? AS words', undef, $turn, 'é');
        $counts->{parameters} += $row[0] + length $row[1];
        fails($db, $counts);
        $db->begin_work;
        $db->do($insert, undef, $number, 'commit', $turn);
        my ($value) = $db->selectrow_array('SELECT value FROM work WHERE id = ?', undef, $db->{$id_name});
        $counts->{'by id'} += $value;
        $db->commit;
        $db->begin_work;
        $db->do($insert, undef, $number, 'failed', $turn);
        fails($db, $counts);
        $db->rollback;
        $db->do($insert, undef, $number, 'autocommit', $turn);
        my $id = $db->{$id_name};
        my ($last) = $db->selectrow_array('SELECT LAST_INSERT_ID()');
        $counts->{'id told'} += $last == $id;
        $db->begin_work;
        $many->execute($number, 'batch', $_) for 1 .. 10;
        $db->commit;
        typed($db, $number, $counts);
        my $big = $db->prepare("SELECT n, repeat('x', 100) FROM numbers ORDER BY n");
        $big->execute;
        while (my @found = $big->fetchrow_array) { $counts->{big} += $found[0] + length $found[1] }
        # As some ask for: statements prepared by the server.
        local $db->{"${driver}_server_prepare"} = 1;
        my $prepared = $db->prepare('SELECT ? + 2');
        $prepared->execute($turn);
        $counts->{prepared} += ($prepared->fetchrow_array)[0];
        $prepared->finish;
    }
    my $kept = 'SELECT kind, count(*), sum(value) FROM work WHERE client = ? GROUP BY kind';
    for my $row (@{ $db->selectall_arrayref($kept, undef, $number) }) {
        @$counts{"$row->[0] rows", "$row->[0] sum"} = @$row[1, 2];
    }
    return $db;
}

# Its end is seen when the last client has closed it.
pipe my $working, my $at_work or die $!;
$| = 1;
my $version = do { DBI->install_driver($driver); "DBD::$driver"->VERSION };
print "driver DBD::$driver $version\n";
for my $number (0 .. $clients - 1) {
    next if fork;
    my %counts;
    my $db = eval { client($number, \%counts) };
    if ($db) { print map { "$number $_=$counts{$_}\n" } keys %counts }
    else     { print "failed $number " . join(' ', split ' ', $@) . "\n" }
    close $at_work;
    <STDIN>;
    exit;
}
close $at_work;
<$working>;
print "done\n";
1 while wait != -1;
