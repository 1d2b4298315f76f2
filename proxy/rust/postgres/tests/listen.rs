//! Who listens is told the end of an answer when it has heard what was said before, and shares the
//! connection that listens for it.

mod common;

use common::heard::*;
use common::prepared::*;
use common::*;
use dbproxy_engine::{Channels, CloseReason, Link as _, Outcome, PinReason, Release, Session as _};

/// A client for which an ear listens to `a`.
fn listener() -> Bench {
    let mut bench = Bench::new();
    does(&mut bench, "LISTEN a", "LISTEN");
    assert_eq!(bench.attended(), "Z:I");
    bench.released.clear();
    bench.attention = None;
    bench.idle = vec![link()];
    bench.told();
    bench
}

/// Says something that is answered at once.
fn does(bench: &mut Bench, sql: &str, tag: &str) -> String {
    bench.client(&query(sql));
    bench.server(&concat(&[complete(tag), ready(b'I')]))
}

/// What isn't for it any more.
fn gone(bench: &Bench) -> Channels {
    let attention = bench.attention.as_ref();
    attention
        .map(|attention| attention.gone.clone())
        .expect("it attends")
}

/// What it waits to listen to.
fn asks(bench: &Bench) -> Option<Channels> {
    let attention = bench.attention.as_ref().expect("it attends");
    attention.channels.clone()
}

#[test]
fn what_listens_is_over_when_an_ear_does() {
    let mut bench = Bench::new();
    assert_eq!(does(&mut bench, "LISTEN a", "LISTEN"), "C:LISTEN");
    assert_eq!(asks(&bench), Some(channels(&["a"])));
    let attention = bench.attention.as_ref().expect("it attends");
    assert!(attention.may_tune && attention.tells && attention.foreign == Some(false));
    assert_eq!(bench.released, [Release::Reset]);
    assert!(!bench.session.at_boundary());
    // What it says meanwhile waits.
    assert_eq!(bench.client(&query("SELECT 1")), "");
    bench.idle = vec![link()];
    assert_eq!(bench.attended(), "Z:I");
    assert_eq!(show(&bench.to_server), "Q:SELECT 1");
    assert_eq!(bench.pin(), None);
}

#[test]
fn its_backend_is_cleaned_of_no_more_than_that() {
    let mut bench = Bench::new();
    does(&mut bench, "LISTEN a", "LISTEN");
    let mut link = bench.idle.pop().expect("the backend");
    let mut out = Vec::new();
    link.reset(None, &mut out);
    assert_eq!(show(&out), "Q:UNLISTEN *");
    // It is told something still.
    let input = concat(&[notification("a", "x"), complete("UNLISTEN"), ready(b'I')]);
    let mut steps = Vec::new();
    let used = dbproxy_postgres::Session::feed_server(None, &mut link, &input, &mut steps);
    assert_eq!(used, input.len());
    assert_eq!(steps, [dbproxy_engine::Step::Release(Release::Clean)]);
}

#[test]
fn every_answer_outside_of_a_transaction_waits_for_what_was_said_before() {
    let mut bench = listener();
    assert_eq!(does(&mut bench, "SELECT 1", "SELECT 1"), "C:SELECT 1");
    assert_eq!(asks(&bench), None);
    assert_eq!(bench.released, [Release::Clean]);
    assert_eq!(bench.attended(), "Z:I");
}

#[test]
fn so_does_what_the_proxy_answers_by_itself() {
    let mut bench = listener();
    bench.client(&concat(&[sync(), query("SELECT 1")]));
    assert_eq!(bench.told(), "");
    assert_eq!(bench.to_server, b"", "one request after the other");
    assert_eq!(bench.attended(), "Z:I");
    assert_eq!(show(&bench.to_server), "Q:SELECT 1");
}

#[test]
fn so_do_the_ends_of_a_transaction_that_is_lost() {
    for (told, end) in [
        (false, query("ROLLBACK")),
        (false, query("COMMIT")),
        (true, query("COMMIT")),
        (true, concat(&[run("COMMIT"), sync()])),
    ] {
        let mut bench = listener();
        bench.client(&query("BEGIN"));
        bench.attended();
        let shown = concat(&[complete("LISTEN"), ready(b'I')]);
        bench.server(&concat(&[shown, complete("BEGIN"), ready(b'T')]));
        if told {
            bench.client(&query("SELECT 1"));
        }
        bench.lose();
        bench.told();
        bench.client(&end);
        let answer = bench.told();
        assert!(!answer.contains('Z'), "{answer}");
        assert_eq!(bench.attended(), "Z:I", "{answer}");
    }
}

