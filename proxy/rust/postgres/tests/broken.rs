//! Messages that are well framed and broken inside: the server's to answer, and nothing is out of step.

mod common;

use common::*;
use dbproxy_engine::{CloseReason, KillReason, Outcome, PinReason, Release};

/// Those that are requests by themselves.
fn broken_requests() -> Vec<Vec<u8>> {
    vec![
        message(b'Q', b"SELECT 'a\0b'\0"),
        message(b'Q', b"SELECT 1"),
        message(b'Q', b""),
        message(b'F', b"\0\0\0"),
    ]
}

/// Those behind which the server throws away what comes before the Sync.
fn broken_parts() -> Vec<Vec<u8>> {
    vec![
        message(b'P', b"name\0SELECT 1"),
        message(b'P', b"name"),
        message(b'P', b"\0SELECT 'a\0b'\0\0\0"),
        message(b'P', b"\0SELECT 1\0\0\x01"),
        message(b'P', b"\0SELECT 1\0\0\0xyz"),
        message(b'B', b"portal"),
        message(b'B', b"portal\0name"),
        message(b'D', b"X\0"),
        message(b'D', b"S"),
        message(b'C', b"X\0"),
        message(b'C', b"Pname"),
        message(b'E', b"\0\0\0\0"),
        message(b'E', b"portal\0\0\0\0\0\0"),
        message(b'H', b"x"),
    ]
}

fn refusal(status: u8) -> Vec<u8> {
    concat(&[error("ERROR", "08P01"), ready(status)])
}

#[test]
fn the_server_answers_a_broken_request_and_the_session_goes_on() {
    for bytes in broken_requests() {
        for drip in [false, true] {
            let mut bench = Bench::new();
            bench.drip = drip;
            bench.client(&bytes);
            if !drip {
                assert_eq!(bench.to_server, bytes);
            }
            assert_eq!(bench.server(&refusal(b'I')), "E:08P01 Z:I");
            assert_eq!(bench.released, [Release::Clean]);
            assert_eq!((bench.closed, bench.pin()), (None, None));
            assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
        }
    }
}

#[test]
fn the_server_answers_a_broken_batch_and_the_session_goes_on() {
    for part in broken_parts() {
        let mut bench = Bench::new();
        // Nothing behind it is read: neither the name nor the query.
        let behind = concat(&[parse("s", "SELECT 2"), query("LISTEN a"), run("LISTEN b")]);
        bench.client(&concat(&[part, behind, sync()]));
        assert_eq!(bench.server(&refusal(b'I')), "E:08P01 Z:I");
        assert_eq!(bench.released, [Release::Clean]);
        assert_eq!((bench.closed, bench.pin()), (None, None));
        bench.client(&concat(&[run("SELECT 5"), sync()]));
        assert_eq!(bench.server(&reply(b'I')), "1 2 C:SELECT 1 Z:I");
    }
}

#[test]
fn a_broken_part_behind_good_ones_fails_only_what_comes_behind_it() {
    for part in broken_parts() {
        let mut bench = Bench::in_transaction();
        let next = concat(&[run("SELECT 2"), sync()]);
        bench.client(&concat(&[run("SELECT 1"), part, sync(), next]));
        let first = concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1"), refusal(b'E')]);
        assert_eq!(bench.server(&first), "1 2 C:SELECT 1 E:08P01 Z:E");
        let failed = concat(&[error("ERROR", "25P02"), ready(b'E')]);
        assert_eq!(bench.server(&failed), "E:25P02 Z:E");
        bench.client(&query("ROLLBACK"));
        bench.server(&concat(&[complete("ROLLBACK"), ready(b'I')]));
        assert_eq!(bench.released, [Release::Clean]);
    }
}

