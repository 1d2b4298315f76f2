//! COPY, both ways and both protocols, and the Syncs it swallows.

mod common;

use common::*;
use dbproxy_engine::{Abandoned, CloseReason, KillReason, Release, Session as _, Step, Steps};

fn copy_in() -> Vec<u8> {
    message(b'G', &[0, 0, 1, 0, 0])
}

fn data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

#[test]
fn a_simple_copy_in_runs_to_its_end() {
    let mut bench = Bench::new();
    bench.client(&query("COPY t FROM STDIN"));
    assert_eq!(bench.server(&copy_in()), "G");
    assert_eq!(
        bench.client(&concat(&[data(b"1\n"), data(b"2\n"), bare(b'c')])),
        "d d c"
    );
    assert_eq!(
        bench.server(&concat(&[complete("COPY 2"), ready(b'I')])),
        "C:COPY 2 Z:I"
    );
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn late_data_after_a_failed_copy_is_tolerated() {
    let mut bench = Bench::new();
    bench.client(&query("COPY t FROM STDIN"));
    bench.server(&copy_in());
    bench.client(&data(b"bad\n"));
    bench.server(&error("ERROR", "22P04"));
    assert_eq!(bench.client(&data(b"late\n")), "d");
    bench.server(&ready(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
    assert_eq!(bench.client(&concat(&[data(b"later\n"), bare(b'c')])), "");
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
    assert_eq!(bench.closed, None);
}

#[test]
fn a_copy_swallows_the_sync_that_was_sent_with_it() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("COPY t FROM STDIN"), sync()]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
    bench.client(&concat(&[data(b"1\n"), bare(b'c')]));
    bench.server(&complete("COPY 1"));
    assert!(bench.released.is_empty());
    bench.client(&sync());
    assert_eq!(bench.server(&ready(b'I')), "Z:I");
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn data_and_sync_sent_ahead_are_counted_right() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        run("COPY t FROM STDIN"),
        sync(),
        data(b"1\n"),
        bare(b'c'),
        sync(),
    ]));
    bench.server(&concat(&[
        bare(b'1'),
        bare(b'2'),
        copy_in(),
        complete("COPY 1"),
        ready(b'I'),
    ]));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn data_sent_ahead_belongs_to_its_own_batch_not_to_the_query_before() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        query("SELECT 1"),
        run("COPY t FROM STDIN"),
        data(b"1\n"),
        bare(b'f'),
        sync(),
        run("SELECT 2"),
        sync(),
    ]));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
    bench.server(&concat(&[error("ERROR", "57014"), ready(b'I')]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1")]));
    assert!(bench.released.is_empty());
    bench.server(&ready(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn data_of_a_second_copy_may_be_sent_while_the_first_one_ends() {
    let mut bench = Bench::new();
    bench.client(&query("COPY t FROM STDIN"));
    bench.server(&copy_in());
    bench.client(&concat(&[
        bare(b'c'),
        run("COPY t FROM STDIN"),
        data(b"1\n"),
        bare(b'c'),
        sync(),
    ]));
    bench.server(&concat(&[complete("COPY 0"), ready(b'I')]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
    bench.server(&concat(&[complete("COPY 1"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn two_copies_of_one_batch_each_have_their_end() {
    let mut bench = Bench::new();
    let copy = concat(&[bind("", ""), execute(""), bare(b'c')]);
    bench.client(&concat(&[
        parse("", "COPY t FROM STDIN"),
        copy.clone(),
        copy,
        sync(),
    ]));
    bench.server(&bare(b'1'));
    for _ in 0..2 {
        bench.server(&concat(&[bare(b'2'), copy_in(), complete("COPY 0")]));
    }
    bench.server(&ready(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_flood_of_ends_is_forwarded_and_forgotten_with_its_batch() {
    let mut bench = Bench::new();
    let flood = concat(&vec![bare(b'c'); 10_000]);
    bench.client(&concat(&[run("SELECT 1"), flood, sync()]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1")]));
    assert!(bench.released.is_empty());
    bench.server(&ready(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_batch_that_is_begun_behind_a_copy_stays_open() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        run("COPY t FROM STDIN"),
        bare(b'c'),
        sync(),
        run("SELECT 2"),
    ]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
    bench.server(&concat(&[complete("COPY 0"), ready(b'I')]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1")]));
    assert!(bench.released.is_empty());
    bench.client(&sync());
    bench.server(&ready(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn messages_sent_ahead_into_a_copy_make_its_backend_unfit() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        query("COPY t FROM STDIN"),
        run("SELECT 2"),
        bare(b'c'),
        sync(),
    ]));
    bench.server(&copy_in());
    bench.server(&concat(&[error("ERROR", "08P01"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Kill(KillReason::Ambiguous)]);
}

#[test]
fn a_copy_that_its_client_fails_has_swallowed_what_came_before_so_batches_go_on() {
    let by_client = "SERROR\0VERROR\0C57014\0Mtext\0RCopyGetData\0\0";
    let by_cancel = "SERROR\0VERROR\0C57014\0Mtext\0RProcessInterrupts\0\0";
    for (error, released) in [
        (by_client, Release::Clean),
        (by_cancel, Release::Kill(KillReason::Ambiguous)),
    ] {
        let mut bench = Bench::new();
        bench.client(&concat(&[run("COPY t FROM STDIN"), sync()]));
        bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
        bench.client(&concat(&[message(b'f', b"enough\0"), sync()]));
        let next = concat(&[run("SELECT 8"), sync()]);
        assert_eq!(bench.client(&next), "P B E S");
        bench.server(&concat(&[message(b'E', error.as_bytes()), ready(b'I')]));
        if released == Release::Clean {
            assert_eq!(bench.released, []);
            bench.server(&reply(b'I'));
        }
        assert_eq!(bench.released, [released]);
    }
}

#[test]
fn a_failed_extended_copy_may_have_swallowed_a_sync_or_not_so_its_backend_is_closed() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("COPY t FROM STDIN"), sync()]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
    bench.client(&concat(&[data(b"bad\n"), bare(b'c'), sync()]));
    assert_eq!(
        bench.server(&concat(&[error("ERROR", "22P04"), ready(b'I')])),
        "E:22P04 Z:I"
    );
    assert_eq!(bench.released, [Release::Kill(KillReason::Ambiguous)]);
    assert_eq!(bench.told(), "E:22P04 Z:I");
    assert_eq!(bench.closed, None);
}

#[test]
fn copy_out_streams() {
    let mut bench = Bench::new();
    bench.client(&query("COPY t TO STDOUT"));
    let reply = concat(&[
        message(b'H', &[0, 0, 1, 0, 0]),
        data(&[b'x'; 9000]),
        bare(b'c'),
        complete("COPY 1"),
        ready(b'I'),
    ]);
    bench.drip = true;
    bench.server(&reply);
    assert_eq!(bench.to_client, reply);
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_query_during_copy_in_is_a_violation() {
    let mut bench = Bench::new();
    bench.client(&query("COPY t FROM STDIN"));
    bench.server(&copy_in());
    bench.client(&query("SELECT 1"));
    assert_eq!(bench.closed, Some(CloseReason::ProtocolViolation));
    let mut link = bench.link.take().unwrap();
    assert_eq!(
        bench.session.abandon(&mut link),
        Abandoned::Free(Release::Kill(KillReason::ClientLost))
    );
}

#[test]
fn large_pieces_of_data_stream_in_parts() {
    let mut bench = Bench::new();
    bench.client(&query("COPY t FROM STDIN"));
    bench.server(&copy_in());
    let piece = data(&[b'x'; 5 * LIMIT]);
    let mut sent = Vec::new();
    for chunk in piece.chunks(LIMIT) {
        bench.client(chunk);
        sent.extend(bench.to_server.clone());
    }
    assert_eq!(sent, piece);
}

#[test]
fn a_copy_that_fails_amid_a_large_piece_frees_the_backend_at_its_end() {
    let mut bench = Bench::new();
    bench.client(&query("COPY t FROM STDIN"));
    bench.server(&copy_in());
    let piece = data(&[b'x'; 3 * LIMIT]);
    bench.client(&piece[..2 * LIMIT]);
    bench.server(&concat(&[error("ERROR", "22P04"), ready(b'I')]));
    assert!(bench.released.is_empty());
    bench.client(&piece[2 * LIMIT..]);
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_client_whose_sync_is_answered_is_told_nothing_more() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("COPY v FROM STDIN"), sync()]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
    // "cannot copy to view": before it reads any data, so the Sync counts.
    assert_eq!(bench.server(&error("ERROR", "42809")), "E:42809");
    let told = bench.server(&ready(b'I'));
    bench.idle = vec![link()];
    let next = bench.client(&query("SELECT 1"));
    assert_eq!((&*told, &*next), ("Z:I", "Q:SELECT 1"));
}

#[test]
fn a_batch_that_goes_on_behind_a_copy_ends_at_its_sync() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        run("COPY t FROM STDIN"),
        run("SELECT 1"),
        sync(),
    ]));
    bench.server(&concat(&[bare(b'1'), bare(b'2'), copy_in()]));
    // "unexpected message type 0x50 during COPY from stdin", then the Sync.
    assert_eq!(bench.server(&error("ERROR", "08P01")), "E:08P01");
    let told = bench.server(&ready(b'I'));
    bench.idle = vec![link()];
    let next = bench.client(&query("SELECT 1"));
    assert_eq!((&*told, &*next), ("Z:I", "Q:SELECT 1"));
}

#[test]
fn a_copy_whose_end_was_sent_runs_on_without_its_client() {
    let mut bench = Bench::new();
    bench.client(&concat(&[
        query("COPY t FROM STDIN"),
        message(b'd', b"1\n"),
        bare(b'c'),
    ]));
    let link = bench.link.as_mut().unwrap();
    assert_eq!(bench.session.abandon(link), Abandoned::Running);
    let mut steps = Steps::new();
    let input = concat(&[copy_in(), complete("COPY 1"), ready(b'I')]);
    dbproxy_postgres::Session::feed_server(None, link, &input, &mut steps);
    assert_eq!(steps, [Step::Release(Release::Clean)]);
}
