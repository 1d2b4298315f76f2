//! When a backend is held, asked first, bound; what it is given when it is attached.

use dbproxy_engine::{Link as _, Session as _};

use crate::message::capability::*;
use crate::message::command;
use crate::message::session_track::{Change, Transaction};

use super::pair::{bare, hex, link, packet, payloads, query, Pair, MARIADB, MYSQL};
use super::*;

const OK: &str = "00000002000000";
/// A server that doesn't answer a question of the proxy's.
const NO_TIME: &str = "ff bc0b 23 4859303030 74";

fn variable<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    Change::Variable { name, value }
}

/// What servers say of LAST_INSERT_ID() when they are asked.
fn id() -> [Change<'static>; 2] {
    [variable("last_insert_id", "2"), Change::State(true)]
}

#[test]
fn a_statement_without_a_transaction_holds_the_backend_for_its_answer() {
    let mut pair = Pair::mysql();
    assert_eq!(pair.asks("UPDATE t SET a = 1"), ["UPDATE t SET a = 1"]);
    assert_eq!(
        pair.gives("00010002000000"),
        packet(1, &hex("00010002000000"))
    );
    assert!(pair.is_free());
}

#[test]
fn a_transaction_holds_it_to_its_end() {
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.reports(3, &[Change::Transaction(Transaction(*b"T_______"))]);
    assert!(pair.link.is_some());
    pair.asks("COMMIT");
    pair.reports(2, &[Change::Transaction(Transaction(*b"________"))]);
    assert!(pair.is_free());
}

#[test]
fn one_command_at_a_time_is_forwarded_however_many_are_sent() {
    let mut pair = Pair::mysql();
    let two = [query("SELECT 1"), query("SELECT 2")].concat();
    let sent = pair.says(&two);
    assert_eq!(payloads(&sent).len(), 1);
    pair.gives(OK);
    let sent = std::mem::take(&mut pair.server);
    assert_eq!(payloads(&sent), [b"\x03SELECT 2".to_vec()]);
    assert_eq!(pair.released.len(), 1, "it was free in between");
}

/// With autocommit off the backend is held from the first statement on.
#[test]
fn without_autocommit_it_is_held_from_the_first_statement_to_the_end() {
    let mut pair = Pair::mysql();
    pair.asks("SET autocommit=0");
    pair.reports(0, &[variable("autocommit", "OFF"), Change::State(true)]);
    assert!(pair.is_free(), "{:?}", pair.notes);
    pair.asks("SELECT 1");
    pair.gives("00000000000000");
    assert!(pair.link.is_some());
    pair.asks("COMMIT");
    pair.gives("00000000000000");
    assert!(pair.is_free());
    // Another backend is told so first, and waited for.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(pair.asks("SELECT 2"), ["SET @@session.autocommit=OFF"]);
    pair.reports(0, &[variable("autocommit", "OFF"), Change::State(true)]);
    assert_eq!(pair.asked(), ["SELECT 2"]);
}

#[test]
fn the_database_goes_with_the_client() {
    let mut pair = Pair::inside(MYSQL, DEPRECATE_EOF, Some("shop"));
    assert_eq!(pair.asks("SELECT 1"), ["shop"]);
    let inside = [Change::Schema(b"shop"), Change::State(true)];
    assert_eq!(pair.reports(2, &inside), b"");
    assert_eq!(pair.asked(), ["SELECT 1"]);
    pair.gives(OK);
    assert!(pair.is_free());
    let there = pair.spare.as_ref().map(|link| link.traces().len());
    assert_eq!(there, Some(1), "who is in no database doesn't get it");
    assert_eq!(pair.asks("SELECT 1"), ["SELECT 1"]);
    pair.gives(OK);
    pair.says(&packet(0, b"\x02other"));
    pair.reports(2, &[Change::Schema(b"other"), Change::State(true)]);
    assert_eq!(pair.session.database.as_deref(), Some(&b"other"[..]));
}

#[test]
fn a_database_that_is_gone_fails_the_request_and_the_backend() {
    let mut pair = Pair::inside(MYSQL, DEPRECATE_EOF, Some("shop"));
    pair.asks("INSERT INTO t VALUES (1)");
    let told = pair.gives("ff 1904 23 3432303030 556e6b6e6f776e");
    assert_eq!(Pair::error(&told), (1049, "Unknown".into()));
    assert_eq!(pair.released, [Release::Kill(KillReason::ResetFailed)]);
    assert_eq!(pair.asked(), [""; 0], "it was not run");
}

