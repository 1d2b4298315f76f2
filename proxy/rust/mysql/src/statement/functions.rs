//! What is known of functions by name.
//!
//! `reads*.txt` are functions that keep no state in the session and change no data, and that no function of
//! the database's own can be called instead of: of both servers, and those that only MySQL 8.0.31 or
//! MariaDB 10.11 has. Each was asked for on both: whether `name()` is a function of the server's own, or is
//! looked for in the database. Left out, besides what `judge` names, are those that wait for replication,
//! Galera's and MySQL's internal ones. What is on no list, or is asked of an older server, makes a backend
//! dirty, which costs a COM_RESET_CONNECTION and is never wrong. Sorted bytewise, one a line.

use super::dialect::Dialect;
use crate::params::Kind;

static READS: &[u8] = include_bytes!("reads.txt");
static READS_MYSQL: &[u8] = include_bytes!("reads_mysql.txt");
static READS_MARIADB: &[u8] = include_bytes!("reads_mariadb.txt");

/// How a call matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Function {
    /// Keeps no state, changes no data.
    Reads,
    /// `GET_LOCK`.
    Locks,
    /// `RELEASE_LOCK`, `RELEASE_ALL_LOCKS`.
    Unlocks,
    /// `LAST_INSERT_ID`, which asks, or sets what it is given.
    InsertId,
    RowCount,
    FoundRows,
    /// The backend's own number, or that of who holds a lock.
    ConnectionId,
    /// MariaDB's `NEXTVAL` and `SETVAL`, which `LASTVAL` then tells.
    MovesSequence,
    LastValue,
    /// Anything.
    Unknown,
}

/// Judges a function by its name in lower case.
pub(crate) fn judge(name: &[u8], dialect: &Dialect) -> Function {
    let mariadb = dialect.is_mariadb();
    match name {
        b"get_lock" => Function::Locks,
        b"release_lock" | b"release_all_locks" => Function::Unlocks,
        b"last_insert_id" => Function::InsertId,
        b"row_count" => Function::RowCount,
        b"found_rows" => Function::FoundRows,
        b"connection_id" | b"is_used_lock" => Function::ConnectionId,
        b"nextval" | b"setval" if mariadb => Function::MovesSequence,
        b"lastval" if mariadb => Function::LastValue,
        _ if reads(name, dialect) => Function::Reads,
        _ => Function::Unknown,
    }
}

fn reads(name: &[u8], dialect: &Dialect) -> bool {
    let Some(server) = dialect.server else {
        return false;
    };
    let (common, listed, own) = match server.kind {
        Kind::MySql => (50_722, 80_031, READS_MYSQL),
        Kind::MariaDb => (100_600, 101_100, READS_MARIADB),
    };
    server.number >= common && contains(READS, name)
        || server.number >= listed && contains(own, name)
}

/// Binary search over the lines of a sorted text.
fn contains(list: &[u8], name: &[u8]) -> bool {
    let (mut low, mut high) = (0, list.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let before = list.get(low..middle).unwrap_or_default();
        let start = low + memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let rest = list.get(start..high).unwrap_or_default();
        let end = start + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        match list.get(start..end).unwrap_or_default().cmp(name) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_lists_is_found_where_it_is_a_function_and_nothing_else() {
        let mysql = Dialect::of_version("8.0.31");
        let mariadb = Dialect::of_version("10.11.2-MariaDB");
        for (list, on_mysql, on_mariadb) in [
            (READS, true, true),
            (READS_MYSQL, true, false),
            (READS_MARIADB, false, true),
        ] {
            let names = list.split(|b| *b == b'\n').filter(|n| !n.is_empty());
            let names: Vec<_> = names.collect();
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
            for name in names {
                let shown = String::from_utf8_lossy(name);
                assert!(
                    !on_mysql || judge(name, &mysql) == Function::Reads,
                    "{shown}"
                );
                assert!(
                    !on_mariadb || judge(name, &mariadb) == Function::Reads,
                    "{shown}"
                );
                assert!(judge(name, &Dialect::of_version("5.6.50")) == Function::Unknown);
            }
        }
        for name in [
            "",
            "a",
            "zzz",
            "nul",
            "nulliff",
            "uuid_to_bin_",
            "my_function",
        ] {
            assert_eq!(judge(name.as_bytes(), &mysql), Function::Unknown, "{name}");
        }
        assert_eq!(
            judge(b"regexp_like", &Dialect::of_version("5.7.44")),
            Function::Unknown
        );
        assert_eq!(judge(b"lastval", &mysql), Function::Unknown);
        assert_eq!(judge(b"lastval", &mariadb), Function::LastValue);
    }
}
