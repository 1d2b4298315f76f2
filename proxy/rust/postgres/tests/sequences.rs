//! `currval` and `lastval` on shared backends: a client is shown its own values or none.

mod common;

use common::prepared::parsed;
use common::*;
use dbproxy_engine::{KillReason, Link as _, PinReason, Release, Session as _, Steps};
use dbproxy_postgres::Session;

/// What the server answers to a DISCARD SEQUENCES.
fn discarded() -> Vec<u8> {
    concat(&[complete("DISCARD SEQUENCES"), ready(b'I')])
}

/// Client 2, who finds a backend on which client 1 moved sequences.
fn behind_another() -> Bench {
    let mut first = Bench::named("", 1);
    first.client(&query("INSERT INTO t VALUES (1)"));
    first.server(&concat(&[complete("INSERT 0 1"), ready(b'I')]));
    let mut second = Bench::named("", 2);
    second.idle = first.idle;
    second
}

/// The same, and client 2 has moved some as well, in an earlier transaction.
fn among_others() -> Bench {
    let mut second = behind_another();
    assert_eq!(
        second.client(&query("INSERT INTO t VALUES (2)")),
        "Q:INSERT INTO t VALUES (2)",
        "a statement of its own is all that its client says of this backend"
    );
    second.server(&concat(&[complete("INSERT 0 1"), ready(b'I')]));
    assert_eq!(second.released, [Release::Clean]);
    second
}

#[test]
fn sequences_of_others_are_discarded_before_currval() {
    let mut second = behind_another();
    assert_eq!(
        second.client(&query("SELECT lastval()")),
        "Q:DISCARD SEQUENCES Q:SELECT lastval()"
    );
    let reply = concat(&[discarded(), error("ERROR", "55000"), ready(b'I')]);
    assert_eq!(second.server(&reply), "E:55000 Z:I");
    assert_eq!(second.pin(), Some(PinReason::SequenceState));
}

#[test]
fn its_own_sequences_are_not_discarded() {
    let mut own = Bench::named("", 1);
    own.client(&query("INSERT INTO t VALUES (1)"));
    own.server(&concat(&[complete("INSERT 0 1"), ready(b'I')]));
    assert_eq!(own.client(&query("SELECT lastval()")), "Q:SELECT lastval()");
}

#[test]
fn a_transaction_begins_without_the_values_of_others() {
    for mut second in [behind_another(), among_others()] {
        assert_eq!(
            second.client(&query("BEGIN")),
            "Q:DISCARD SEQUENCES Q:BEGIN"
        );
        let reply = concat(&[discarded(), complete("BEGIN"), ready(b'T')]);
        assert_eq!(second.server(&reply), "C:BEGIN Z:T");
        // A change of another table moves nothing that is asked for then.
        second.client(&query("UPDATE t SET a = 1"));
        second.server(&concat(&[complete("UPDATE 1"), ready(b'T')]));
        assert_eq!(
            second.client(&query("SELECT lastval()")),
            "Q:SELECT lastval()",
            "what it moved in this transaction is there, and nothing else"
        );
    }
}

#[test]
fn a_transaction_on_a_backend_without_others_values_begins_as_it_is() {
    let mut own = Bench::named("", 1);
    own.client(&query("INSERT INTO t VALUES (1)"));
    own.server(&concat(&[complete("INSERT 0 1"), ready(b'I')]));
    assert_eq!(own.client(&query("BEGIN")), "Q:BEGIN");
}

#[test]
fn values_of_before_are_not_its_own_because_it_wrote_since() {
    let mut second = among_others();
    assert_eq!(
        second.client(&query("SELECT currval('s')")),
        "Q:DISCARD SEQUENCES Q:SELECT currval('s')"
    );
}