#[test]
fn so_does_the_end_of_a_commit_that_is_lost() {
    let mut bench = listener();
    bench.client(&query("SELECT 1"));
    bench.lose();
    assert_eq!(bench.told(), "E:40001");
    assert_eq!(bench.attended(), "Z:I");
}

#[test]
fn a_transaction_begins_when_what_was_said_before_is_heard() {
    let mut bench = listener();
    assert_eq!(bench.client(&query("BEGIN")), "");
    assert_eq!(bench.attended(), "");
    let shown = "Q:LISTEN \"a\"; Q:BEGIN";
    assert_eq!(show(&bench.to_server), shown);
    bench.server(&concat(&[complete("LISTEN"), ready(b'I')]));
    let begun = concat(&[complete("BEGIN"), ready(b'T')]);
    assert_eq!(bench.server(&begun), "C:BEGIN Z:T");
    bench.client(&query("UNLISTEN a"));
    let answer = concat(&[complete("UNLISTEN"), ready(b'T')]);
    assert_eq!(bench.server(&answer), "C:UNLISTEN Z:T");
    assert_eq!(does(&mut bench, "COMMIT", "COMMIT"), "C:COMMIT");
    assert_eq!(asks(&bench), Some(channels(&[])));
    assert_eq!(gone(&bench), channels(&["a"]));
    assert_eq!(bench.attended(), "Z:I");
    bench.idle = vec![link()];
    assert_eq!(does(&mut bench, "SELECT 1", "SELECT 1"), "C:SELECT 1 Z:I");
}

#[test]
fn what_it_begins_to_listen_to_its_ear_hears_before_anybody_may_know() {
    let mut bench = listener();
    assert_eq!(bench.client(&query("LISTEN b; NOTIFY b")), "");
    assert_eq!(asks(&bench), Some(channels(&["a", "b"])));
    assert_eq!(bench.attended(), "");
    assert_eq!(show(&bench.to_server), "Q:LISTEN b; NOTIFY b");
    let tags = ["LISTEN", "NOTIFY"].map(complete).concat();
    // Its ear tells it that.
    let answer = concat(&[tags, notification("b", "x"), ready(b'I')]);
    assert_eq!(bench.server(&answer), "C:LISTEN C:NOTIFY");
    assert_eq!((asks(&bench), gone(&bench)), (None, channels(&[])));
    assert_eq!(bench.attended(), "Z:I");
    assert_eq!(bench.pin(), None);
}

#[test]
fn what_is_undone_its_ear_ceases_to_listen_to() {
    let mut bench = listener();
    bench.client(&query("BEGIN"));
    bench.attended();
    bench.server(&concat(&[complete("LISTEN"), ready(b'I')]));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    assert_eq!(bench.client(&query("LISTEN b")), "");
    let attention = bench.attention.as_ref().expect("it attends");
    assert!(!attention.tells, "it is in a transaction");
    bench.attended();
    bench.server(&concat(&[complete("LISTEN"), ready(b'T')]));
    assert_eq!(does(&mut bench, "ROLLBACK", "ROLLBACK"), "C:ROLLBACK");
    assert_eq!(asks(&bench), Some(channels(&["a"])));
    assert_eq!(gone(&bench), channels(&["b"]));
}

#[test]
fn its_backend_may_owe_something_of_the_proxys_own() {
    let mut bench = listener();
    bench.client(&query("PREPARE p AS SELECT 1"));
    let answer = concat(&[complete("PREPARE"), ready(b'I')]);
    assert_eq!(bench.server(&answer), "C:PREPARE");
    assert_eq!(bench.attended(), "Z:I");
    assert!(bench.released.is_empty() && bench.closed.is_none());
    // What that is comes in one piece with the answer, or not.
    let mut bench = listener();
    bench.client(&query("PREPARE p AS SELECT 1"));
    let learnt = concat(&[message(b't', &[0, 0]), bare(b'n'), ready(b'I')]);
    bench.server(&concat(&[complete("PREPARE"), ready(b'I'), learnt]));
    assert!(
        bench.server_input.is_empty(),
        "{}",
        show(&bench.server_input)
    );
}

