//! Who doesn't come in by the client leg, and what he is told.

mod common;

use common::client::*;
use common::door::{add, closed, Door, MARIADB, MYSQL};
use common::{hex, packet, written};
use dbproxy_engine::{ClientLogin, CloseReason, Failure, TlsFacts};
use dbproxy_mysql::auth::{caching_sha2, native};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::{auth_switch, error};
use dbproxy_mysql::{Login, LoginProgress, UserMethod};
use proptest::prelude::*;

/// The proof of an empty password, which libraries don't make, but anybody can.
#[test]
fn nobody_gets_in_by_an_empty_password() {
    use sha1::{Digest, Sha1};
    let once = Sha1::digest(b"");
    let twice = Sha1::digest(once);
    let mask = Sha1::new()
        .chain_update(SEVENS)
        .chain_update(twice)
        .finalize();
    let proof: Vec<u8> = once.iter().zip(mask).map(|(a, b)| a ^ b).collect();
    let door = Door::new(MARIADB);
    for (proof, using) in [(proof, "YES"), (vec![], "NO"), (vec![0], "NO")] {
        let mut login = door.greeted();
        let first = packet(1, &response("none", &proof, native::PLUGIN, SESSION_TRACK));
        let (_, mut progress, mut out) = door.feed(&mut login, &first);
        if matches!(progress, LoginProgress::NeedMore) {
            (_, progress, out) = door.feed(&mut login, &packet(3, &proof));
        }
        let (reason, _, code, message) = closed(&progress, &out);
        assert_eq!((reason, code), (CloseReason::AuthenticationFailed, 1045));
        assert!(message.ends_with(&format!("(using password: {using})")));
    }
}

#[test]
fn unknown_users_and_wrong_passwords_look_alike() {
    for (method, user) in [
        (UserMethod::CachingSha2, "is1"),
        (UserMethod::Native, "is2"),
        (UserMethod::Ed25519, "is3"),
    ] {
        let mut door = Door::new(MYSQL);
        door.users.by_name.clear();
        add(&mut door.users, user, method, &["new", "old"]);
        let dialogue = |name: &str| {
            let mut login = door.greeted();
            let guess = response(name, &[9; 32], caching_sha2::PLUGIN, SESSION_TRACK);
            let (_, mut progress, mut all) = door.feed(&mut login, &packet(1, &guess));
            if matches!(progress, LoginProgress::NeedMore) {
                let (_, next, out) = door.feed(&mut login, &packet(3, &[9; 64]));
                progress = next;
                all.extend(out);
            }
            let LoginProgress::Close(reason) = progress else {
                panic!("{progress:?}")
            };
            (reason, String::from_utf8_lossy(&all).replace(name, "?"))
        };
        let (known, unknown) = (dialogue(user), dialogue("xyz"));
        assert_eq!(known.0, CloseReason::AuthenticationFailed);
        assert_eq!(unknown.0, CloseReason::UnknownUser);
        assert_eq!(known.1, unknown.1, "{method:?}");
        assert!(known.1.contains("using password: YES"));
    }
}

/// Names that nobody has are asked as often by each method as those that somebody has, the same name always
/// the same way.
#[test]
fn by_its_plugin_nobody_knows_whether_a_user_exists() {
    let mut door = Door::new(MYSQL);
    door.users.fleet_secret = b"fleet".to_vec();
    let asked = |door: &Door, name: &str| {
        let guess = response(name, b"", b"other", SESSION_TRACK);
        let (_, _, out) = door.feed(&mut door.greeted(), &packet(1, &guess));
        auth_switch::parse(&out[4..]).unwrap().plugin.to_vec()
    };
    let names: Vec<String> = (0..400).map(|number| format!("user{number}")).collect();
    let all: Vec<_> = names.iter().map(|name| asked(&door, name)).collect();
    let again: Vec<_> = names.iter().map(|name| asked(&door, name)).collect();
    assert_eq!(all, again);
    // Of the four users two have the native plugin, and one each of the others.
    for (plugin, share) in [(native::PLUGIN, 200), (caching_sha2::PLUGIN, 100)] {
        let count = all.iter().filter(|name| **name == plugin).count();
        assert!(count.abs_diff(share) < 50, "{count}");
    }
    door.users.fleet_secret = b"another".to_vec();
    assert_ne!(
        all,
        names
            .iter()
            .map(|name| asked(&door, name))
            .collect::<Vec<_>>()
    );
    door.users.by_name.clear();
    assert_eq!(asked(&door, "user0"), caching_sha2::PLUGIN);
}