#[test]
fn what_a_server_reports_and_nobody_can_set_again_binds() {
    let mut pair = Pair::mysql();
    pair.asks("SELECT f()");
    pair.reports(2, &[Change::State(true)]);
    assert_eq!(pair.pinned(), Some(PinReason::Untracked));
    assert!(pair.link.is_some() && pair.notes.len() == 1);
    let mut pair = Pair::mysql();
    pair.asks("SET timestamp=5");
    pair.reports(2, &[variable("timestamp", "5.000000"), Change::State(true)]);
    assert_eq!(pair.pinned(), Some(PinReason::SessionSetting));
}

#[test]
fn what_a_statement_inserted_is_asked_for_before_the_backend_goes() {
    let mut pair = Pair::mysql();
    pair.asks("INSERT INTO t(x) VALUES (1)");
    assert_eq!(
        pair.gives("00010202000000"),
        packet(1, &hex("00010202000000"))
    );
    assert_eq!(pair.asked(), ["SET last_insert_id = LAST_INSERT_ID()"]);
    assert_eq!(pair.reports(2, &id()), b"");
    assert!(pair.is_free());
    assert_eq!(pair.session.insert_id, 2);
    // Where somebody else was since, the client's is set before it asks, and waited for.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(
        pair.asks("SELECT LAST_INSERT_ID()"),
        ["SET last_insert_id = 2"]
    );
    pair.gives(OK);
    assert_eq!(pair.asked(), ["SELECT LAST_INSERT_ID()"]);
    pair.gives(OK);
    pair.asked();
    pair.reports(2, &id());
    assert!(pair.is_free());
    // A statement that may make another one has it set in the same write.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(
        pair.asks("DELETE FROM t"),
        ["SET last_insert_id = 2", "DELETE FROM t"]
    );
    pair.answers(&[packet(1, &hex(OK)), packet(1, &hex(OK))].concat());
    assert!(pair.is_free());
}

#[test]
fn the_same_client_on_the_same_backend_needs_no_question() {
    let mut pair = Pair::mysql();
    pair.asks("INSERT INTO t(x) VALUES (1)");
    pair.gives("00010202000000");
    pair.asked();
    pair.reports(2, &id());
    assert_eq!(pair.asks("SELECT @@identity"), ["SELECT @@identity"]);
}

#[test]
fn what_is_gone_with_the_last_backend_is_refused_once() {
    let mut pair = Pair::mysql();
    for sent in ["SELECT ROW_COUNT() + 1", "SELECT FOUND_ROWS()"] {
        pair.session.keeps = false;
        pair.says(&query(sent));
        let told = std::mem::take(&mut pair.client);
        assert_eq!(Pair::error(&told).0, 1235);
    }
    pair.asks("DELETE FROM t");
    pair.gives(OK);
    assert_eq!(pair.pinned(), Some(PinReason::Diagnostics));
    // A DELETE finds none: that is still another one's.
    pair.says(&query("SELECT FOUND_ROWS()"));
    assert_eq!(Pair::error(&std::mem::take(&mut pair.client)).0, 1235);
    pair.asks("SELECT 1");
    pair.answers(&hex(
        "0100000101 050000020364656661 020000030131 07000004fe000002000000",
    ));
    assert_eq!(pair.asks("SELECT FOUND_ROWS()"), ["SELECT FOUND_ROWS()"]);
}

