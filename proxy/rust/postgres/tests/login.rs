//! Both legs' log-ins, against each other and against bytes.

mod common;

use common::door::{closed, startup, users, Door};
use common::*;
use dbproxy_engine::{
    Admission, BackendFailure, BackendFault, BackendLogin, BackendProgress, CloseReason, TlsFacts,
};
use dbproxy_postgres::{
    verifier, BackendAsk, Connecting, Handover, Login, LoginProgress, UserMethod,
};

enum End {
    Admitted(Box<Admission<Handover>>),
    Refused(CloseReason, BackendFailure),
}

/// Our client side logs in to our server side, bytes shown one at a time if `drip`.
fn exchange(door: &Door, ask: BackendAsk, tls: Option<&TlsFacts>, drip: bool) -> End {
    let mut to_server = Vec::new();
    let mut client = Connecting::start(ask, &mut sevens, &mut to_server);
    let mut login = Login::default();
    let mut pending = Vec::new();
    let mut closed = None;
    for byte in 0.. {
        assert!(byte < 10_000, "the exchange doesn't end");
        if to_server.is_empty() {
            panic!("nobody speaks");
        }
        let step = if drip { 1 } else { to_server.len() };
        pending.extend(to_server.drain(..step));
        let (used, progress, out) = door.feed(&mut login, &pending);
        pending.drain(..used);
        match progress {
            LoginProgress::Admitted(admission) => return End::Admitted(Box::new(admission)),
            LoginProgress::Close(reason) => closed = Some(reason),
            LoginProgress::NeedMore => {}
            other => panic!("{other:?}"),
        }
        let (used, progress) = client.feed(&out, tls, &mut to_server);
        match (progress, closed) {
            (BackendProgress::Failed(failure), Some(reason)) => {
                return End::Refused(reason, failure)
            }
            (BackendProgress::NeedMore, None) => assert_eq!(used, out.len()),
            other => panic!("{other:?}"),
        }
    }
    unreachable!()
}

fn asking(user: &str, password: &str) -> BackendAsk {
    let mut asked = ask();
    asked.identity.user = user.into();
    asked.password = password.into();
    asked.credential = proven_by(UserMethod::Md5);
    asked
}

#[test]
fn every_password_that_is_valid_logs_in_by_either_method() {
    for method in [UserMethod::ScramSha256, UserMethod::Md5] {
        for password in ["new", "old \u{e9}"] {
            for drip in [false, true] {
                let end = exchange(&Door::new(method), asking("app", password), None, drip);
                let End::Admitted(admission) = end else {
                    panic!("{method:?} {password}")
                };
                assert_eq!(&*admission.identity.user, "app");
                assert_eq!(&*admission.identity.database, "shop");
            }
        }
    }
}

#[test]
fn unknown_users_and_wrong_passwords_look_alike() {
    for method in [UserMethod::ScramSha256, UserMethod::Md5] {
        let door = Door::new(method);
        for (user, password, logged) in [
            ("app", "wrong", CloseReason::AuthenticationFailed),
            ("nobody", "new", CloseReason::UnknownUser),
        ] {
            let End::Refused(reason, failure) =
                exchange(&door, asking(user, password), None, false)
            else {
                panic!("{user} came in")
            };
            assert_eq!(reason, logged, "only the log tells them apart");
            assert_eq!(failure.code, "28P01");
            assert_eq!(
                failure.message,
                format!("password authentication failed for user \"{user}\"")
            );
            assert!(failure.fault == BackendFault::WrongPassword && failure.verbatim.is_none());
        }
    }
}

#[test]
fn unknown_users_are_asked_in_the_ways_of_the_known_ones() {
    let mut door = Door::new(UserMethod::Md5);
    let scram = users(UserMethod::ScramSha256).by_name["app"].clone();
    door.users.by_name.insert("other".into(), scram);
    let asks_md5 = |name: &str| {
        let out = door.one(&startup(&[("user", name)])).1;
        out.get(8) == Some(&5)
    };
    let names: Vec<String> = (0..100).map(|n| format!("nobody-{n}")).collect();
    let md5 = names.iter().filter(|name| asks_md5(name)).count();
    assert!((20..80).contains(&md5), "{md5} of 100");
    assert!(names.iter().all(|name| asks_md5(name) == asks_md5(name)));
}