#[test]
fn nobody_hears_anything_twice_while_it_attends() {
    let mut bench = listener();
    does(&mut bench, "SELECT pg_advisory_lock(1)", "SELECT 1");
    bench.server(&concat(&[
        ["SELECT 1", "SELECT 0"].map(complete).concat(),
        ready(b'I'),
    ]));
    bench.attended();
    bench.client(&query("LISTEN b"));
    bench.attended();
    bench.to_server.clear();
    bench.server(&concat(&[complete("LISTEN"), ready(b'I')]));
    assert!(bench.session.pinned());
    assert_eq!(bench.server(&notification("b", "x")), "");
    bench.attended();
    assert_eq!(bench.server(&notification("b", "x")), "");
}

#[test]
fn its_requests_go_one_by_one() {
    let mut bench = listener();
    let both = concat(&[query("SELECT 1"), query("SELECT 2")]);
    assert_eq!(bench.client(&both), "Q:SELECT 1");
    bench.idle.push(link());
    let answer = concat(&[complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&answer), "C:SELECT 1");
    bench.to_server.clear();
    assert_eq!(bench.attended(), "Z:I");
    assert_eq!(show(&bench.to_server), "Q:SELECT 2");
}

#[test]
fn what_comes_behind_its_first_waits_for_it() {
    let mut bench = Bench::new();
    let both = concat(&[query("LISTEN a"), query("SELECT 2")]);
    assert_eq!(bench.client(&both), "Q:LISTEN a");
}

#[test]
fn what_is_undone_listens_to_nothing() {
    let mut bench = Bench::new();
    bench.client(&query("LISTEN a; SELECT 1/0"));
    let failed = concat(&[complete("LISTEN"), error("ERROR", "22012"), ready(b'I')]);
    assert_eq!(bench.server(&failed), "C:LISTEN E:22012 Z:I");
    assert_eq!(bench.attention, None);
    let mut bench = Bench::in_transaction();
    bench.client(&query("SAVEPOINT s; LISTEN a; ROLLBACK TO s; LISTEN b"));
    let tags = ["SAVEPOINT", "LISTEN", "ROLLBACK", "LISTEN"].map(complete);
    bench.server(&concat(&[tags.concat(), ready(b'T')]));
    assert_eq!(bench.pin(), Some(PinReason::Listen));
    assert_eq!(does(&mut bench, "COMMIT", "COMMIT"), "C:COMMIT Z:I");
}

#[test]
fn a_commit_that_is_none_listens_to_nothing() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("LISTEN a"));
    bench.server(&concat(&[complete("LISTEN"), ready(b'T')]));
    assert_eq!(does(&mut bench, "COMMIT", "ROLLBACK"), "C:ROLLBACK Z:I");
    assert_eq!(bench.attention, None);
    assert!(show(&bench.to_server).contains("pg_listening_channels"));
}

#[test]
fn where_others_may_know_already_its_own_backend_goes_on_to_listen() {
    let mut bench = Bench::new();
    bench.client(&query("NOTIFY b; LISTEN b"));
    assert_eq!(bench.pin(), Some(PinReason::Listen));
    let tags = ["NOTIFY", "LISTEN"].map(complete).concat();
    let answer = concat(&[tags, notification("b", "x"), ready(b'I')]);
    assert_eq!(bench.server(&answer), "C:NOTIFY C:LISTEN A Z:I");
    assert!(bench.released.is_empty() && bench.attention.is_none());
    // As long as it does, for whatever comes too.
    assert_eq!(does(&mut bench, "LISTEN a", "LISTEN"), "C:LISTEN Z:I");
    assert_eq!(bench.attention, None);
}