/// MySQL says nothing of what has changed where rows end with an EOF, and neither server in an error.
#[test]
fn what_was_not_told_is_asked_for() {
    let rows =
        hex("0100000101 050000020364656661 05000003fe00000200 020000040131 05000005fe00000200");
    let mut pair = Pair::new(MYSQL, SSL);
    pair.asks("SELECT f()");
    assert_eq!(pair.answers(&rows), rows);
    // And what it may have called may have made an id.
    let warnings = ["SHOW WARNINGS", "SELECT @@warning_count, @@error_count"];
    let others = ["DO 0", "SET last_insert_id = LAST_INSERT_ID()"];
    assert_eq!(pair.asked(), [warnings, others].concat());
    pair.gives(NO_TIME);
    pair.gives(NO_TIME);
    pair.reports(2, &[variable("time_zone", "+02:00"), Change::State(true)]);
    assert_eq!(pair.pinned(), Some(PinReason::Untracked));

    let mut pair = Pair::new(MYSQL, SSL);
    pair.asks("SELECT 1");
    pair.answers(&rows);
    assert!(pair.is_free(), "a plain read changes nothing");

    let mut pair = Pair::new(MARIADB, DEPRECATE_EOF);
    pair.asks("INSERT INTO t VALUES (1)");
    pair.gives("ff 2604 23 3233303030 44");
    let left = ["BEGIN", "ROLLBACK AND NO CHAIN NO RELEASE"];
    assert_eq!(pair.asked(), [&warnings[..], &left, &others[1..]].concat());
    for answer in [NO_TIME, NO_TIME, "00000003000000", "00000002000000"] {
        pair.gives(answer);
    }
    pair.reports(2, &id());
    assert!(pair.is_free());
}

/// MariaDB sets the flag in an EOF, and says no more.
#[test]
fn a_change_that_is_only_flagged_binds() {
    let mut pair = Pair::new(MARIADB, SSL);
    pair.asks("SELECT f()");
    let told = pair.answers(&hex(
        "0100000101 050000020364656661 05000003fe00000200 020000040131 05000005fe00000240",
    ));
    assert!(
        told.ends_with(&hex("05000005fe00000200")),
        "and the client isn't told"
    );
    assert_eq!(pair.pinned(), Some(PinReason::Untracked));
}

#[test]
fn a_character_set_has_its_collation_asked_for() {
    let mut pair = Pair::mysql();
    pair.asks("SET NAMES latin1");
    pair.reports(
        2,
        &[
            variable("character_set_client", "latin1"),
            variable("character_set_connection", "latin1"),
            variable("character_set_results", "latin1"),
            Change::State(true),
        ],
    );
    assert_eq!(
        pair.asked(),
        ["SET collation_connection = @@collation_connection"]
    );
    let collation = variable("collation_connection", "latin1_swedish_ci");
    pair.reports(2, &[collation, Change::State(true)]);
    assert!(pair.is_free(), "{:?} {:?}", pair.notes, pair.released);
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(
        pair.asks("SELECT 1"),
        ["SET @@session.character_set_client='latin1', @@session.character_set_results='latin1', \
          @@session.collation_connection='latin1_swedish_ci'"]
    );
}

#[test]
fn a_reset_makes_a_session_and_its_backend_new() {
    let mut pair = Pair::mysql();
    pair.asks("LOCK TABLES t READ");
    pair.gives(OK);
    assert_eq!(
        pair.says(&bare(command::RESET_CONNECTION)),
        bare(command::RESET_CONNECTION)
    );
    pair.gives(OK);
    assert_eq!(pair.released, [Release::Reset]);
    assert!(!pair.session.pinned());
    // Without a backend nobody is asked.
    assert_eq!(pair.says(&bare(command::RESET_CONNECTION)), b"");
    assert_eq!(std::mem::take(&mut pair.client), packet(1, &hex(OK)));
}

#[test]
fn a_backend_is_cleaned_and_given_its_character_set_back() {
    let mut link = link(MYSQL, DEPRECATE_EOF);
    let mut out = Vec::new();
    link.left(Leave::Dirty);
    link.reset(Some("SET a = 1; SET b = 2"), &mut out);
    let asked = payloads(&out);
    assert_eq!(asked[0], [command::RESET_CONNECTION]);
    assert!(asked[1].ends_with(b"collation_connection=45"));
    assert_eq!(asked[2], [command::SET_OPTION, 0, 0]);
    assert_eq!(asked[4], [command::SET_OPTION, 1, 0]);
    let end = packet(1, &hex("fe000002000000"));
    let several = [packet(1, &hex("0000000a000000")), packet(2, &hex(OK))].concat();
    let ok = packet(1, &hex(OK));
    let mut steps = Steps::new();
    let all = [&ok[..], &ok, &end, &several, &end].concat();
    let used = Session::feed_server(None, &mut link, &all, &mut steps);
    assert_eq!(
        (used, steps),
        (all.len(), vec![Step::Release(Release::Clean)])
    );
    // One that fails is no use.
    link.reset(None, &mut Vec::new());
    let mut steps = Steps::new();
    Session::feed_server(None, &mut link, &packet(1, &hex("ff1704")), &mut steps);
    assert_eq!(
        steps,
        [Step::Release(Release::Kill(KillReason::ResetFailed))]
    );
}