#[test]
fn a_broken_message_is_thrown_away_behind_an_error_of_its_batch() {
    for bytes in broken_parts().into_iter().chain(broken_requests()) {
        let mut bench = Bench::new();
        bench.client(&concat(&[run("SELECT 1/0"), bytes, sync()]));
        let reply = [bare(b'1'), bare(b'2'), error("ERROR", "22012"), ready(b'I')];
        assert_eq!(bench.server(&concat(&reply)), "1 2 E:22012 Z:I");
        assert_eq!(bench.released, [Release::Clean]);
    }
}

#[test]
fn a_sync_with_a_body_fails_and_ends_its_batch() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), message(b'S', b"x")]));
    let reply = concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1"), refusal(b'I')]);
    assert_eq!(bench.server(&reply), "1 2 C:SELECT 1 E:08P01 Z:I");
    assert_eq!(bench.released, [Release::Clean]);
    // Also behind an error, of which it is the end.
    bench.client(&concat(&[run("SELECT 1/0"), message(b'S', b"x")]));
    let reply = concat(&[bare(b'1'), error("ERROR", "22012"), refusal(b'I')]);
    assert_eq!(bench.server(&reply), "1 E:22012 E:08P01 Z:I");
    assert_eq!(bench.released, [Release::Clean, Release::Clean]);
    // And where nothing is to be ended, no database is needed.
    bench.client(&concat(&[message(b'S', b"xyz"), sync()]));
    assert_eq!(bench.told(), "1 E:22012 E:08P01 Z:I E:08P01 Z:I Z:I");
    assert!(bench.link.is_none());
}

#[test]
fn a_server_that_makes_anything_of_a_broken_message_is_killed() {
    let answers = [complete("SELECT 1"), bare(b'1'), bare(b'I'), ready(b'I')];
    for bytes in broken_parts().into_iter().chain(broken_requests()) {
        for answer in &answers {
            let mut bench = Bench::new();
            bench.client(&concat(&[bytes.clone(), sync()]));
            bench.server(answer);
            assert_eq!(bench.released, [Release::Kill(KillReason::OutOfStep)]);
        }
    }
}

#[test]
fn a_server_lost_under_a_broken_message_has_committed_nothing() {
    for bytes in broken_requests() {
        let mut bench = Bench::in_transaction();
        bench.client(&bytes);
        assert_eq!(bench.lose(), Outcome::Stays);
        assert_eq!(bench.told(), "E:40001 Z:E");
    }
    for part in broken_parts() {
        let mut bench = Bench::new();
        bench.client(&concat(&[part, sync()]));
        assert_eq!(bench.lose(), Outcome::Stays);
        assert_eq!(bench.told(), "E:40001 Z:I");
    }
}

#[test]
fn a_broken_rollback_ends_no_transaction_that_was_lost() {
    let parts = |text: &str| {
        let broken = message(b'E', b"\0\0\0\0");
        concat(&[parse("", text), bind("", ""), broken, sync()])
    };
    for bytes in [
        message(b'Q', b"ROLLBACK\0x\0"),
        message(b'Q', b"ROLLBACK\0; SELECT 1\0"),
        message(b'Q', b"ROLLBACK"),
        concat(&[message(b'P', b"\0ROLLBACK\0\0\0x"), sync()]),
        concat(&[message(b'P', b"s\0ROLLBACK\0\0\0x"), sync()]),
        parts("ROLLBACK"),
    ] {
        let mut bench = Bench::in_transaction();
        bench.lose();
        bench.told();
        assert_eq!(bench.client(&bytes), "", "no backend gets it");
        let told = bench.told();
        assert!(told.ends_with("E:40001 Z:E"), "{told}");
        bench.client(&query("SELECT 1"));
        assert_eq!(bench.told(), "E:25P02 Z:E");
    }
}

#[test]
fn a_broken_batch_leaves_the_unnamed_statement_and_parses_none_again() {
    for part in broken_parts() {
        let mut bench = Bench::new();
        bench.client(&concat(&[run("SELECT 1"), sync()]));
        bench.server(&reply(b'I'));
        bench.idle = vec![link()];
        bench.client(&concat(&[part, bind("", ""), execute(""), sync()]));
        assert!(!show(&bench.to_server).starts_with("P:SELECT 1"));
        assert_eq!(bench.server(&refusal(b'I')), "E:08P01 Z:I");
        assert_eq!(bench.pin(), None);
        let again = bench.client(&concat(&[bind("", ""), execute(""), sync()]));
        assert_eq!(again, "P B E S");
    }
}

