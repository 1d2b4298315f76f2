//! What a server may not ask or say when the proxy logs in, and what its refusals mean.

mod common;

use common::server::*;
use common::{hex, packet};
use dbproxy_engine::{BackendFault, BackendLogin, BackendProgress};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::{BackendAsk, Manner, Ready, UserMethod, SETUP};
use proptest::prelude::*;

/// Whether a server that asks for this is answered, of a user with that method.
fn is_given(method: UserMethod, tls: Option<bool>, asking: &[Vec<u8>]) -> bool {
    let asked = BackendAsk {
        tls_wanted: tls.is_some(),
        ..ask("nat", method)
    };
    let facts = tls.map(verified);
    let mut said = vec![hex(MYSQL)];
    said.extend_from_slice(asking);
    match dialogue(asked, facts.as_ref(), &said) {
        (BackendProgress::Failed(failure), answers) => {
            assert_eq!(failure.fault, BackendFault::NotLetIn, "{failure:?}");
            assert!(failure.message.contains("VERIFY_CA") && failure.verbatim.is_none());
            assert!(answers.last().unwrap().is_empty());
            false
        }
        (_, answers) => {
            assert!(!answers.last().unwrap().is_empty());
            true
        }
    }
}

#[test]
fn a_server_that_nobody_verified_is_given_no_more_than_the_users_clients_give() {
    use UserMethod::{CachingSha2, Ed25519, Native};
    for (tls, sequence) in [(None, 2), (Some(false), 3), (Some(true), 3)] {
        let sure = tls == Some(true);
        let switch = |plugin: &[u8], data: &[u8]| {
            let data = [b"\xfe", plugin, b"\0", data].concat();
            vec![packet(sequence, &data)]
        };
        let clear = switch(b"mysql_clear_password", b"");
        let full = vec![packet(sequence, &[1, 4])];
        let native = switch(b"mysql_native_password", &[7; 21]);
        let ed25519 = switch(b"client_ed25519", &[7; 32]);
        for method in [CachingSha2, Native, Ed25519] {
            assert_eq!(is_given(method, tls, &clear), sure, "{method:?} {tls:?}");
            assert!(is_given(method, tls, &ed25519));
            assert_eq!(is_given(method, tls, &native), sure || method != Ed25519);
        }
        assert!(is_given(CachingSha2, tls, &full));
        assert_eq!(is_given(Native, tls, &full), sure);
    }
    // Inside TLS it is the password itself, outside a request for the key.
    let asked = |tls| BackendAsk {
        tls_wanted: tls,
        ..ask("sha", CachingSha2)
    };
    let facts = verified(true);
    let said = [hex(MYSQL), packet(3, &[1, 4])];
    let (_, answers) = dialogue(asked(true), Some(&facts), &said);
    assert_eq!(answers[2], packet(4, b"sha-pw\0"));
}

#[test]
fn what_the_proxy_can_not_do_is_said() {
    for (plugin, method) in [
        ("sha256_password", UserMethod::CachingSha2),
        ("dialog", UserMethod::Native),
    ] {
        let switch = packet(
            2,
            format!("\u{fe}{plugin}\0").replace('\u{fe}', "").as_bytes(),
        );
        let mut switch = switch;
        switch.insert(4, 0xfe);
        switch[0] += 1;
        let (progress, _) = dialogue(ask("nat", method), None, &[hex(MYSQL), switch]);
        let failure = failed(progress);
        assert_eq!(failure.fault, BackendFault::NotLetIn);
        assert!(failure.message.contains(plugin), "{}", failure.message);
    }
}

#[test]
fn a_server_that_lacks_what_is_needed_is_refused() {
    let all = Capabilities::from_wire(u32::MAX, 0);
    for (lacking, name) in [
        (SESSION_TRACK, "session tracking"),
        (DEPRECATE_EOF, "results without EOF"),
        (PLUGIN_AUTH, "plugins"),
    ] {
        let (progress, answers) = dialogue(
            ask("nat", UserMethod::Native),
            None,
            &[greeting(all.without(lacking))],
        );
        let failure = failed(progress);
        assert_eq!(failure.fault, BackendFault::Unavailable);
        let message = failure.message;
        assert!(
            message.contains(name) && message.contains("5.6.24"),
            "{message}"
        );
        assert!(answers[0].is_empty());
    }
    let mut asked = ask("nat", UserMethod::Native);
    let none = all.without(QUERY_ATTRIBUTES);
    let (_, answers) = dialogue(asked.clone(), None, &[greeting(none)]);
    assert!(!answers[0].is_empty());
    asked.identity.settings = Manner::new(QUERY_ATTRIBUTES, 45).settings();
    let (progress, _) = dialogue(asked.clone(), None, &[greeting(none)]);
    assert!(failed(progress).message.contains("query attributes"));
    // Where they are agreed on, the proxy's own queries have none.
    let said = [greeting(all), done(2)];
    let (_, answers) = dialogue(asked, None, &said);
    assert_eq!(
        answers[1],
        packet(0, format!("\x03\0\x01{SETUP}").as_bytes())
    );
}

