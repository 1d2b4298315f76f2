//! Simple queries over a shared backend.

mod common;

use common::*;
use dbproxy_engine::{CloseReason, KillReason, Link as _, Note, PinReason, Release, Session as _};

#[test]
fn a_query_and_its_reply_are_one_send_each_way() {
    let mut bench = Bench::new();
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
    assert_eq!(bench.sends, 1);
    let reply = concat(&[bare(b'T'), row(b"1"), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&reply), "T D C:SELECT 1 Z:I");
    assert_eq!(bench.sends, 2);
    assert_eq!(bench.released, [Release::Clean]);
    assert!(bench.notes.is_empty() && bench.session.at_boundary());
}

#[test]
fn no_backend_is_asked_for_before_the_query_is_whole() {
    let mut bench = Bench::new();
    let bytes = query("SELECT 1");
    assert_eq!(bench.client(&bytes[..bytes.len() - 1]), "");
    assert!(bench.link.is_none() && !bench.session.at_boundary());
    assert_eq!(bench.client(&bytes[bytes.len() - 1..]), "Q:SELECT 1");
}

#[test]
fn any_fragmentation_gives_the_same_bytes() {
    let requests = concat(&[query("BEGIN"), query("SELECT 2"), query("COMMIT")]);
    let replies = concat(&[
        complete("BEGIN"),
        ready(b'T'),
        bare(b'T'),
        row(&[b'x'; 300]),
        complete("SELECT 1"),
        ready(b'T'),
        complete("COMMIT"),
        ready(b'I'),
    ]);
    let mut whole = Bench::new();
    whole.client(&requests);
    whole.server(&replies);
    assert_eq!(whole.to_server, requests);
    assert_eq!(whole.to_client, replies);
    for cut in 1..replies.len() {
        let mut bench = Bench::new();
        bench.client(&requests[..cut.min(requests.len())]);
        let mut sent = bench.to_server.clone();
        bench.client(&requests[cut.min(requests.len())..]);
        sent.extend(&bench.to_server);
        assert_eq!(sent, requests, "{cut}");
        bench.server(&replies[..cut]);
        let mut got = bench.to_client.clone();
        bench.server(&replies[cut..]);
        got.extend(&bench.to_client);
        assert_eq!(got, replies, "{cut}");
        assert_eq!(bench.released, [Release::Clean]);
    }
    let mut drip = Bench::new();
    drip.drip = true;
    drip.client(&requests);
    drip.server(&replies);
    assert_eq!((drip.to_server, drip.to_client), (requests, replies));
}

#[test]
fn a_transaction_keeps_its_backend() {
    let mut bench = Bench::new();
    bench.client(&query("BEGIN"));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    assert!(bench.released.is_empty() && bench.link.is_some());
    bench.client(&query("COMMIT"));
    bench.server(&concat(&[complete("COMMIT"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn pipelined_queries_are_all_answered_before_the_backend_goes() {
    let mut bench = Bench::new();
    bench.client(&concat(&[query("SELECT 1"), query("SELECT 2")]));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert!(bench.released.is_empty());
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_function_of_unknown_doings_makes_the_backend_dirty() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT do_things()"));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Reset]);
    assert_eq!(bench.pin(), None);
}

#[test]
fn reports_that_differ_are_told_before_the_reply() {
    let mut bench = Bench::new();
    bench.idle = vec![link_with(&[
        ("standard_conforming_strings", "on"),
        ("client_encoding", "UTF8"),
        ("in_hot_standby", "on"),
    ])];
    bench.client(&query("SELECT 1"));
    assert_eq!(bench.told(), "S:in_hot_standby=on");
}

#[test]
fn reports_in_another_encoding_are_passed_on_as_they_are() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT 1"));
    let jose = message(b'S', b"session_authorization\0jos\xe9\0");
    let reply = concat(&[jose, complete("SELECT 1"), ready(b'I')]);
    bench.server(&reply);
    assert_eq!(bench.to_client, reply);
}

#[test]
fn a_query_larger_than_the_limit_streams_and_pins() {
    let mut bench = Bench::new();
    let bytes = query(&format!("SELECT '{}'", "x".repeat(3 * LIMIT)));
    bench.drip = true;
    bench.client(&bytes[..LIMIT - 1]);
    assert!(bench.link.is_none());
    let mut sent = Vec::new();
    for chunk in [&bytes[LIMIT - 1..LIMIT + 10], &bytes[LIMIT + 10..]] {
        bench.client(chunk);
        sent.extend(bench.to_server.clone());
    }
    assert_eq!(sent, bytes);
    assert_eq!(bench.pin(), Some(PinReason::StatementTooLarge));
}

#[test]
fn impossible_messages_close_only_that_client() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"Q\0\0\0\x03",
        b"Q\xff\xff\xff\xff",
        b"S\0\0\x27\x11",
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.client(bytes), "");
        assert_eq!(bench.told(), "E:08P01");
        assert_eq!(bench.closed, Some(CloseReason::ProtocolViolation));
        assert!(bench.link.is_none());
    }
}

#[test]
fn a_backend_out_of_step_is_killed_and_never_guessed_about() {
    for bytes in [
        concat(&[complete("SELECT 1"), ready(b'X')]),
        concat(&[complete("SELECT 1"), message(b'K', &[0; 8])]),
        vec![0],
    ] {
        let mut bench = Bench::new();
        bench.client(&query("SELECT 1"));
        bench.server(&bytes);
        assert_eq!(bench.released, [Release::Kill(KillReason::OutOfStep)]);
    }
}

#[test]
fn reports_are_passed_until_there_are_more_than_any_server_makes() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT 1"));
    let reports: Vec<_> = (0..1000)
        .map(|n| report("TimeZone", &format!("UTC-{n}")))
        .collect();
    assert!(bench
        .server(&concat(&reports))
        .ends_with("S:TimeZone=UTC-999"));
    let reports: Vec<_> = (0..200).map(|n| report(&format!("p{n}"), "x")).collect();
    bench.server(&concat(&reports));
    assert_eq!(bench.released, [Release::Kill(KillReason::OutOfStep)]);
}

