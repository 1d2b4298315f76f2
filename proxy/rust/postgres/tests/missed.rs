//! Statements that a text speaks of and that can't be made for it: their client has them all the same.

mod common;

use common::prepared::*;
use common::*;

/// What the server says of a name that it hasn't.
fn missing(name: &str) -> Vec<u8> {
    let text = format!("prepared statement \"{name}\" does not exist");
    concat(&[error_saying("26000", &text), ready(b'I')])
}

/// A batch of ours has failed.
fn failed() -> Vec<u8> {
    concat(&[error("ERROR", "42P01"), ready(b'I')])
}

/// Another stands for `s1`.
fn stands() -> Vec<u8> {
    concat(&[bare(b'1'), ready(b'I')])
}

/// A client whose text may take `s1` away, before which that can't be made.
fn taker(sql: &str) -> Bench {
    let mut bench = prepared();
    bench.to_server.clear();
    bench.client(&query(sql));
    let making = "P:s1 S P:dbproxy:aside C:S:dbproxy:aside C:S:s1 P:s1 S";
    assert_eq!(named(&bench.to_server), format!("{making} Q:{sql}"));
    bench.to_server.clear();
    bench.server(&concat(&[stands(), failed()]));
    bench
}

/// Whether the client has `s1` still.
fn has(bench: &mut Bench) -> bool {
    bench.client(&concat(&[bind("", "s1"), sync()]));
    named(&bench.to_server).contains("B::dbproxy:1")
}

#[test]
fn a_name_that_the_client_has_not_is_missing() {
    let mut bench = prepared();
    bench.client(&query("EXECUTE s1; EXECUTE s2"));
    let reply = concat(&[failed(), missing("s2")]);
    assert_eq!(bench.server(&reply), "E:26000 Z:I");
}

#[test]
fn a_text_of_the_extended_protocol_is_told_the_reason_too() {
    let mut bench = prepared();
    bench.client(&concat(&[run("EXECUTE s1"), sync()]));
    let ours = concat(&[bare(b'1'), bare(b'2')]);
    let reply = concat(&[failed(), ours, missing("s1")]);
    assert_eq!(bench.server(&reply), "1 2 E:42P01 Z:I");
}

#[test]
fn a_text_of_any_length_finds_the_name_taken() {
    for spaces in 0..256 {
        taker(&format!("DEALLOCATE s1; SELECT{}1", " ".repeat(spaces + 1)));
    }
}

#[test]
fn what_stands_for_a_statement_fails_as_that_does_and_is_put_away() {
    let mut bench = taker("EXECUTE s1; DEALLOCATE s1");
    let mark = "invalid input syntax: \"dbproxy:missed:7331:\"";
    let reply = concat(&[error_saying("22P02", mark), ready(b'I')]);
    assert_eq!(bench.server(&reply), "E:42P01 Z:I");
    assert_eq!(named(&bench.to_server), "C:S:s1 S");
    bench.server(&concat(&[bare(b'3'), ready(b'I')]));
    assert!(has(&mut bench));
}

#[test]
fn what_is_deallocated_in_place_of_a_statement_takes_its_name() {
    let mut bench = taker("SELECT 1; DEALLOCATE s1");
    let ran = concat(&[complete("SELECT 1"), complete("DEALLOCATE"), ready(b'I')]);
    assert_eq!(bench.server(&ran), "C:SELECT 1 C:DEALLOCATE Z:I");
    assert!(!named(&bench.to_server).contains("C:S:s1"));
    assert!(!has(&mut bench));
}

#[test]
fn a_text_that_fails_before_it_deallocates_takes_no_name() {
    let mut bench = taker("SELECT 1; DEALLOCATE s1");
    bench.server(&concat(&[error("ERROR", "22012"), ready(b'I')]));
    assert_eq!(named(&bench.to_server), "C:S:s1 S");
    bench.server(&concat(&[bare(b'3'), ready(b'I')]));
    assert!(has(&mut bench));
}

#[test]
fn what_follows_waits_until_nothing_stands_for_a_statement() {
    let mut bench = taker("SELECT 1; PREPARE s1 AS SELECT 2");
    bench.client(&query("SELECT 2"));
    assert_eq!(named(&bench.to_server), "");
    let refused = concat(&[complete("SELECT 1"), error("ERROR", "42P05"), ready(b'I')]);
    assert_eq!(bench.server(&refused), "C:SELECT 1 E:42P05 Z:I");
    assert_eq!(named(&bench.to_server), "C:S:s1 S");
}

#[test]
fn a_statement_that_can_be_made_takes_the_place_of_what_stood_for_it() {
    let mut bench = prepared();
    bench.client(&query("EXECUTE s1; DEALLOCATE s1"));
    let given_way = [b'1', b'3', b'3', b'1'].map(bare);
    let made = concat(&[stands(), concat(&given_way), ready(b'I')]);
    bench.to_server.clear();
    let ran = concat(&[complete("SELECT 1"), complete("DEALLOCATE"), ready(b'I')]);
    let reply = concat(&[made, ran]);
    assert_eq!(bench.server(&reply), "C:SELECT 1 C:DEALLOCATE Z:I");
    assert!(!named(&bench.to_server).contains("C:S:s1"));
}

#[test]
fn behind_a_failed_transaction_nothing_is_said_to_be_missing() {
    let mut bench = prepared();
    bench.client(&query("SELECT 1; PREPARE other AS SELECT 1"));
    let made = [complete("SELECT 1"), complete("PREPARE"), ready(b'T')];
    bench.server(&concat(&made));
    bench.client(&query("SELECT 1/0"));
    bench.server(&concat(&[error("ERROR", "22012"), ready(b'E')]));
    bench.client(&query("ROLLBACK; EXECUTE s1"));
    let reply = concat(&[complete("ROLLBACK"), missing("s1")]);
    assert_eq!(bench.server(&reply), "C:ROLLBACK E:25P02 Z:I");
}