#[test]
fn a_discard_that_fails_is_not_believed() {
    let mut second = behind_another();
    // The batch is open and partly read: nothing can be put in front of its BEGIN.
    second.client(&concat(&[run("SELECT 1"), flush()]));
    second.server(&concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1")]));
    second.client(&concat(&[run("BEGIN"), sync()]));
    second.server(&concat(&[
        bare(b'1'),
        bare(b'2'),
        complete("BEGIN"),
        ready(b'T'),
    ]));
    // It fails before the discard is read.
    let batch = concat(&[run("SELECT 1"), run("SELECT lastval()"), sync()]);
    assert_eq!(
        second.client(&concat(&[query("SELECT 1/0"), batch])),
        "Q:SELECT 1/0 Q:DISCARD SEQUENCES P B E P B E S"
    );
    let failed = || concat(&[error("ERROR", "25P02"), ready(b'E')]);
    let reply = concat(&[error("ERROR", "22012"), ready(b'E'), failed(), failed()]);
    assert_eq!(second.server(&reply), "E:22012 Z:E E:25P02 Z:E");
    second.client(&query("ROLLBACK"));
    second.server(&concat(&[complete("ROLLBACK"), ready(b'I')]));
    assert_eq!(
        second.client(&query("SELECT lastval()")),
        "Q:DISCARD SEQUENCES Q:SELECT lastval()"
    );
}

#[test]
fn in_a_failed_transaction_nothing_is_discarded() {
    let mut second = behind_another();
    second.client(&concat(&[run("SELECT 1"), flush()]));
    second.server(&concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1")]));
    second.client(&concat(&[run("BEGIN"), run("SELECT 1/0"), sync()]));
    second.server(&concat(&[
        bare(b'1'),
        bare(b'2'),
        complete("BEGIN"),
        bare(b'1'),
        error("ERROR", "22012"),
        ready(b'E'),
    ]));
    assert_eq!(
        second.client(&query("SELECT lastval()")),
        "Q:SELECT lastval()"
    );
    second.server(&concat(&[error("ERROR", "25P02"), ready(b'E')]));
    second.client(&query("ROLLBACK"));
    second.server(&concat(&[complete("ROLLBACK"), ready(b'I')]));
    assert_eq!(
        second.client(&query("SELECT lastval()")),
        "Q:DISCARD SEQUENCES Q:SELECT lastval()"
    );
}

#[test]
fn a_pinned_client_moves_sequences_where_no_other_did() {
    let mut second = behind_another();
    second.client(&query("DECLARE c CURSOR WITH HOLD FOR SELECT 1"));
    second.server(&concat(&[complete("SET"), ready(b'I')]));
    assert_eq!(
        second.client(&query("INSERT INTO t VALUES (2)")),
        "Q:DISCARD SEQUENCES Q:INSERT INTO t VALUES (2)"
    );
    let reply = concat(&[discarded(), complete("INSERT 0 1"), ready(b'I')]);
    assert_eq!(second.server(&reply), "C:INSERT 0 1 Z:I");
    assert_eq!(
        second.client(&query("SELECT lastval()")),
        "Q:SELECT lastval()"
    );
}

#[test]
fn a_change_with_more_behind_it_is_made_where_no_other_did() {
    let mut second = behind_another();
    assert_eq!(
        second.client(&concat(&[
            run("INSERT INTO t VALUES (2)"),
            run("SELECT lastval()"),
            sync(),
            query("SELECT lastval()"),
        ])),
        "Q:DISCARD SEQUENCES P B E P B E S Q:SELECT lastval()"
    );
}

#[test]
fn a_change_of_its_own_is_sent_as_it_is() {
    let mut second = behind_another();
    let batch = concat(&[run("INSERT INTO t VALUES (2)"), sync()]);
    assert_eq!(second.client(&batch), "P B E S");
}

#[test]
fn what_a_function_asks_for_is_not_anothers_either() {
    let mut second = behind_another();
    assert_eq!(
        second.client(&query("SELECT last_of_mine()")),
        "Q:DISCARD SEQUENCES Q:SELECT last_of_mine()"
    );
    // currval by its number.
    let mut second = behind_another();
    assert_eq!(
        second.client(&message(b'F', &[0, 0, 6, 39, 0, 0, 0, 0, 0, 0])),
        "Q:DISCARD SEQUENCES F"
    );
}

#[test]
fn currval_in_the_middle_of_a_batch_discards_before_the_batch() {
    let mut second = behind_another();
    assert_eq!(
        second.client(&concat(&[
            run("SELECT 1"),
            run("SELECT currval('s')"),
            sync()
        ])),
        "Q:DISCARD SEQUENCES P B E P B E S"
    );
}

#[test]
fn a_begin_in_the_middle_of_a_batch_takes_nothing_from_it() {
    let mut second = behind_another();
    second.client(&concat(&[parse("", "SELECT 1"), sync()]));
    second.server(&concat(&[parsed(&[], &["a"]), ready(b'I')]));
    // The batch begins with the statement that a query in front of it would destroy.
    let batch = concat(&[bind("", ""), execute(""), run("BEGIN"), sync()]);
    assert_eq!(second.client(&batch), "B E P B E S");
}

#[test]
fn a_pinned_client_keeps_the_unnamed_statement_that_is_not_remembered() {
    let mut second = behind_another();
    second.client(&query("DECLARE c CURSOR WITH HOLD FOR SELECT 1"));
    second.server(&concat(&[complete("SET"), ready(b'I')]));
    let long = format!("SELECT '{}'", "x".repeat(20_000));
    second.client(&concat(&[parse("", &long), sync()]));
    second.server(&concat(&[bare(b'1'), ready(b'I')]));
    let named = concat(&[parse("s", "INSERT INTO t VALUES (2)"), sync()]);
    assert_eq!(second.client(&named), "P:s S");
    second.server(&concat(&[bare(b'1'), ready(b'I')]));
    let again = concat(&[bind("", ""), execute(""), sync()]);
    assert_eq!(second.client(&again), "B E S");
}

#[test]
fn currval_behind_a_flush_on_anothers_backend_is_given_up() {
    let mut second = behind_another();
    second.client(&concat(&[run("SELECT 1"), flush()]));
    second.server(&concat(&[bare(b'1'), bare(b'2'), complete("SELECT 1")]));
    second.told();
    second.client(&concat(&[run("SELECT currval('s')"), sync()]));
    assert_eq!(second.released, [Release::Kill(KillReason::Ambiguous)]);
    assert_eq!(second.told(), "E:40001 Z:I");
    assert_eq!(second.closed, None);
}

#[test]
fn a_reset_backend_has_nobodys_values() {
    let mut second = behind_another();
    let mut link = second.idle.pop().unwrap();
    link.reset(None, &mut Vec::new());
    let bytes = concat(&[complete("DISCARD ALL"), ready(b'I')]);
    <Session as dbproxy_engine::Session>::feed_server(None, &mut link, &bytes, &mut Steps::new());
    second.idle.push(link);
    assert_eq!(second.client(&query("BEGIN")), "Q:BEGIN");
}

#[test]
fn data_sent_ahead_stay_with_their_copy_when_a_discard_follows() {
    let mut second = behind_another();
    let copy = concat(&[
        query("COPY t FROM STDIN"),
        message(b'd', b"1\n"),
        bare(b'c'),
    ]);
    let answer = concat(&[complete("COPY 1"), ready(b'I')]);
    second.client(&copy);
    assert_eq!(
        second.client(&query("LOAD 'x'")),
        "Q:DISCARD SEQUENCES Q:LOAD 'x'"
    );
    assert_eq!(second.server(&message(b'G', &[0; 3])), "G");
    assert_eq!(second.server(&answer), "C:COPY 1 Z:I");
    let listening = concat(&[discarded(), complete("LOAD"), ready(b'I')]);
    assert_eq!(second.server(&listening), "C:LOAD Z:I");
    assert_eq!(second.released, []);
}

#[test]
fn a_begin_behind_what_steers_waits_until_it_is_known_whether_it_begins() {
    let mut second = behind_another();
    // In a transaction, a query of the proxy's own would keep the level from being set.
    let level = query("BEGIN ISOLATION LEVEL SERIALIZABLE");
    let requests = concat(&[query("COMMIT AND CHAIN"), level]);
    assert_eq!(second.client(&requests), "Q:COMMIT AND CHAIN");
    second.server(&concat(&[complete("COMMIT"), ready(b'T')]));
    assert_eq!(
        show(&second.to_server),
        "Q:COMMIT AND CHAIN Q:BEGIN ISOLATION LEVEL SERIALIZABLE"
    );
}

/// Client 2, whose unnamed statement is on another backend than the one that it gets.
fn behind_another_with_a_statement() -> Bench {
    let mut second = Bench::named("", 2);
    second.client(&concat(&[run("SELECT 1"), sync()]));
    second.server(&reply(b'I'));
    second.idle = behind_another().idle;
    second
}

#[test]
fn sequences_are_discarded_before_a_batch_and_before_what_was_put_into_it() {
    let mut second = behind_another_with_a_statement();
    let batch = concat(&[bind("", ""), execute(""), run("SELECT lastval()"), sync()]);
    assert_eq!(second.client(&batch), "Q:DISCARD SEQUENCES P B E P B E S");
    second.released.clear();
    let first = [discarded(), bare(b'1'), bare(b'2'), complete("SELECT 1")];
    assert_eq!(second.server(&concat(&first)), "2 C:SELECT 1");
    let rest = [bare(b'1'), bare(b'2'), error("ERROR", "55000"), ready(b'I')];
    assert_eq!(second.server(&concat(&rest)), "1 2 E:55000 Z:I");
    assert_eq!(second.released, []);
}

#[test]
fn discarding_sequences_takes_no_unnamed_statement_from_the_batch() {
    let mut first = Bench::named("", 1);
    first.client(&concat(&[run("SELECT 1"), sync()]));
    first.server(&reply(b'I'));
    let mut second = Bench::named("", 2);
    second.idle = std::mem::take(&mut first.idle);
    // lo_creat: it moves sequences, and leaves the statement.
    second.client(&message(b'F', &[0, 0, 3, 189, 0, 0, 0, 0, 0, 0]));
    second.server(&concat(&[message(b'V', &[0, 0, 0, 0]), ready(b'I')]));
    assert_eq!(second.released, [Release::Clean]);
    first.idle = std::mem::take(&mut second.idle);
    let batch = concat(&[bind("", ""), execute(""), run("SELECT lastval()"), sync()]);
    assert_eq!(first.client(&batch), "Q:DISCARD SEQUENCES P B E P B E S");
}

#[test]
fn a_batch_that_comes_in_parts_has_others_values_discarded_before_it() {
    let mut bench = Bench::named("", 2);
    bench.idle.clear();
    let mut link = behind_another().idle.remove(0);
    bench.session.attach(&mut link, &mut Steps::new());
    bench.link = Some(link);
    let part = bench.client(&parse("", "SELECT 1"));
    assert_eq!(part, "Q:DISCARD SEQUENCES P");
    assert_eq!(bench.client(&run("SELECT lastval()")), "P B E");
}

#[test]
fn a_text_that_waits_is_not_looked_at_before_all_in_front_of_it_is_answered() {
    let mut bench = Bench::named("", 2);
    bench.idle = behind_another().idle;
    let before = concat(&[query("SELECT 1").repeat(2), query("COMMIT")]);
    bench.client(&concat(&[before, query("SELECT lastval()")]));
    assert_eq!(show(&bench.client_input), "Q:SELECT lastval()");
    // It stands for what would go on at once if it were looked at.
    bench.client_input = sync();
    let answer = |tag| concat(&[complete(tag), ready(b'I')]);
    bench.server(&answer("SELECT 1"));
    bench.server(&answer("SELECT 1"));
    assert_eq!(show(&bench.client_input), "S");
    bench.server(&answer("COMMIT"));
    assert_eq!(show(&bench.client_input), "");
}