#[test]
fn who_leaves_a_database_that_is_gone_need_not_be_in_it() {
    let mut pair = Pair::inside(MYSQL, DEPRECATE_EOF, Some("gone"));
    let use_other = packet(0, b"\x02other");
    assert_eq!(pair.says(&use_other), use_other);
    pair.reports(2, &[Change::Schema(b"other"), Change::State(true)]);
    assert!(pair.is_free());
    // What fails leaves it in the other client's database, where nothing may run.
    pair.spare = Some(link(MYSQL, DEPRECATE_EOF));
    assert_eq!(pair.asks("USE nowhere"), ["USE nowhere"]);
    pair.gives("ff 1904 23 3432303030 556e6b6e6f776e");
    assert_eq!(
        pair.released,
        [Release::Clean, Release::Kill(KillReason::Ambiguous)]
    );
}

#[test]
fn who_leaves_a_database_takes_its_settings_along() {
    let mut pair = Pair::inside(MYSQL, DEPRECATE_EOF, Some("shop"));
    Arc::make_mut(&mut pair.session.settings).take(b"time_zone", b"+01:00");
    assert_eq!(pair.asks("USE other"), ["SET @@session.time_zone='+01:00'"]);
    pair.reports(2, &[variable("time_zone", "+01:00"), Change::State(true)]);
    assert_eq!(pair.asked(), ["USE other"]);
    pair.reports(2, &[Change::Schema(b"other"), Change::State(true)]);
    assert!(pair.is_free(), "{:?}", pair.released);
}

#[test]
fn a_database_whose_name_reads_otherwise_elsewhere_binds() {
    let mut pair = Pair::mysql();
    pair.asks("USE x");
    pair.reports(2, &[Change::Schema("größe".as_bytes())]);
    assert_eq!(pair.pinned(), Some(PinReason::SessionSetting));
    let mut pair = Pair::inside(MYSQL, DEPRECATE_EOF, Some("größe"));
    pair.asks("SELECT 1");
    assert_eq!(pair.pinned(), Some(PinReason::SessionSetting));
}

#[test]
fn an_init_query_makes_a_backend_that_has_settings_new() {
    let mut link = link(MYSQL, DEPRECATE_EOF);
    assert_eq!(link.release(), Release::Clean);
    Arc::make_mut(&mut link.settings).take(b"autocommit", b"OFF");
    assert_eq!(link.release(), Release::Clean);
    link.init_query = Some("SELECT 1".into());
    assert_eq!(link.release(), Release::Reset);
}

#[test]
fn who_leaves_in_a_transaction_leaves_a_backend_to_be_cleaned() {
    let mut pair = Pair::mysql();
    pair.asks("SET autocommit=0");
    pair.reports(0, &[variable("autocommit", "OFF"), Change::State(true)]);
    pair.asks("SELECT a FROM t");
    pair.gives("00000000000000");
    let mut link = pair.link.take().unwrap();
    assert_eq!(
        pair.session.abandon(&mut link),
        Abandoned::Free(Release::Reset)
    );
}

#[test]
fn a_client_in_a_hurry_yields_to_who_waits() {
    for wanted in [false, true] {
        let mut pair = Pair::mysql();
        pair.asks("INSERT INTO t VALUES (1)");
        pair.gives("00010202000000");
        assert_eq!(pair.asked(), ["SET last_insert_id = LAST_INSERT_ID()"]);
        pair.link.as_mut().expect("a backend").is_wanted(wanted);
        let sent = pair.asks("SELECT 1").len();
        assert_eq!(sent, usize::from(!wanted));
        pair.reports(2, &id());
        // As it was first served, the client has got it again.
        assert_eq!(pair.released.len(), usize::from(wanted));
    }
}

#[test]
fn who_lost_its_transaction_to_a_deadlock_holds_nothing_any_more() {
    let mut pair = Pair::mysql();
    pair.asks("BEGIN");
    pair.gives("00000003000000");
    pair.asks("UPDATE t SET a = 1");
    pair.gives(&format!("ff bd04 23 {} 64", "3430303031"));
    // Its warnings are for it, and the status is in none of them.
    assert!(pair.asked().iter().any(|asked| asked == "DO 0"));
}