#[test]
fn bytes_stuffed_behind_a_request_for_tls_are_refused() {
    let mut door = Door::new(MYSQL);
    door.tls_available = true;
    for behind in [&b"\0"[..], b"\x15", &hex(PYMYSQL)] {
        let mut login = door.greeted();
        let (_, progress, out) = door.feed(&mut login, &[&ssl_request(), behind].concat());
        let (reason, sequence, code, _) = closed(&progress, &out);
        assert_eq!(
            (reason, sequence, code),
            (CloseReason::StuffedBytes, 2, 1043)
        );
    }
}

#[test]
fn tls_that_was_not_offered_or_not_begun_is_refused() {
    let mut door = Door::new(MYSQL);
    let (_, progress, out) = door.feed(&mut door.greeted(), &ssl_request());
    assert_eq!(closed(&progress, &out).2, 1043);
    door.tls_available = true;
    // A response that speaks of TLS, and comes in clear.
    let lying = packet(1, &response("nat", &[1; 20], native::PLUGIN, SSL));
    let (_, progress, out) = door.feed(&mut door.greeted(), &lying);
    let (reason, _, code, _) = closed(&progress, &out);
    assert_eq!((reason, code), (CloseReason::ProtocolViolation, 1043));
}

#[test]
fn without_tls_that_is_required_nobody_is_asked_for_a_proof() {
    let mut door = Door::new(MYSQL);
    (door.tls_available, door.tls_required) = (true, true);
    let mut login = door.greeted();
    let (_, progress, out) = door.feed(&mut login, &hex(PYMYSQL));
    let (reason, sequence, code, message) = closed(&progress, &out);
    assert_eq!(
        (reason, sequence, code),
        (CloseReason::TlsRequired, 2, 3159)
    );
    assert_eq!(message, "This RDS Proxy requires TLS connections.");
    assert_eq!(login.claimed_user(), "sha");
    // It is over: whatever comes is thrown away.
    let (used, progress, out) = door.feed(&mut login, &hex(PYMYSQL));
    assert_eq!((used, out.len()), (hex(PYMYSQL).len(), 0));
    assert!(matches!(progress, LoginProgress::NeedMore));
}

#[test]
fn who_may_not_come_in_now_hears_why_when_it_has_said_who_it_is() {
    let mut door = Door::new(MYSQL);
    door.shut = Some((CloseReason::TooManyClients, Failure::TooManyClients(5)));
    let mut login = door.greeted();
    let (_, progress, out) = door.feed(&mut login, &hex(PYMYSQL));
    let (reason, sequence, code, message) = closed(&progress, &out);
    assert_eq!(
        (reason, sequence, code),
        (CloseReason::TooManyClients, 2, 1040)
    );
    assert_eq!(message, "Number simultaneous connections exceeded (5)");
}

#[test]
fn an_old_client_is_told_what_it_lacks() {
    let door = Door::new(MYSQL);
    let whole = response("nat", &[1; 20], native::PLUGIN, SESSION_TRACK);
    // Byte 1 has PROTOCOL_41 and SECURE_CONNECTION, byte 2 PLUGIN_AUTH.
    for (at, mask) in [(1, !0x02), (1, !0x80), (2, !0x08)] {
        let mut payload = whole.clone();
        payload[at] &= mask;
        let (_, progress, out) = door.feed(&mut door.greeted(), &packet(1, &payload));
        let (reason, sequence, code, message) = closed(&progress, &out);
        assert_eq!(
            (reason, sequence, code),
            (CloseReason::UnsupportedStartup, 2, 1251)
        );
        assert!(
            message.contains("PLUGIN_AUTH") && out[7] != b'#',
            "no SQLSTATE: {message}"
        );
    }
    // Of 3.21: two bytes of capabilities, three of length, a name.
    let (_, progress, out) = door.feed(&mut door.greeted(), &packet(1, b"\x05\0\0\0\0me\0"));
    assert_eq!(closed(&progress, &out).2, 1251);
}

