//! The server leg's log-in, by bytes.

mod common;

use common::*;
use dbproxy_engine::{BackendAsk, BackendFailure, BackendLogin, BackendProgress, TlsFacts};
use dbproxy_postgres::Connecting;

const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

fn connecting(asked: BackendAsk) -> Connecting {
    Connecting::start(asked, &mut Vec::new())
}

fn failure(login: &mut Connecting, input: &[u8], tls: Option<&TlsFacts>) -> BackendFailure {
    match login.feed(input, tls, &mut Vec::new()).1 {
        BackendProgress::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tls_is_asked_for_and_its_answer_taken_alone() {
    let wanting = |required| BackendAsk {
        tls_wanted: true,
        tls_required: required,
        ..ask()
    };
    let mut out = Vec::new();
    let mut login = Connecting::start(wanting(false), &mut out);
    assert_eq!(out, SSL_REQUEST);
    assert!(matches!(
        login.feed(b"S", None, &mut out),
        (1, BackendProgress::StartTls)
    ));
    out.clear();
    let facts = TlsFacts::default();
    assert!(matches!(
        login.feed(b"", Some(&facts), &mut out).1,
        BackendProgress::NeedMore
    ));
    assert_eq!(&out[4..8], &[0, 3, 0, 0]);
    let stuffed = failure(&mut connecting(wanting(false)), b"SR", None);
    assert_eq!(stuffed.sqlstate, "08P01");
    assert_eq!(
        failure(&mut connecting(wanting(true)), b"N", None).sqlstate,
        "08001"
    );
    let mut plain = connecting(wanting(false));
    assert!(matches!(
        plain.feed(b"N", None, &mut out),
        (1, BackendProgress::NeedMore)
    ));
}

#[test]
fn clear_text_goes_only_to_a_verified_server() {
    let cleartext = message(b'R', &[0, 0, 0, 3]);
    failure(&mut connecting(ask()), &cleartext, None);
    failure(
        &mut connecting(ask()),
        &cleartext,
        Some(&TlsFacts::default()),
    );
    let verified = TlsFacts {
        verified: true,
        ..TlsFacts::default()
    };
    let mut out = Vec::new();
    let progress = connecting(ask())
        .feed(&cleartext, Some(&verified), &mut out)
        .1;
    assert!(matches!(progress, BackendProgress::NeedMore));
    assert_eq!(out, message(b'p', b"secret\0"));
}

#[test]
fn the_init_query_must_succeed() {
    let asked = || BackendAsk {
        init_query: Some("SET a TO b".into()),
        ..ask()
    };
    let hello = concat(&[message(b'R', &[0, 0, 0, 0]), ready(b'I')]);
    let mut login = connecting(asked());
    let mut out = Vec::new();
    assert!(matches!(
        login.feed(&hello, None, &mut out).1,
        BackendProgress::NeedMore
    ));
    assert_eq!(show(&out), "Q:SET a TO b");
    let fine = concat(&[complete("SET"), ready(b'I')]);
    assert!(matches!(
        login.feed(&fine, None, &mut out).1,
        BackendProgress::Ready(_)
    ));
    let mut login = connecting(asked());
    login.feed(&hello, None, &mut out);
    let failed = failure(&mut login, &error("ERROR", "42704"), None);
    assert_eq!(failed.sqlstate, "42704");
}

#[test]
fn errors_behind_the_password_are_for_the_client_those_about_it_are_not() {
    let mut login = connecting(ask());
    login.feed(&message(b'R', &[0, 0, 0, 0]), None, &mut Vec::new());
    let bytes = error("FATAL", "3D000");
    assert_eq!(failure(&mut login, &bytes, None).verbatim, Some(bytes));
    let wrong = failure(&mut connecting(ask()), &error("FATAL", "28P01"), None);
    assert!(wrong.wrong_password && wrong.verbatim.is_none());
}

#[test]
fn a_server_that_skips_its_proof_is_not_trusted() {
    let mut login = connecting(ask());
    let mut out = Vec::new();
    login.feed(
        &message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        None,
        &mut out,
    );
    failure(&mut login, &message(b'R', &[0, 0, 0, 0]), None);
    let mut login = connecting(ask());
    login.feed(
        &message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        None,
        &mut out,
    );
    failure(
        &mut login,
        &message(b'R', b"\0\0\0\x0br=x,s=AAAA,i=4096"),
        None,
    );
}
