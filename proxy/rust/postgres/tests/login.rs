//! Both legs' log-ins, against each other and against bytes.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::*;
use dbproxy_engine::{
    Admission, BackendAsk, BackendFailure, BackendLogin, BackendProgress, CancelKey, ClientLogin,
    CloseReason, LoginEnv, LoginProgress, Password, TlsFacts, User, UserMethod, Users,
};
use dbproxy_postgres::{verifier, Connecting, Login};

fn users(method: UserMethod) -> Users {
    let secret = b"fleet".to_vec();
    let passwords: Vec<Password> = vec!["new".into(), "old \u{e9}".into()];
    let user = User {
        name: "app".into(),
        method,
        verifiers: passwords
            .iter()
            .map(|p| verifier("app", p.reveal(), &secret))
            .collect(),
        passwords,
    };
    Users {
        by_name: HashMap::from([(user.name.clone(), Arc::new(user))]),
        fleet_secret: secret,
    }
}

/// The front thread's part.
struct Door {
    users: Users,
    tls_available: bool,
    tls_required: bool,
    tls: Option<TlsFacts>,
    full: Option<u32>,
}

impl Door {
    fn new(method: UserMethod) -> Self {
        Self {
            users: users(method),
            tls_available: false,
            tls_required: false,
            tls: None,
            full: None,
        }
    }

    fn feed(&self, login: &mut Login, input: &[u8]) -> (usize, LoginProgress, Vec<u8>) {
        let mut next = 0u8;
        let mut random = |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_add(37);
                *byte = next;
            }
        };
        let mut env = LoginEnv {
            full: self.full,
            users: &self.users,
            tls_available: self.tls_available,
            tls_required: self.tls_required,
            tls: self.tls.as_ref(),
            random: &mut random,
        };
        let mut out = Vec::new();
        let (used, progress) = login.feed(input, &mut env, &mut out);
        (used, progress, out)
    }

    fn one(&self, input: &[u8]) -> (LoginProgress, Vec<u8>) {
        let (_, progress, out) = self.feed(&mut Login::default(), input);
        (progress, out)
    }
}

enum End {
    Admitted(Box<Admission>),
    Refused(CloseReason, BackendFailure),
}

