# DBD::Pg, which has no pool: eight processes with a connection each.

use strict;
use warnings;
use utf8;
use DBI;
use DBD::Pg;

my ($rounds, $clients) = @ENV{qw(ROUNDS CLIENTS)};
my $insert = 'INSERT INTO work (client, kind, value) VALUES (?, ?, ?)';

sub fails {
    my ($db, $counts) = @_;
    return if eval { $db->selectrow_array('SELECT 1 / ?::int', undef, 0); 1 };
    die $@ if $db->state ne '22012';
    $counts->{'error ' . $db->state}++;
}

sub client {
    my ($number, $counts) = @_;
    my $db = DBI->connect('dbi:Pg:', '', '', { RaiseError => 1, PrintError => 0 });
    my $many = $db->prepare($insert);
    for my $turn (0 .. $rounds - 1) {
        my @row = $db->selectrow_array('SELECT ?::int + 1, ?::text', undef, $turn, 'é');
        $counts->{parameters} += $row[0] + length $row[1];
        fails($db, $counts);
        $db->begin_work;
        $db->do($insert, undef, $number, 'commit', $turn);
        $db->commit;
        $db->begin_work;
        $db->do($insert, undef, $number, 'failed', $turn);
        fails($db, $counts);
        $db->rollback;
        $db->begin_work;
        $many->execute($number, 'batch', $_) for 1 .. 10;
        $db->commit;
        my $big = $db->prepare("SELECT n, repeat('x', 100) FROM generate_series(1, ?::int) AS n");
        $big->execute(2_000);
        while (my @found = $big->fetchrow_array) { $counts->{big} += $found[0] + length $found[1] }
        $db->do('COPY work (client, kind, value) FROM STDIN');
        $db->pg_putcopydata("$number\tcopy\t$_\n") for 1 .. 50;
        $db->pg_putcopyend;
        $db->do("COPY (SELECT 1 FROM work WHERE client = $number) TO STDOUT");
        my $line = '';
        $counts->{copied}++ while $db->pg_getcopydata(\$line) >= 0;
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
print "driver DBD::Pg $DBD::Pg::VERSION\n";
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
