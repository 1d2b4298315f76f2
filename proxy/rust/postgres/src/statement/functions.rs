//! What is known of functions by name.
//!
//! `reads.txt` and `writes.txt` are the functions of PostgreSQL 15's `pg_catalog` that keep no state
//! in the session: from `pg_proc`, all functions, aggregates and window functions that SQL can call
//! (no `internal` or `cstring` argument, no trigger or handler result). Reads: everything immutable
//! or stable, and those volatile ones that change nothing (`random`, `pg_sleep`, …). Writes: the
//! volatile ones that change data or the cluster but nothing in the session (`nextval`, `lo_*`, …).
//! Left out, besides those that pin: functions that run SQL given as text (`query_to_xml`,
//! `ts_stat`, …), and administration. What is on no list makes a backend dirty, which costs a
//! `DISCARD ALL` and is never wrong. Sorted bytewise, one a line.

use dbproxy_engine::PinReason;

static READS: &[u8] = include_bytes!("reads.txt");
static WRITES: &[u8] = include_bytes!("writes.txt");

/// How a call matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Function {
    /// Keeps no state, changes no data.
    Reads,
    /// Keeps no state in the session, but may change data.
    Writes,
    /// Leaves state behind that the client relies on.
    Pins(PinReason),
    /// Anything.
    Unknown,
}

/// Judges a function by its name in lower case.
pub(crate) fn judge(name: &[u8]) -> Function {
    if let Some(reason) = pins(name) {
        Function::Pins(reason)
    } else if contains(READS, name) {
        Function::Reads
    } else if contains(WRITES, name) {
        Function::Writes
    } else {
        Function::Unknown
    }
}

/// What a call may end that binds a session.
pub(crate) fn ends(name: &[u8]) -> Option<PinReason> {
    name.starts_with(b"pg_advisory_unlock")
        .then_some(PinReason::AdvisoryLock)
}

fn pins(name: &[u8]) -> Option<PinReason> {
    Some(match name {
        b"set_config" => PinReason::SessionSetting,
        b"currval" | b"lastval" => PinReason::SequenceState,
        b"setseed" => PinReason::SessionFunction,
        b"pg_advisory_lock"
        | b"pg_advisory_lock_shared"
        | b"pg_try_advisory_lock"
        | b"pg_try_advisory_lock_shared" => PinReason::AdvisoryLock,
        b"pg_backup_start" | b"pg_backup_stop" | b"pg_start_backup" | b"pg_stop_backup" => {
            PinReason::SessionFunction
        }
        b"pg_create_logical_replication_slot"
        | b"pg_create_physical_replication_slot"
        | b"pg_copy_logical_replication_slot"
        | b"pg_copy_physical_replication_slot"
        | b"pg_drop_replication_slot" => PinReason::SessionFunction,
        _ if name.starts_with(b"pg_replication_origin_") => PinReason::SessionFunction,
        _ if name.starts_with(b"dblink_connect") => PinReason::SessionFunction,
        _ => return None,
    })
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
    fn every_name_of_the_lists_is_found_and_nothing_else() {
        for (list, kind) in [(READS, Function::Reads), (WRITES, Function::Writes)] {
            let names: Vec<_> = list
                .split(|b| *b == b'\n')
                .filter(|n| !n.is_empty())
                .collect();
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
            for name in names {
                assert_eq!(judge(name), kind, "{}", String::from_utf8_lossy(name));
            }
        }
        for name in [
            "",
            "a",
            "zzz",
            "nextva",
            "nextvall",
            "query_to_xml",
            "my_function",
        ] {
            assert_eq!(judge(name.as_bytes()), Function::Unknown, "{name}");
        }
    }

    #[test]
    fn what_pins_is_on_no_list() {
        for name in [
            "set_config",
            "lastval",
            "setseed",
            "pg_advisory_lock",
            "dblink_connect_u",
        ] {
            assert!(
                matches!(judge(name.as_bytes()), Function::Pins(_)),
                "{name}"
            );
            assert!(!contains(READS, name.as_bytes()) && !contains(WRITES, name.as_bytes()));
        }
    }
}