/// Our client side logs in to our server side, bytes shown one at a time if `drip`.
fn exchange(door: &Door, ask: BackendAsk, tls: Option<&TlsFacts>, drip: bool) -> End {
    let mut to_server = Vec::new();
    let mut client = Connecting::start(ask, &mut to_server);
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
    asked.method = UserMethod::Md5;
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
            assert_eq!(failure.sqlstate, "28P01");
            assert_eq!(
                failure.message,
                format!("password authentication failed for user \"{user}\"")
            );
            assert!(failure.wrong_password && failure.verbatim.is_none());
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
    let mut door = Door::new(UserMethod::ScramSha256);
    let mut login = Login::default();
    door.feed(&mut login, &startup(&[("user", "app")]));
    door.tls = Some(TlsFacts {
        direct: true,
        alpn: Some(b"postgresql".to_vec()),
        ..TlsFacts::default()
    });
    let (_, progress, out) = door.feed(&mut login, &startup(&[("user", "app")]));
    assert_eq!(closed(progress), CloseReason::ProtocolViolation);
    assert!(out.is_empty());
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

fn startup(pairs: &[(&str, &str)]) -> Vec<u8> {
    first(0x0003_0000, pairs)
}

fn first(code: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for (name, value) in pairs {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    let mut out = (body.len() as u32 + 4).to_be_bytes().to_vec();
    out.extend(body);
    out
}

const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
const GSSENC_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

fn closed(progress: LoginProgress) -> CloseReason {
    match progress {
        LoginProgress::Close(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn encryption_requests_are_answered_and_nothing_may_be_stuffed_behind_them() {
    let mut door = Door::new(UserMethod::ScramSha256);
    let (progress, out) = door.one(SSL_REQUEST);
    assert!(matches!(progress, LoginProgress::NeedMore));
    assert_eq!(out, b"N");
    let (_, out) = door.one(GSSENC_REQUEST);
    assert_eq!(out, b"N");
    door.tls_available = true;
    let (progress, out) = door.one(SSL_REQUEST);
    assert!(matches!(progress, LoginProgress::StartTls));
    assert_eq!(out, b"S");
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        let mut stuffed = request.to_vec();
        stuffed.extend(startup(&[("user", "app")]));
        let (progress, out) = door.one(&stuffed);
        assert_eq!(closed(progress), CloseReason::StuffedBytes);
        assert_eq!(show(&out), "E:08P01");
    }
    door.tls = Some(TlsFacts::default());
    assert_eq!(
        closed(door.one(SSL_REQUEST).0),
        CloseReason::ProtocolViolation
    );
}

#[test]
fn what_cannot_be_served_is_refused_with_a_reason() {
    let door = Door::new(UserMethod::ScramSha256);
    let cases = [
        (
            startup(&[("database", "x")]),
            "E:28000",
            CloseReason::UnsupportedStartup,
        ),
        (
            startup(&[("user", "app"), ("replication", "database")]),
            "E:0A000",
            CloseReason::UnsupportedStartup,
        ),
        (
            first(0x0002_0000, &[("user", "app")]),
            "E:0A000",
            CloseReason::UnsupportedStartup,
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            "E:08P01",
            CloseReason::ProtocolViolation,
        ),
    ];
    for (bytes, told, reason) in cases {
        let (progress, out) = door.one(&bytes);
        assert_eq!((show(&out).as_str(), closed(progress)), (told, reason));
    }
}

#[test]
fn a_full_house_refuses_behind_the_startup_packet_and_still_takes_cancels() {
    let door = Door {
        full: Some(7),
        ..Door::new(UserMethod::ScramSha256)
    };
    let mut login = Login::default();
    let (used, progress, out) = door.feed(&mut login, &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
    assert!(matches!(progress, LoginProgress::NeedMore));
    assert_eq!((used, out.as_slice()), (8, b"N".as_slice()));
    let (_, progress, out) = door.feed(&mut login, &startup(&[("user", "app")]));
    assert_eq!(closed(progress), CloseReason::TooManyClients);
    assert_eq!(show(&out), "E:53300");
    let cancel = [0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 2];
    let (progress, _) = door.one(&cancel);
    assert!(matches!(progress, LoginProgress::Cancel(_)));
}

#[test]
fn tls_can_be_required_of_everybody() {
    let door = Door {
        tls_required: true,
        ..Door::new(UserMethod::ScramSha256)
    };
    let (progress, out) = door.one(&startup(&[("user", "app")]));
    assert_eq!(closed(progress), CloseReason::TlsRequired);
    assert_eq!(show(&out), "E:28000");
    assert!(String::from_utf8_lossy(&out).contains("This RDS Proxy requires TLS connections."));
}

#[test]
fn direct_tls_needs_its_alpn() {
    let facts = |alpn: Option<&[u8]>| TlsFacts {
        direct: true,
        alpn: alpn.map(<[u8]>::to_vec),
        ..TlsFacts::default()
    };
    let door = Door {
        tls: Some(facts(None)),
        ..Door::new(UserMethod::ScramSha256)
    };
    assert_eq!(
        closed(door.one(&startup(&[("user", "app")])).0),
        CloseReason::AlpnMissing
    );
    let door = Door {
        tls: Some(facts(Some(b"postgresql"))),
        ..Door::new(UserMethod::ScramSha256)
    };
    assert!(matches!(
        door.one(&startup(&[("user", "app")])).0,
        LoginProgress::NeedMore
    ));
}

#[test]
fn newer_protocols_are_negotiated_down() {
    let door = Door::new(UserMethod::ScramSha256);
    let (_, out) = door.one(&first(0x0003_0002, &[("user", "app"), ("_pq_.x", "1")]));
    assert_eq!(&out[..13], b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01");
    assert_eq!(show(&out), "v R");
}

#[test]
fn a_cancel_request_carries_its_key() {
    let door = Door::new(UserMethod::ScramSha256);
    let mut bytes = b"\0\0\0\x10\x04\xd2\x16\x2e".to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 5, 0, 0, 0, 6]);
    let (progress, out) = door.one(&bytes);
    let LoginProgress::Cancel(key) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!(key, CancelKey { id: 5, secret: 6 });
    assert!(out.is_empty());
}

#[test]
fn a_log_in_ends_at_goodbye_or_garbage() {
    let door = Door::new(UserMethod::ScramSha256);
    for (bytes, reason) in [
        (bare(b'X'), CloseReason::ClientLeft),
        (query("SELECT 1"), CloseReason::ProtocolViolation),
        (
            message(b'p', b"PLAIN\0\0\0\0\0"),
            CloseReason::ProtocolViolation,
        ),
        (message(b'p', &[0; 5000]), CloseReason::ProtocolViolation),
    ] {
        let mut login = Login::default();
        door.feed(&mut login, &startup(&[("user", "app")]));
        assert_eq!(closed(door.feed(&mut login, &bytes).1), reason);
    }
}
