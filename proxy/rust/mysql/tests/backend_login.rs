//! The server leg's log-in, by what MySQL 8.0.31 and MariaDB 10.11.19 said.

mod common;

use common::server::*;
use common::{hex, packet};
use dbproxy_engine::{BackendFault, BackendLogin, BackendProgress};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::{handshake_response, ssl_request, status};
use dbproxy_mysql::{BackendAsk, Kind, Manner, UserMethod, SETUP};

#[test]
fn mysql_is_given_the_password_by_its_key_and_the_session_is_set_up() {
    let asked = BackendAsk {
        init_query: Some("SELECT 1; SET autocommit=1; USE app".into()),
        ..ask("sha", UserMethod::CachingSha2)
    };
    let said = [
        hex(MYSQL),
        hex(FULL_WANTED),
        hex(KEY),
        done(6),
        hex(SET_ON_MYSQL),
        hex(INIT),
        hex(OPTION_SET),
    ];
    let (progress, answers) = dialogue(asked, None, &said);
    let response =
        "5b00000105a2af01000000402d000000000000000000000000000000000000000000000073686100\
        2021300e753772507cd40751793bdd793fbdf548c1733674cd5f459e1f244e797863616368696e675f73686132\
        5f70617373776f726400";
    assert_eq!(answers[0], hex(response));
    assert_eq!(answers[1], packet(3, &[2]));
    assert_eq!(answers[2][..4], [0, 1, 0, 5], "256 bytes, encrypted");
    assert_eq!(answers[3], packet(0, format!("\x03{SETUP}").as_bytes()));
    assert_eq!(
        answers[4],
        packet(0, b"\x03SELECT 1; SET autocommit=1; USE app")
    );
    assert_eq!(
        answers[5],
        packet(0, b"\x1b\x01\0"),
        "the clients send one statement a query"
    );
    let ready = ready(progress);
    assert_eq!(
        (&*ready.params.version, ready.params.server.kind),
        ("8.0.31", Kind::MySql)
    );
    assert_eq!(
        (ready.params.server.number, ready.params.collation),
        (80_031, 255)
    );
    assert_eq!(
        (ready.params.status, ready.thread_id),
        (status::AUTOCOMMIT, 0x85)
    );
    assert_eq!(ready.database.as_deref(), Some(&b"app"[..]));
    assert!(ready.init_query.is_some());
    assert!(ready.capabilities.has(SESSION_TRACK.with(DEPRECATE_EOF)));
    assert!(!ready.capabilities.has(MULTI_STATEMENTS));
}

#[test]
fn mysql_that_has_cached_the_hash_is_given_nothing_more() {
    let said = [hex(MYSQL), hex(FAST_PASSED), done(3), hex(SET_ON_MYSQL)];
    let (progress, answers) = dialogue(ask("sha", UserMethod::CachingSha2), None, &said);
    assert!(answers[1].is_empty() && answers[3].is_empty());
    let ready = ready(progress);
    assert_eq!((ready.database, ready.init_query), (None, None));
}

#[test]
fn a_switch_is_answered_by_the_plugin_that_it_names() {
    let said = [
        hex("4a0000000a382e302e33310086000000595b20233b17204c00ffffff0200ffdf150000000000000000000078\
            787a7c374b68027a6d5f1d0063616368696e675f736861325f70617373776f726400"),
        hex(SWITCH_TO_NATIVE),
        done(4),
        hex(SET_ON_MYSQL),
    ];
    let (progress, answers) = dialogue(ask("nat", UserMethod::Native), None, &said);
    assert_eq!(
        answers[1],
        hex("1400000392393a28d11b3ac435379da1a5b3a25206fe5fd5")
    );
    ready(progress);
    let said = [
        hex(MARIADB),
        hex(SWITCH_TO_ED25519),
        done(4),
        hex(SET_ON_MARIADB),
    ];
    let (progress, answers) = dialogue(ask("ed", UserMethod::Ed25519), None, &said);
    let response =
        "3300000105a2ae01000000402d000000000000000000000000000000000000000000000065640000\
        636c69656e745f6564323535313900";
    assert_eq!(answers[0], hex(response), "no hash for who signs");
    assert_eq!(answers[1], hex(SIGNATURE));
    let ready = ready(progress);
    assert_eq!(ready.params.server.kind, Kind::MariaDb);
    assert_eq!(ready.params.server.number, 101_119);
}