#[test]
fn a_sync_with_nothing_before_it_needs_no_backend() {
    let mut bench = Bench::new();
    assert_eq!(bench.client(&concat(&[sync(), flush(), bare(b'c')])), "");
    assert_eq!(bench.told(), "Z:I");
}

#[test]
fn a_read_only_error_doubts_the_writer_and_is_passed_on() {
    let mut bench = Bench::new();
    bench.client(&query("INSERT INTO t VALUES (1)"));
    assert_eq!(
        bench.server(&concat(&[error("ERROR", "25006"), ready(b'I')])),
        "E:25006 Z:I"
    );
    assert_eq!(bench.notes, [Note::WriterDoubted]);
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_read_only_error_of_a_server_that_is_no_standby_doubts_nothing() {
    let mut bench = Bench::new();
    bench.idle = vec![link_with(&[("in_hot_standby", "off")])];
    bench.client(&query(
        "SET TRANSACTION READ ONLY; INSERT INTO t VALUES (1)",
    ));
    assert_eq!(
        bench.server(&concat(&[error("ERROR", "25006"), ready(b'I')])),
        "E:25006 Z:I"
    );
    assert_eq!(bench.notes, []);
}

#[test]
fn a_read_only_error_of_a_standby_doubts_the_writer() {
    let mut bench = Bench::new();
    bench.idle = vec![link_with(&[("in_hot_standby", "on")])];
    bench.client(&query("INSERT INTO t VALUES (1)"));
    bench.server(&concat(&[error("ERROR", "25006"), ready(b'I')]));
    assert_eq!(bench.notes, [Note::WriterDoubted]);
}

#[test]
fn a_fatal_error_is_passed_on_verbatim() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT 1"));
    assert_eq!(bench.server(&error("FATAL", "25P03")), "E:25P03");
    assert_eq!(bench.closed, Some(CloseReason::BackendFatal));
}

#[test]
fn a_backend_that_says_goodbye_behind_its_answer_is_lent_to_nobody() {
    let mut bench = Bench::new();
    bench.client(&query("INSERT INTO t VALUES (1)"));
    let answer = concat(&[complete("INSERT 0 1"), ready(b'I')]);
    let both = concat(&[answer, error("FATAL", "57P01")]);
    assert_eq!(bench.server(&both), "C:INSERT 0 1 Z:I");
    assert_eq!(bench.released, [Release::Kill(KillReason::ServerClosed)]);
    assert_eq!(bench.notes, [Note::WriterDoubted]);
    assert_eq!(bench.outcomes, [dbproxy_engine::Outcome::Stays]);
    bench.idle = vec![link()];
    assert_eq!(bench.client(&query("SELECT 1")), "Q:SELECT 1");
}

#[test]
fn a_backend_that_speaks_out_of_turn_behind_its_answer_is_lent_to_nobody() {
    for more in [
        report("TimeZone", "UTC"),
        message(b'A', b"\0\0\0\x01ch\0x\0"),
        vec![b'E'],
        vec![b'N', 0, 0, 0, 50],
    ] {
        let mut bench = Bench::new();
        bench.client(&query("SELECT 1"));
        let both = concat(&[complete("SELECT 1"), ready(b'I'), more]);
        assert_eq!(bench.server(&both), "C:SELECT 1 Z:I");
        assert_eq!(bench.released, [Release::Kill(KillReason::SpokeWhileIdle)]);
        assert_eq!(bench.closed, None);
    }
}

#[test]
fn no_more_requests_are_forwarded_than_a_bounded_number_unanswered() {
    let mut bench = Bench::new();
    let count = |bytes: &[u8]| show(bytes).matches("Q:").count();
    bench.client(&query("SELECT 1").repeat(5000));
    assert_eq!(count(&bench.to_server), 1024);
    let answer = concat(&[complete("SELECT 1"), ready(b'I')]);
    bench.to_server.clear();
    bench.server(&answer.repeat(24));
    assert_eq!(count(&bench.to_server), 24);
    assert_eq!(bench.link.as_ref().unwrap().outstanding(), 1024);
}

#[test]
fn data_go_on_to_a_copy_behind_any_number_of_requests() {
    let mut bench = Bench::new();
    let requests = concat(&[query("COPY t FROM STDIN"), sync().repeat(2000)]);
    let data = concat(&[message(b'd', b"1\n"), bare(b'c')]);
    bench.client(&concat(&[requests, data]));
    bench.server(&message(b'G', &[0; 3]));
    assert!(show(&bench.to_server).ends_with("S d c"));
}