#[test]
fn a_mariadb_that_tells_of_other_variables_is_refused() {
    let all = Capabilities::from_wire(u32::MAX, 0);
    for (version, refused) in [
        ("11.4.5-MariaDB", true),
        ("5.5.5-11.8.9-MariaDB-log", true),
        ("5.5.5-10.11.19-MariaDB", false),
        ("12.0.0", false),
    ] {
        let greeted = greeting_of(version, all);
        let (progress, answers) = dialogue(ask("nat", UserMethod::Native), None, &[greeted]);
        assert_eq!(answers[0].is_empty(), refused, "{version}");
        if refused {
            let failure = failed(progress);
            assert_eq!(failure.fault, BackendFault::Unavailable);
            assert!(failure.message.contains(version), "{}", failure.message);
        }
    }
}

#[test]
fn what_a_server_says_no_by_tells_of_whom_that_is() {
    use BackendFault::*;
    for (code, fault) in [
        (1045, WrongPassword),
        (1044, Refused),
        (1049, Refused),
        (1193, Refused),
        (1040, Full),
        (1203, Full),
        (1226, Full),
        (1053, Unavailable),
        (1129, Unavailable),
        (1130, Unavailable),
        (1043, Garbled),
        (1835, Garbled),
        (1698, NotLetIn),
        (1820, NotLetIn),
        (1862, NotLetIn),
        (3118, NotLetIn),
        (4151, NotLetIn),
        (3159, NotLetIn),
    ] {
        let said = [hex(MARIADB), error_of(code, 2)];
        let (progress, _) = dialogue(ask("nat", UserMethod::Native), None, &said);
        let failure = failed(progress);
        assert_eq!((failure.fault, &*failure.message), (fault, "why"), "{code}");
        assert_eq!(failure.code, code.to_string());
        // The proxy's password is none of its clients' business.
        let theirs = !matches!(code, 1045 | 1698);
        assert_eq!(failure.verbatim, theirs.then(|| error_of(code, 0)));
    }
    let said = [hex(MARIADB), packet(2, &hex(DENIED))];
    let (progress, _) = dialogue(ask("nat", UserMethod::Native), None, &said);
    assert_eq!(failed(progress).fault, WrongPassword);
}

/// Before its greeting a server is anybody, and says an error without an SQLSTATE.
#[test]
fn an_error_in_place_of_a_greeting_is_not_passed_on() {
    let said = packet(0, b"\xff\x10\x04Too many connections");
    let (progress, _) = dialogue(ask("nat", UserMethod::Native), None, &[said]);
    let failure = failed(progress);
    assert_eq!(
        (failure.fault, &*failure.code),
        (BackendFault::Full, "1040")
    );
    assert_eq!(
        (&*failure.message, failure.verbatim),
        ("Too many connections", None)
    );
}

/// What comes of an init query that is answered so.
fn initialised(answer: &[Vec<u8>], capabilities: Capabilities) -> BackendProgress<Ready> {
    let mut asked = ask("nat", UserMethod::Native);
    asked.identity.settings = Manner::new(capabilities, 45).settings();
    asked.init_query = Some("…".into());
    let said = [
        hex(MARIADB),
        done(2),
        hex(SET_ON_MARIADB),
        answer.concat(),
        hex(OPTION_SET),
    ];
    dialogue(asked, None, &said).0
}

#[test]
fn the_init_query_is_followed_to_its_last_result() {
    // Of one column: behind its count, and before its row, in what MySQL said.
    let column = &hex(INIT)[5..32];
    let old = |more: u8| {
        let rows = [
            packet(1, &[1]),
            column.to_vec(),
            packet(3, b"\xfe\0\0\x02\0"),
            packet(4, b"\x011"),
            packet(5, &[0xfe, 0, 0, 2 | more, 0]),
        ];
        rows.concat()
    };
    assert_eq!(ready(initialised(&[old(0)], FOUND_ROWS)).params.status, 2);
    let two = [old(8), done(6)];
    ready(initialised(&two, FOUND_ROWS));
    // Out of step: an OK where columns must end, a row that asks for a file, a second answer.
    let wrong = [packet(1, &[1]), column.to_vec(), done(3)];
    assert_eq!(
        failed(initialised(&wrong, FOUND_ROWS)).fault,
        BackendFault::Garbled
    );
    let file = [packet(1, b"\xfb/etc/passwd")];
    assert_eq!(
        failed(initialised(&file, DEPRECATE_EOF)).fault,
        BackendFault::Garbled
    );
    let open = [packet(1, b"\0\0\0\x03\0\0\0")];
    let failure = failed(initialised(&open, DEPRECATE_EOF));
    assert!(
        failure.message.contains("transaction"),
        "{}",
        failure.message
    );
    // An error amid the rows is the init query's.
    let amid = [packet(1, &[1]), column.to_vec(), error_of(1105, 3)];
    let failure = failed(initialised(&amid, DEPRECATE_EOF));
    assert_eq!(
        (&*failure.code, failure.verbatim),
        ("1105", Some(error_of(1105, 0)))
    );
    let long = [b"\x01\0\x10\x01".to_vec()];
    let failure = failed(initialised(&long, DEPRECATE_EOF));
    assert_eq!(failure.fault, BackendFault::Garbled);
}