#[test]
fn tls_cannot_begin_in_the_middle_of_a_log_in() {
    let door = Door::new(UserMethod::ScramSha256);
    let mut login = Login::default();
    door.feed(&mut login, &startup(&[("user", "app")]));
    let (_, progress, _) = door.feed(&mut login, &[0x16, 3, 1, 0, 2, 1, 0]);
    assert_eq!(closed(progress), CloseReason::ProtocolViolation);
}

#[test]
fn an_unknown_users_salt_is_that_which_it_would_have() {
    let secret = b"fleet";
    assert_eq!(
        verifier("x", "a", secret).salt,
        verifier("x", "b", secret).salt
    );
    assert_ne!(
        verifier("x", "a", secret).salt,
        verifier("y", "a", secret).salt
    );
    assert_ne!(
        verifier("x", "a", secret).salt,
        verifier("x", "a", b"other").salt
    );
}

#[test]
fn channels_are_bound_where_both_know_the_certificate() {
    let facts = |hash: &[u8]| {
        Some(TlsFacts {
            end_point: Some(hash.to_vec()),
            ..TlsFacts::default()
        })
    };
    let door = Door {
        tls: facts(b"hash"),
        ..Door::new(UserMethod::ScramSha256)
    };
    let same = exchange(&door, asking("app", "new"), facts(b"hash").as_ref(), false);
    assert!(matches!(same, End::Admitted(_)));
    let other = exchange(&door, asking("app", "new"), facts(b"other").as_ref(), false);
    let End::Refused(reason, _) = other else {
        panic!("somebody in between came in")
    };
    assert_eq!(reason, CloseReason::AuthenticationFailed);
    // A client that can't bind may do without.
    let without = exchange(&door, asking("app", "new"), None, false);
    assert!(matches!(without, End::Admitted(_)));
    // One that can and was told that we can't was lied to.
    let plain = Door::new(UserMethod::ScramSha256);
    let both = exchange(&plain, asking("app", "new"), facts(b"hash").as_ref(), false);
    assert!(matches!(both, End::Admitted(_)));
}

/// What our client side answers an offer of SASL: mechanism and client-first-message.
fn sasl_offer(client: &mut Connecting, offer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut said = Vec::new();
    client.feed(offer, None, &mut said);
    let body = &said[5..];
    let name = body.iter().position(|byte| *byte == 0).unwrap() + 1;
    (body[..name].to_vec(), body[name + 4..].to_vec())
}

#[test]
fn who_sends_no_initial_response_is_asked_for_it_by_an_empty_challenge() {
    let door = Door::new(UserMethod::ScramSha256);
    for user in ["app", "nobody"] {
        let mut login = Login::default();
        let mut hello = Vec::new();
        let mut client = Connecting::start(asking(user, "new"), &mut sevens, &mut hello);
        let offer = door.feed(&mut login, &hello).2;
        let (mechanism, first) = sasl_offer(&mut client, &offer);
        let without = message(b'p', &[mechanism, vec![0xff; 4]].concat());
        assert_eq!(
            door.feed(&mut login, &without).2,
            message(b'R', &[0, 0, 0, 11])
        );
        let challenge = door.feed(&mut login, &message(b'p', &first)).2;
        let mut proof = Vec::new();
        client.feed(&challenge, None, &mut proof);
        let progress = door.feed(&mut login, &proof).1;
        match user {
            "app" => assert!(matches!(progress, LoginProgress::Admitted(_))),
            _ => assert_eq!(closed(progress), CloseReason::UnknownUser),
        }
    }
}

#[test]
fn an_initial_response_of_another_length_than_it_says_is_malformed() {
    let door = Door::new(UserMethod::ScramSha256);
    for tail in [
        &b"\xff\xff\xff\xffn,,n=,r=x"[..],
        b"\xff\xff\xff\xfe",
        b"\0\0\0\x09n,,",
        b"\0\0\0\0n,,n=,r=x",
        b"\0\0",
    ] {
        let mut login = Login::default();
        door.feed(&mut login, &startup(&[("user", "app")]));
        let body = [b"SCRAM-SHA-256\0", tail].concat();
        let (_, progress, out) = door.feed(&mut login, &message(b'p', &body));
        assert_eq!(closed(progress), CloseReason::ProtocolViolation);
        assert_eq!(show(&out), "E:08P01");
    }
}