#[test]
fn what_its_own_backend_says_first_is_told_if_that_goes_on_to_listen() {
    for alone in [false, true] {
        let mut bench = Bench::new();
        bench.alone = alone;
        bench.client(&query("LISTEN a"));
        let answer = concat(&[complete("LISTEN"), notification("a", "x"), ready(b'I')]);
        let told = if alone { "C:LISTEN A Z:I" } else { "C:LISTEN" };
        assert_eq!(bench.server(&answer), told);
    }
}

#[test]
fn who_can_join_nobody_pins_until_it_ceases() {
    let mut bench = Bench::new();
    bench.alone = true;
    assert_eq!(does(&mut bench, "LISTEN a", "LISTEN"), "C:LISTEN Z:I");
    assert_eq!(bench.pin(), Some(PinReason::Listen));
    assert!(bench.session.pinned() && bench.released.is_empty());
    assert_eq!(bench.server(&notification("a", "x")), "A");
    assert_eq!(
        bench.lose(),
        Outcome::Closes(CloseReason::PinnedBackendLost)
    );
}

#[test]
fn nobody_hears_what_another_listened_to() {
    let mut bench = Bench::new();
    bench.client(&query("SELECT 1"));
    let answer = concat(&[notification("a", "x"), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.server(&answer), "C:SELECT 1 Z:I");
    assert_eq!(bench.released, [Release::Reset]);
}

#[test]
fn nobody_hears_anything_twice() {
    let mut bench = listener();
    bench.client(&query("LISTEN a"));
    bench.attended();
    let answer = concat(&[complete("LISTEN"), notification("a", "x"), ready(b'I')]);
    assert_eq!(bench.server(&answer), "C:LISTEN");
    assert_eq!(asks(&bench), None);
}

#[test]
fn what_ceases_to_listen_waits_for_what_was_said_before() {
    let batch = concat(&[run("NOTIFY a"), run("UNLISTEN a"), sync()]);
    for request in [query("UNLISTEN a; NOTIFY a"), batch] {
        let mut bench = listener();
        assert_eq!(bench.client(&request), "");
        assert!(bench
            .attention
            .take()
            .is_some_and(|attention| attention.tells));
        assert_eq!(bench.attended(), "");
        assert_eq!(bench.to_server, request);
    }
}

#[test]
fn its_channels_are_shown_where_it_may_ask_for_them() {
    let mut bench = listener();
    assert_eq!(
        bench.client(&query("SELECT pg_listening_channels()")),
        "Q:LISTEN \"a\"; Q:SELECT pg_listening_channels()"
    );
    bench.server(&concat(&[complete("LISTEN"), ready(b'I')]));
    bench.server(&concat(&[complete("SELECT 1"), ready(b'I')]));
    assert_eq!(bench.released, [Release::Reset]);
}

#[test]
fn its_channels_are_shown_before_a_batch_that_waits_for_a_statement_is_sent_in_part() {
    let mut bench = listener();
    bench.client(&concat(&[
        parse("s1", "SELECT pg_listening_channels()"),
        sync(),
    ]));
    assert_eq!(bench.attended(), "", "what was said before the request");
    let shown = concat(&[complete("LISTEN"), ready(b'I')]);
    bench.server(&concat(&[shown.clone(), parsed(&[], &["a"]), ready(b'I')]));
    assert_eq!(bench.attended(), "Z:I");
    bench.idle = vec![link()];
    let uses = [describe("Ss1"), bind("", "s1"), execute(""), sync()];
    bench.client(&concat(&uses));
    assert_eq!(
        named(&bench.to_server),
        "Q:LISTEN \"a\"; P:dbproxy:1 D:S:dbproxy:1 H"
    );
    bench.server(&concat(&[shown, parsed(&[], &["a"])]));
    assert_eq!(tail(&bench, "H "), "D:S:dbproxy:1 B::dbproxy:1 E: S");
}

#[test]
fn a_backend_that_is_lost_before_its_client_knows_takes_the_listening_along() {
    let mut bench = Bench::in_transaction();
    bench.client(&query("LISTEN a; COMMIT AND CHAIN"));
    let tags = ["LISTEN", "COMMIT"].map(complete).concat();
    bench.server(&concat(&[tags, ready(b'T')]));
    assert_eq!(
        bench.lose(),
        Outcome::Closes(CloseReason::PinnedBackendLost)
    );
}