#[test]
fn only_what_lasts_of_a_status_is_kept() {
    let said = packet(1, &[0, 0, 0, 0x32, 0xc2, 0, 0, 0, 0]);
    let ready = ready(initialised(&[said], DEPRECATE_EOF));
    assert_eq!(ready.params.status, 0x8202);
}

#[test]
fn what_no_server_says_ends_it() {
    let native = || ask("nat", UserMethod::Native);
    for said in [
        vec![packet(1, &hex(MARIADB)[4..])],
        vec![b"\0\0\x02\0".to_vec()],
        vec![packet(0, b"")],
        vec![packet(0, b"\x09 3.22")],
        vec![hex(MARIADB), done(1)],
        vec![hex(MARIADB), packet(2, b"")],
        vec![hex(MARIADB), packet(2, &[2])],
        vec![hex(MARIADB), packet(2, &[1, 3])],
        vec![hex(MARIADB), packet(2, b"\xfemysql_native_password\0short")],
        vec![hex(MARIADB), packet(2, b"\xfename")],
        vec![hex(MARIADB), packet(2, b"\0\0\0\x0a\0\0\0")],
        vec![hex(MARIADB), done(2), packet(1, b"\x01")],
        vec![
            hex(MARIADB),
            done(2),
            packet(1, b"\0\0\0\x02\x40\0\0\0\x02\0\x05"),
        ],
        vec![
            hex(MARIADB),
            packet(2, &hex(SWITCH_TO_NATIVE)[4..]),
            packet(4, &hex(SWITCH_TO_NATIVE)[4..]),
        ],
    ] {
        let (progress, _) = dialogue(native(), None, &said);
        assert_eq!(failed(progress).fault, BackendFault::Garbled, "{said:?}");
    }
    let key = |bytes: &[u8]| vec![hex(MYSQL), hex(FULL_WANTED), packet(4, bytes)];
    for said in [key(b"\x01no key"), key(b"\0"), key(b"\x01")] {
        let (progress, _) = dialogue(ask("sha", UserMethod::CachingSha2), None, &said);
        assert_eq!(failed(progress).fault, BackendFault::Garbled);
    }
}

proptest! {
    #[test]
    fn nothing_that_a_server_says_makes_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        tag in prop::sample::select(vec![0u8, 1, 2, 0xfb, 0xfe, 0xff]),
        (stage, at) in (0..5usize, any::<prop::sample::Index>()),
        tls in any::<Option<bool>>(),
    ) {
        let asked = BackendAsk {
            init_query: Some("SELECT 1".into()),
            tls_wanted: tls.is_some(),
            ..ask("sha", UserMethod::CachingSha2)
        };
        let good = [hex(MYSQL), hex(FULL_WANTED), hex(KEY), done(6), hex(SET_ON_MYSQL)];
        let facts = tls.map(verified);
        for sequence in 0..8 {
            let wild = packet(sequence, &[&[tag], &bytes[..]].concat());
            let said = [&good[..stage], &[wild, bytes.clone()]].concat();
            let mut login = connecting(asked.clone());
            let mut tls = None;
            for packets in said {
                let (used, progress) = login.feed(&packets, tls, &mut Vec::new());
                prop_assert!(used <= packets.len());
                match progress {
                    BackendProgress::StartTls => tls = facts.as_ref(),
                    BackendProgress::NeedMore => {}
                    _ => break,
                }
            }
        }
        // A bit of a good dialogue flipped.
        let mut login = connecting(ask("sha", UserMethod::CachingSha2));
        for packets in &good {
            let mut packets = packets.clone();
            let place = at.index(packets.len());
            packets[place] ^= tag | 1;
            if !matches!(login.feed(&packets, None, &mut Vec::new()).1, BackendProgress::NeedMore) {
                break;
            }
        }
    }
}