#[test]
fn a_packet_out_of_order_or_too_long_is_known_by_its_header() {
    let door = Door::new(MYSQL);
    for (input, reason, code) in [
        (&b"\x20\0\0\x02"[..], CloseReason::ProtocolViolation, 1156),
        (b"\x20\0\0\0", CloseReason::ProtocolViolation, 1156),
        (b"\x01\0\x01\x01", CloseReason::MessageTooLarge, 1153),
        (b"\xff\xff\xff\x01", CloseReason::MessageTooLarge, 1153),
        (b"\0\0\0\x01", CloseReason::ProtocolViolation, 1043),
        (b"\x01\0\0\x01\x8d", CloseReason::ProtocolViolation, 1043),
    ] {
        let (_, progress, out) = door.feed(&mut door.greeted(), input);
        let said = closed(&progress, &out);
        assert_eq!((said.0, said.1, said.2), (reason, 2, code), "{input:?}");
    }
    let (used, progress, _) = door.feed(&mut door.greeted(), b"\0\0\x01\x01");
    assert!(matches!((used, progress), (0, LoginProgress::NeedMore)));
    // The same of a proof.
    let mut login = door.greeted();
    door.feed(&mut login, &hex(CONNECTOR));
    let (_, progress, out) = door.feed(&mut login, b"\x14\0\0\x04");
    assert_eq!(closed(&progress, &out).2, 1156);
}

#[test]
fn a_refusal_has_the_number_that_the_client_waits_for() {
    let told = |login: &Login| {
        let out = written(|out| login.refuse(Failure::LoginTimeout, out));
        let report = error::parse(&out[4..], Default::default()).unwrap();
        assert_eq!(report.code, 1159);
        (out[3], report.state.is_some())
    };
    let door = Door::new(MYSQL);
    assert_eq!(
        told(&Login::default()),
        (0, false),
        "in place of a greeting"
    );
    let mut login = door.greeted();
    assert_eq!(told(&login), (2, true));
    door.feed(&mut login, &hex(CONNECTOR));
    assert_eq!(told(&login), (4, true));
    door.feed(&mut login, &hex(NATIVE));
    assert_eq!(told(&login), (4, true), "in place of the OK");
}

/// An error shows as much of a name as a server's would.
#[test]
fn a_name_that_no_server_takes_is_cut() {
    let door = Door::new(MARIADB);
    let name = "é".repeat(500);
    let mut login = door.greeted();
    door.feed(
        &mut login,
        &packet(1, &response(&name, b"", b"other", SESSION_TRACK)),
    );
    let (_, progress, out) = door.feed(&mut login, &packet(3, &[1; 20]));
    let message = closed(&progress, &out).3;
    assert!(message.starts_with(&format!("Access denied for user '{}'@", "é".repeat(80))));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_nobody_gets_in_by_chance(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        (version, tls) in (prop::option::of(prop::sample::select(vec![MYSQL, MARIADB, ""])), 0..3u8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut door = Door::new(MYSQL);
        door.version = version;
        door.tls_available = tls > 0;
        door.tls = (tls > 1).then(TlsFacts::default);
        let mut damaged = hex(PYMYSQL);
        damaged[at.index(hex(PYMYSQL).len())] ^= bytes.first().copied().unwrap_or(0);
        for (input, may) in [
            (bytes.clone(), false),
            (packet(1, &bytes), false),
            ([packet(1, &response("ed", b"", b"", SESSION_TRACK)), packet(3, &bytes)].concat(), false),
            (damaged, true),
        ] {
            let mut login = Login::default();
            let mut rest = input;
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(rest.len() + 1)).collect();
            ends.push(rest.len());
            ends.sort_unstable();
            let mut gone = 0;
            for end in ends {
                let end = end.saturating_sub(gone);
                let (used, progress, _) = door.feed(&mut login, &rest[..end]);
                prop_assert!(used <= end);
                rest.drain(..used);
                gone += used;
                prop_assert!(may || !matches!(progress, LoginProgress::Admitted(_)));
            }
        }
    }
}
