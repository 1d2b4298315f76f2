//! The extended protocol: batches and pipelines. (Statements: `prepared.rs`, `unnamed.rs`.)

mod common;

use common::*;
use dbproxy_engine::{CloseReason, Release};

#[test]
fn a_batch_goes_as_one_and_frees_the_backend_at_its_sync() {
    let mut bench = Bench::new();
    let batch = concat(&[run("SELECT $1"), sync()]);
    assert_eq!(bench.client(&run("SELECT $1")), "");
    bench.client(&sync());
    assert_eq!(bench.to_server, batch);
    assert_eq!(bench.server(&reply(b'I')), "1 2 C:SELECT 1 Z:I");
    assert_eq!(bench.released, [Release::Clean]);
    assert_eq!(bench.pin(), None);
}

#[test]
fn syncs_are_counted_when_a_step_fails() {
    let mut bench = Bench::new();
    let batch = concat(&[run("SELECT 1"), sync()]);
    bench.client(&concat(&[batch.clone(), batch.clone(), batch]));
    bench.server(&reply(b'I'));
    assert_eq!(
        bench.server(&concat(&[bare(b'1'), error("ERROR", "22012"), ready(b'I')])),
        "1 E:22012 Z:I"
    );
    assert!(bench.released.is_empty());
    bench.server(&reply(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn nothing_is_released_while_messages_follow_the_last_sync() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync(), run("SELECT 2")]));
    bench.server(&reply(b'I'));
    assert!(bench.released.is_empty());
    bench.client(&sync());
    bench.server(&reply(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn a_flush_is_a_request_too() {
    let mut bench = Bench::new();
    bench.client(&concat(&[parse("", "SELECT 1"), describe("S"), flush()]));
    assert_eq!(
        bench.server(&concat(&[bare(b'1'), bare(b't'), bare(b'n')])),
        "1 t n"
    );
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), flush()]));
    assert_eq!(bench.server(&concat(&[bare(b'1'), bare(b'2')])), "1 2");
    bench.client(&sync());
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Clean]);
}

#[test]
fn goodbye_in_a_batch_needs_no_backend() {
    let mut bench = Bench::new();
    assert_eq!(bench.client(&concat(&[run("SELECT 1"), bare(b'X')])), "");
    assert_eq!(bench.closed, Some(CloseReason::ClientLeft));
    assert!(bench.link.is_none());
}

#[test]
fn a_client_that_others_wait_behind_yields_at_a_sync_inside_what_it_sent() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("SELECT 1"), sync()]));
    bench.wanted(true);
    let batch = concat(&[run("SELECT 2"), sync()]);
    bench.client(&concat(&[batch.clone(), batch.clone()]));
    assert_eq!(bench.to_server, b"", "the first one isn't answered yet");
    bench.server(&reply(b'I'));
    assert_eq!(bench.released, [Release::Clean]);
    // It got a backend again, which others want as well.
    assert_eq!(bench.to_server, batch);
    bench.server(&reply(b'I'));
    assert_eq!(bench.released, [Release::Clean, Release::Clean]);
}

#[test]
fn a_client_that_others_wait_behind_is_not_stopped_where_the_server_waits_for_it() {
    for status in [b'T', b'E'] {
        let mut bench = Bench::new();
        bench.client(&query("BEGIN"));
        bench.server(&concat(&[complete("BEGIN"), ready(status)]));
        bench.wanted(true);
        let rest = concat(&[query("SELECT 1"), query("ROLLBACK"), query("SELECT 2")]);
        bench.client(&rest);
        assert_eq!(bench.to_server, rest);
    }
}

#[test]
fn a_pinned_client_is_not_stopped_for_those_that_wait() {
    let mut bench = Bench::new();
    bench.client(&query("LOAD 'x'"));
    bench.server(&concat(&[complete("LOAD"), ready(b'I')]));
    bench.wanted(true);
    let both = concat(&[query("SELECT 1"), query("SELECT 2")]);
    bench.client(&both);
    assert_eq!(bench.to_server, both);
}
