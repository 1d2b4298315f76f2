//! What a cancel strikes that is sent now: the client's request, or what fails in its place.

mod common;

use common::prepared::*;
use common::*;
use dbproxy_engine::{Aim, Link as _, Session as _};

const PREPARE: &str = "PREPARE s AS SELECT 1";

fn aim(bench: &Bench) -> Aim {
    bench.link.as_ref().map_or(Aim::Nothing, |link| link.aim())
}

/// The answers to a PREPARE, and to what is asked behind it.
fn made() -> [Vec<u8>; 2] {
    let learned = concat(&[described(&[], &["a"]), ready(b'I')]);
    [concat(&[complete("PREPARE"), ready(b'I')]), learned]
}

/// A client that has prepared `s` by SQL, in its next transaction.
fn preparer() -> Bench {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    bench.server(&concat(&made()));
    bench.server(&concat(&[bare(b'3'), ready(b'I')]));
    bench.client(&query("BEGIN"));
    bench.server(&concat(&[complete("BEGIN"), ready(b'T')]));
    bench.to_server.clear();
    bench
}

#[test]
fn a_request_of_the_clients_is_struck_whatever_of_ours_stands_behind_it() {
    let mut bench = Bench::new();
    bench.client(&query(PREPARE));
    assert_eq!(aim(&bench), Aim::Request);
    let [made, learned] = made();
    bench.server(&made);
    assert_eq!(aim(&bench), Aim::Ours, "it is asked what that made");
    assert!(!bench.session.is_held());
    bench.client(&query("SELECT 1"));
    assert!(bench.session.is_held());
    bench.server(&learned);
    assert!(bench.session.is_held());
    assert_eq!(aim(&bench), Aim::Ours, "its name is put away");
    bench.server(&concat(&[bare(b'3'), ready(b'I')]));
    assert!(named(&bench.to_server).ends_with(" Q:SELECT 1"));
    assert_eq!(aim(&bench), Aim::Request);
}

#[test]
fn what_is_made_for_an_execute_fails_in_its_place() {
    let mut bench = preparer();
    bench.client(&query("EXECUTE s"));
    assert_eq!(named(&bench.to_server), "P:s D:S:s S");
    assert_eq!(aim(&bench), Aim::Make);
    assert!(bench.session.is_held());
    bench.server(&concat(&[error("ERROR", "57014"), ready(b'E')]));
    assert!(named(&bench.to_server).ends_with("C:S:s S Q:EXECUTE s"));
    let refused = concat(&[error("ERROR", "25P02"), ready(b'E')]);
    let reply = concat(&[bare(b'3'), ready(b'E'), refused]);
    assert_eq!(bench.server(&reply), "E:57014 Z:E");
}

#[test]
fn an_execute_is_struck_when_its_statement_is_there() {
    let mut bench = preparer();
    bench.client(&query("EXECUTE s"));
    bench.server(&concat(&[parsed(&[], &["a"]), ready(b'T')]));
    assert!(named(&bench.to_server).ends_with("Q:EXECUTE s C:S:s S"));
    assert_eq!(aim(&bench), Aim::Request);
    bench.server(&concat(&[complete("SELECT 1"), ready(b'T')]));
    assert_eq!(aim(&bench), Aim::Ours);
}

#[test]
fn what_is_made_for_a_text_is_struck_before_it() {
    let mut bench = preparer();
    bench.client(&query("SELECT 1; EXECUTE s"));
    assert!(named(&bench.to_server).ends_with(" Q:SELECT 1; EXECUTE s"));
    assert_eq!(aim(&bench), Aim::Make);
    assert!(!bench.session.is_held());
}

#[test]
fn a_stand_in_is_not_struck() {
    let mut bench = preparer();
    bench.client(&query("DEALLOCATE s"));
    assert_eq!(aim(&bench), Aim::Ours);
}

#[test]
fn the_clients_settings_are_not_struck() {
    let mut bench = Bench::new();
    bench.client(&query("SET work_mem = '7MB'"));
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    bench.idle = vec![link()];
    bench.client(&query("SELECT 1"));
    assert_eq!(aim(&bench), Aim::Ours);
    bench.server(&concat(&[complete("SET"), ready(b'I')]));
    assert_eq!(aim(&bench), Aim::Request);
}