/// What the server says of a query that it doesn't read: its text is broken, or not of its encoding.
fn unread() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (message(b'Q', b"SELECT 'a\0b'\0"), "08P01"),
        (message(b'Q', b"SELECT '\xff'\0"), "22021"),
    ]
}

#[test]
fn a_query_that_is_not_read_takes_nobodys_unnamed_statement() {
    for (bytes, code) in unread() {
        let mut first = Bench::named("", 1);
        first.client(&concat(&[run("SELECT secret"), sync()]));
        first.server(&reply(b'I'));
        let mut second = Bench::named("", 2);
        second.idle = std::mem::take(&mut first.idle);
        second.client(&bytes);
        second.server(&concat(&[error("ERROR", code), ready(b'I')]));
        // The first one's is still there.
        let use_it = concat(&[bind("", ""), execute(""), sync()]);
        assert_eq!(second.client(&use_it), "C:S B E S");
    }
}

#[test]
fn who_sends_a_query_that_is_not_read_keeps_the_own_unnamed_statement() {
    for (bytes, code) in unread() {
        let mut bench = Bench::new();
        bench.client(&concat(&[run("SELECT 1"), sync()]));
        bench.server(&reply(b'I'));
        bench.client(&bytes);
        bench.server(&concat(&[error("ERROR", code), ready(b'I')]));
        let use_it = concat(&[bind("", ""), execute(""), sync()]);
        // The server may also have read it: a text's encoding fails later as well.
        let replayed = if code == "22021" { "P B E S" } else { "B E S" };
        assert_eq!(bench.client(&use_it), replayed);
    }
}

#[test]
fn a_query_that_is_read_and_fails_takes_the_unnamed_statement() {
    let reply_with = |code| concat(&[error("ERROR", code), ready(b'I')]);
    let midway = concat(&[message(b'T', b"\0\0"), reply_with("22021")]);
    for answer in [reply_with("22012"), midway] {
        let mut bench = Bench::new();
        bench.client(&concat(&[run("SELECT 1"), sync()]));
        bench.server(&reply(b'I'));
        bench.client(&query("SELECT 1/0"));
        bench.server(&answer);
        bench.idle = vec![link()];
        let use_it = concat(&[bind("", ""), execute(""), sync()]);
        assert_eq!(bench.client(&use_it), "B E S");
    }
}

#[test]
fn names_that_are_too_long_to_be_waited_for_are_forwarded() {
    let long = "n".repeat(2 * LIMIT);
    for (part, fine) in [
        (parse(&long, "SELECT 1"), bare(b'1')),
        (bind(&long, ""), bare(b'2')),
        (bind("", &long), bare(b'2')),
    ] {
        for end in [fine, error("ERROR", "26000")] {
            let mut bench = Bench::new();
            let mut sent = Vec::new();
            for piece in concat(&[part.clone(), sync()]).chunks(LIMIT) {
                bench.client(piece);
                sent.extend(bench.to_server.clone());
            }
            assert_eq!(sent, concat(&[part.clone(), sync()]));
            bench.server(&concat(&[end, ready(b'I')]));
            assert_eq!(bench.closed, None);
        }
    }
    let mut bench = Bench::new();
    bench.client(&parse(&long, "SELECT 1")[..LIMIT]);
    assert_eq!(bench.pin(), Some(PinReason::StatementTooLarge));
}

#[test]
fn a_goodbye_with_a_body_is_one() {
    for before in [vec![], query("SELECT 1")] {
        let mut bench = Bench::new();
        bench.client(&concat(&[before.clone(), message(b'X', b"x")]));
        if !before.is_empty() {
            bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
        }
        assert_eq!(bench.closed, Some(CloseReason::ClientLeft));
    }
}