/// Byte for byte it comes to the same.
#[test]
fn a_log_in_that_comes_in_drops_is_the_one_that_comes_whole() {
    let asked = BackendAsk {
        init_query: Some("SELECT 1; SET autocommit=1; USE app".into()),
        ..ask("sha", UserMethod::CachingSha2)
    };
    let said = [
        hex(MYSQL),
        hex(FULL_WANTED),
        hex(KEY),
        done(6),
        hex(SET_ON_MYSQL),
        hex(INIT),
        hex(OPTION_SET),
    ];
    let (whole, answers) = dialogue(asked.clone(), None, &said);
    let mut login = connecting(asked);
    let (mut pending, mut out, mut last) = (Vec::new(), Vec::new(), None);
    for byte in said.concat() {
        assert!(last.is_none());
        pending.push(byte);
        let (used, progress) = login.feed(&pending, None, &mut out);
        pending.drain(..used);
        match progress {
            BackendProgress::NeedMore => {}
            other => last = Some(other),
        }
    }
    assert_eq!(ready(last.unwrap()), ready(whole));
    assert_eq!(out, answers.concat());
}

#[test]
fn tls_is_asked_for_where_it_is_offered_and_the_response_goes_inside() {
    let wanting = |required| BackendAsk {
        tls_wanted: true,
        tls_required: required,
        ..ask("nat", UserMethod::Native)
    };
    let facts = verified(false);
    let (_, answers) = dialogue(wanting(true), Some(&facts), &[hex(MARIADB)]);
    assert_eq!((answers[0][3], answers[1][3]), (1, 2));
    let request = ssl_request::parse(&answers[0][4..]).unwrap();
    let response = handshake_response::parse(&answers[1][4..]).unwrap();
    assert_eq!(request, response.opening);
    assert_eq!((response.user, response.proof.len()), (&b"nat"[..], 20));
    let mut without = hex(MARIADB);
    // The high byte of the lower capabilities' low half.
    assert_eq!(without[51..53], [0xfe, 0xff]);
    without[52] &= !0x08;
    let (progress, answers) = dialogue(wanting(true), None, &[without.clone()]);
    assert_eq!(failed(progress).fault, BackendFault::Unavailable);
    assert!(answers[0].is_empty());
    let (_, answers) = dialogue(wanting(false), None, &[without]);
    assert!(
        handshake_response::parse(&answers[0][4..]).is_some(),
        "in clear, as PREFERRED has it"
    );
}

#[test]
fn bytes_behind_a_greeting_are_refused() {
    for wanted in [false, true] {
        let asked = BackendAsk {
            tls_wanted: wanted,
            ..ask("nat", UserMethod::Native)
        };
        let stuffed = [hex(MARIADB), done(2)].concat();
        let mut out = Vec::new();
        let (_, progress) = connecting(asked).feed(&stuffed, None, &mut out);
        assert_eq!(failed(progress).fault, BackendFault::Garbled);
        assert!(out.is_empty());
    }
}

#[test]
fn it_logs_in_as_its_clients_want_to_be_served() {
    let mut asked = ask("nat", UserMethod::Native);
    let chosen = FOUND_ROWS.with(MULTI_STATEMENTS).with(IGNORE_SPACE);
    asked.identity.settings = Manner::new(chosen, 33).settings();
    asked.init_query = Some("SET @x = 1".into());
    let said = [hex(MARIADB), done(2), hex(SET_ON_MARIADB), done(1)];
    let (progress, answers) = dialogue(asked, None, &said);
    let response = handshake_response::parse(&answers[0][4..]).unwrap();
    let has = |capability| response.opening.capabilities.has(capability);
    assert!(has(chosen) && has(SESSION_TRACK) && has(PS_MULTI_RESULTS));
    assert!(!has(DEPRECATE_EOF) && !has(LOCAL_FILES) && !has(CONNECT_WITH_DB) && !has(SSL));
    assert_eq!(response.opening.collation, 33);
    let ready = ready(progress);
    assert!(
        ready.capabilities.has(chosen),
        "several statements stay allowed"
    );
}
