//! What a client is told of a statement that runs while its backend is being cut.

mod common;

use common::*;
use dbproxy_engine::{KillReason, Link as _, Release, Session as _};

#[test]
fn a_cut_that_cancels_is_told_as_what_it_is() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("INSERT INTO t VALUES (1)"));
    bench.link.as_mut().unwrap().cut();
    assert_eq!(
        bench.server(&concat(&[error("ERROR", "57014"), ready(b'E')])),
        "E:40001 Z:E"
    );
    assert_eq!(bench.released, [Release::Kill(KillReason::WriterLost)]);
    bench.told();
    bench.client(&query("SELECT 1"));
    assert_eq!(bench.told(), "E:25P02 Z:E");
}

#[test]
fn a_cancelled_change_of_its_own_is_told_as_lost() {
    for text in [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = f()",
        "SELECT f()",
    ] {
        let mut bench = Bench::new();
        bench.client(&query(text));
        bench.link.as_mut().unwrap().cut();
        let reply = concat(&[error("ERROR", "57014"), ready(b'I')]);
        assert_eq!(bench.server(&reply), "E:40001 Z:I", "{text}");
    }
}

#[test]
fn of_what_may_have_committed_on_its_way_nothing_is_said_but_that_it_was_cancelled() {
    for text in [
        "CALL archive_all()",
        "DO $$ BEGIN LOOP COMMIT; END LOOP; END $$",
        "REINDEX TABLE CONCURRENTLY t",
        "VACUUM",
        "CREATE INDEX CONCURRENTLY ON t (a)",
        "BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT pg_sleep(9)",
        "INSERT INTO t VALUES (1); COMMIT; SELECT pg_sleep(9)",
    ] {
        let begun = concat(&[bare(b'1'), bare(b'2')]);
        for (request, begun) in [
            (query(text), Vec::new()),
            (concat(&[run(text), sync()]), begun),
        ] {
            let mut bench = Bench::new();
            bench.client(&request);
            bench.server(&begun);
            bench.link.as_mut().unwrap().cut();
            let reply = concat(&[error("ERROR", "57014"), ready(b'I')]);
            assert_eq!(bench.server(&reply), "E:57014 Z:I", "{text}");
        }
    }
    let mut bench = Bench::in_transaction();
    bench.client(&query("CALL p()"));
    bench.link.as_mut().unwrap().cut();
    let reply = concat(&[error("ERROR", "57014"), ready(b'E')]);
    assert_eq!(bench.server(&reply), "E:40001 Z:E", "it can't commit there");
}

#[test]
fn what_was_cancelled_before_it_was_executed_has_committed_nothing() {
    let mut bench = Bench::new();
    bench.client(&concat(&[run("CALL archive_all()"), sync()]));
    bench.link.as_mut().unwrap().cut();
    let reply = concat(&[error("ERROR", "57014"), ready(b'I')]);
    assert_eq!(bench.server(&reply), "E:40001 Z:I");
}

#[test]
fn a_backend_knows_whether_something_on_it_may_commit() {
    for (text, may) in [
        ("SELECT 1", false),
        ("BEGIN; INSERT INTO t VALUES (1)", false),
        ("INSERT INTO t VALUES (1)", true),
        ("CALL p()", true),
    ] {
        let mut bench = Bench::new();
        bench.client(&query(text));
        assert_eq!(bench.link.unwrap().may_commit(), may, "{text}");
    }
}

#[test]
fn a_cut_that_comes_too_late_changes_nothing() {
    let mut bench = Bench::new();
    bench.client(&query("INSERT INTO t VALUES (1)"));
    bench.link.as_mut().unwrap().cut();
    assert_eq!(
        bench.server(&concat(&[complete("INSERT 0 1"), ready(b'I')])),
        "C:INSERT 0 1 Z:I"
    );
    assert_eq!(bench.released, [Release::Kill(KillReason::WriterLost)]);
    assert_eq!(bench.closed, None);
    assert!(bench.session.at_boundary());
}
