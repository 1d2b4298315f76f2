//! What a client's first packets ask for, and how they are answered or refused.

mod common;

use common::door::{closed, first, startup, Door};
use common::*;
use dbproxy_engine::{CancelKey, CancelSecret, CloseReason, Failure, TlsFacts};
use dbproxy_postgres::{Login, LoginProgress, UserMethod};

const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
/// The beginning of a TLS record with a ClientHello.
const HELLO: [u8; 6] = [0x16, 3, 1, 2, 0, 1];
const GSSENC_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

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
        shut: Some((CloseReason::TooManyClients, Failure::TooManyClients(7))),
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
    let after_tls = |alpn: Option<&[u8]>| {
        let mut door = Door {
            tls_available: true,
            ..Door::new(UserMethod::ScramSha256)
        };
        let mut login = Login::default();
        let (used, progress, out) = door.feed(&mut login, &HELLO);
        assert!(matches!(progress, LoginProgress::StartTls));
        assert!(used == 0 && out.is_empty(), "the handshake begins with it");
        door.tls = Some(TlsFacts {
            alpn: alpn.map(<[u8]>::to_vec),
            ..TlsFacts::default()
        });
        door.feed(&mut login, &startup(&[("user", "app")])).1
    };
    assert_eq!(closed(after_tls(None)), CloseReason::AlpnMissing);
    let progress = after_tls(Some(b"postgresql"));
    assert!(matches!(progress, LoginProgress::NeedMore));
}

#[test]
fn direct_tls_needs_a_certificate() {
    let door = Door::new(UserMethod::ScramSha256);
    assert_eq!(closed(door.one(&HELLO).0), CloseReason::TlsFailed);
}

/// As PostgreSQL 18 answers.
#[test]
fn a_client_is_told_of_what_it_asked_for_in_vain_and_of_nothing_else() {
    let door = Door::new(UserMethod::ScramSha256);
    let option = [("user", "app"), ("_pq_.x", "1")];
    let told = b"v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.x\0";
    for (version, parameters, negotiation) in [
        (0x0003_0000, &option[..1], &b""[..]),
        (0x0003_0001, &option[..1], b""),
        (0x0003_0002, &option[..1], b""),
        (
            0x0003_0003,
            &option[..1],
            b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0",
        ),
        (0x0003_270f, &option, told),
        (0x0003_0002, &option, told),
        (
            0x0003_0000,
            &option,
            b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0",
        ),
    ] {
        let (_, out) = door.one(&first(version, parameters));
        assert_eq!(&out[..negotiation.len()], negotiation, "{version:x}");
        assert_eq!(show(&out[negotiation.len()..]), "R", "{version:x}");
    }
}

#[test]
fn protocols_are_negotiated_before_anything_is_refused() {
    let mut door = Door::new(UserMethod::ScramSha256);
    let (_, out) = door.one(&first(0x0003_270f, &[("database", "x")]));
    assert_eq!(show(&out), "v E:28000");
    door.tls_required = true;
    let (_, out) = door.one(&first(0x0003_270f, &[("user", "app")]));
    assert_eq!(show(&out), "v E:28000");
    let (_, out) = door.one(&first(0x0004_0000, &[("user", "app")]));
    assert_eq!(show(&out), "E:0A000");
}

#[test]
fn a_cancel_request_carries_its_key_short_or_long() {
    let door = Door::new(UserMethod::ScramSha256);
    for length in [1, 4, 32, 256] {
        let secret = vec![6; length];
        let mut bytes = (12 + length as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 5]);
        bytes.extend_from_slice(&secret);
        let (progress, out) = door.one(&bytes);
        let LoginProgress::Cancel(key) = progress else {
            panic!("{progress:?}")
        };
        let secret = CancelSecret::shown(&secret);
        assert_eq!(key, CancelKey { id: 5, secret });
        assert!(out.is_empty());
    }
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
