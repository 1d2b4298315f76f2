//! The server leg's log-in, by bytes.

mod common;

use common::*;
use dbproxy_engine::{BackendFailure, BackendFault, BackendLogin, BackendProgress, TlsFacts};
use dbproxy_postgres::{BackendAsk, Connecting, Link, UserMethod};

const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

fn connecting(asked: BackendAsk) -> Connecting {
    Connecting::start(asked, &mut sevens, &mut Vec::new())
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
    let mut login = Connecting::start(wanting(false), &mut sevens, &mut out);
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
    assert_eq!(stuffed.code, "08001");
    assert_eq!(
        failure(&mut connecting(wanting(true)), b"N", None).code,
        "08001"
    );
    let mut plain = connecting(wanting(false));
    assert!(matches!(
        plain.feed(b"N", None, &mut out),
        (1, BackendProgress::NeedMore)
    ));
}

#[test]
fn a_server_may_not_negotiate_another_protocol_than_it_was_asked_for() {
    let said = |version: u32| message(b'v', &[version.to_be_bytes(), [0; 4]].concat());
    let mut login = connecting(ask());
    assert!(matches!(
        login.feed(&said(0x0003_0000), None, &mut Vec::new()).1,
        BackendProgress::NeedMore
    ));
    for version in [0, 0x0002_0000, 0x0003_0002] {
        let failed = failure(&mut connecting(ask()), &said(version), None);
        assert_eq!(failed.code, "08P01", "{version:x}");
    }
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

/// What a server asks for, and how its user's clients prove their password.
fn asked(request: &[u8], method: UserMethod) -> (BackendAsk, Vec<u8>) {
    let ask = BackendAsk {
        credential: proven_by(method),
        tls_wanted: true,
        ..ask()
    };
    (ask, message(b'R', request))
}

/// A log-in over TLS, verified or not, whose server says that.
fn over_tls(ask: BackendAsk, verified: bool, input: &[u8]) -> (BackendProgress<Link>, Vec<u8>) {
    let facts = TlsFacts {
        verified,
        ..TlsFacts::default()
    };
    let mut login = connecting(ask);
    let mut out = Vec::new();
    login.feed(b"S", None, &mut out);
    login.feed(b"", Some(&facts), &mut out);
    out.clear();
    let progress = login.feed(input, Some(&facts), &mut out).1;
    (progress, out)
}

#[test]
fn a_user_of_scram_gives_no_md5_answer_to_an_unverified_server() {
    let md5 = b"\0\0\0\x05salt";
    let (ask, request) = asked(md5, UserMethod::ScramSha256);
    let (progress, out) = over_tls(ask, false, &request);
    let BackendProgress::Failed(failure) = progress else {
        panic!("{progress:?}")
    };
    assert!(out.is_empty());
    assert_eq!(failure.code, "28000", "final");
    assert!(failure.message.contains("MD5") && failure.message.contains("VERIFY_CA"));
    for (method, verified) in [
        (UserMethod::ScramSha256, true),
        (UserMethod::Md5, false),
        (UserMethod::Md5, true),
    ] {
        let (ask, request) = asked(md5, method);
        let (progress, out) = over_tls(ask, verified, &request);
        assert!(matches!(progress, BackendProgress::NeedMore));
        assert_eq!(out[0], b'p', "{method:?} {verified}");
    }
    let plain = failure_of(
        BackendAsk {
            tls_wanted: false,
            ..asked(md5, UserMethod::ScramSha256).0
        },
        md5,
    );
    assert_eq!(plain.code, "28000", "without TLS too");
}

fn failure_of(ask: BackendAsk, request: &[u8]) -> BackendFailure {
    failure(&mut connecting(ask), &message(b'R', request), None)
}

#[test]
fn a_server_that_asks_for_nothing_is_let_in_only_verified_or_without_tls() {
    let ok = [0, 0, 0, 0];
    let (ask, request) = asked(&ok, UserMethod::Md5);
    let (progress, _) = over_tls(ask.clone(), false, &request);
    let BackendProgress::Failed(failure) = progress else {
        panic!("{progress:?}")
    };
    assert!(failure.message.contains("no password") && failure.message.contains("DISABLED"));
    let (progress, _) = over_tls(ask.clone(), true, &request);
    assert!(matches!(progress, BackendProgress::NeedMore));
    // Where TLS was wanted and refused, nobody is verified either.
    let mut login = connecting(ask.clone());
    login.feed(b"N", None, &mut Vec::new());
    assert_eq!(self::failure(&mut login, &request, None).code, "28000");
    let plain = BackendAsk {
        tls_wanted: false,
        ..ask
    };
    let progress = connecting(plain).feed(&request, None, &mut Vec::new()).1;
    assert!(matches!(progress, BackendProgress::NeedMore));
}

#[test]
fn a_password_is_asked_for_once() {
    let (ask, request) = asked(b"\0\0\0\x05salt", UserMethod::Md5);
    let (progress, out) = over_tls(ask, false, &[request.clone(), request].concat());
    assert!(matches!(progress, BackendProgress::Failed(_)));
    assert_eq!(show(&out), "p");
}

#[test]
fn a_log_in_that_is_accepted_after_md5_goes_on() {
    let (ask, request) = asked(b"\0\0\0\x05salt", UserMethod::Md5);
    let input = concat(&[request, message(b'R', &[0, 0, 0, 0]), ready(b'I')]);
    let (progress, _) = over_tls(ask, false, &input);
    assert!(matches!(progress, BackendProgress::Ready(_)));
}

/// A log-in whose server asks for SCRAM with so many iterations, and its first answer to that.
fn iterating(ask: BackendAsk, iterations: u32) -> (Connecting, BackendProgress<Link>, Vec<u8>) {
    let mut login = connecting(ask);
    let mut out = Vec::new();
    login.feed(
        &message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        None,
        &mut out,
    );
    let first = String::from_utf8_lossy(&out).into_owned();
    let nonce = first.split("r=").nth(1).unwrap_or_default();
    let challenge = format!("\0\0\0\x0br={nonce}x,s=AAAA,i={iterations}");
    out.clear();
    let challenge = message(b'R', challenge.as_bytes());
    let (used, progress) = login.feed(&challenge, None, &mut out);
    assert_eq!(used, challenge.len());
    (login, progress, out)
}

#[test]
fn too_many_iterations_are_refused_for_good_and_named() {
    let (_, progress, _) = iterating(ask(), 4_000_001);
    let BackendProgress::Failed(failure) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!(failure.code, "28000");
    assert!(failure.message.contains("scram_iterations"), "{failure:?}");
}

#[test]
fn a_usual_count_of_iterations_is_answered_at_once() {
    for iterations in [1, 1000, 4096] {
        let (_, progress, out) = iterating(ask(), iterations);
        assert!(matches!(progress, BackendProgress::NeedMore));
        assert_eq!(show(&out), "p", "{iterations}");
    }
}

#[test]
fn many_iterations_are_done_in_pieces_between_which_others_have_their_turn() {
    let ask = ask();
    let (mut login, mut progress, mut out) = iterating(ask.clone(), 100_001);
    let error = error("FATAL", "57P01");
    let mut pieces = 1;
    while matches!(progress, BackendProgress::Working) {
        assert_eq!(show(&out), "", "nothing is said before the key is there");
        pieces += 1;
        assert!(pieces < 100, "it ends");
        // What comes meanwhile waits.
        let input = if pieces % 2 == 0 { &error[..] } else { b"" };
        let used;
        (used, progress) = login.feed(input, None, &mut out);
        assert!(used == 0 || matches!(progress, BackendProgress::Failed(_)));
    }
    assert!(pieces > 20, "{pieces}");
    assert_eq!(show(&out), "p");
    // The next one finds the key.
    let (_, progress, out) = iterating(ask, 100_001);
    assert!(matches!(progress, BackendProgress::NeedMore));
    assert_eq!(show(&out), "p");
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
    assert_eq!(failed.code, "42704");
}

#[test]
fn a_server_that_reports_without_end_is_no_server() {
    let hello = message(b'R', &[0, 0, 0, 0]);
    let many = |count| {
        concat(
            &(0..count)
                .map(|n| report(&format!("p{n}"), "x"))
                .collect::<Vec<_>>(),
        )
    };
    let large = concat(&[
        report("a", &"x".repeat(40_000)),
        report("b", &"x".repeat(40_000)),
    ]);
    for reports in [many(129), large] {
        let failed = failure(
            &mut connecting(ask()),
            &concat(&[hello.clone(), reports]),
            None,
        );
        assert!(failed.message.contains("too many parameters"), "{failed:?}");
    }
    let again = report("a", &"x".repeat(40_000)).repeat(10);
    for reports in [many(128), again] {
        let input = concat(&[hello.clone(), reports, ready(b'I')]);
        let progress = connecting(ask()).feed(&input, None, &mut Vec::new()).1;
        assert!(matches!(progress, BackendProgress::Ready(_)));
    }
}

#[test]
fn errors_behind_the_password_are_for_the_client_those_about_it_are_not() {
    let mut login = connecting(ask());
    login.feed(&message(b'R', &[0, 0, 0, 0]), None, &mut Vec::new());
    let bytes = error("FATAL", "3D000");
    assert_eq!(failure(&mut login, &bytes, None).verbatim, Some(bytes));
    let wrong = failure(&mut connecting(ask()), &error("FATAL", "28P01"), None);
    assert!(wrong.fault == BackendFault::WrongPassword && wrong.verbatim.is_none());
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
