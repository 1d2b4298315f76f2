//! The client leg's log-in, by bytes of clients that came with their defaults.

mod common;

use common::client::*;
use common::door::{closed, Door, MARIADB, MYSQL};
use common::{hex, packet, sevens, written};
use dbproxy_engine::{Admission, ClientLogin, CloseReason, TlsFacts};
use dbproxy_mysql::auth::{caching_sha2, native};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::{auth_switch, greeting, ok, session_track, status};
use dbproxy_mysql::{Handover, Kind, Login, LoginProgress, Manner, Params, Server};

#[test]
fn it_says_what_it_is_as_soon_as_that_is_known() {
    let mut door = Door::new(MYSQL);
    door.version = None;
    let mut login = Login::default();
    let (used, progress, out) = door.feed(&mut login, b"");
    assert!(matches!((used, progress), (0, LoginProgress::NeedMore)) && out.is_empty());
    door.version = Some(MYSQL);
    let (_, _, out) = door.feed(&mut login, b"");
    let expected = "4a0000000a382e302e333100581b00000707070707070707008fa7ff0200ff0915000000000000\
        000000000707070707070707070707070063616368696e675f736861325f70617373776f726400";
    assert_eq!(out, hex(expected));
    assert!(door.feed(&mut login, b"").2.is_empty(), "once");
}

#[test]
fn what_it_offers_is_what_such_a_server_has() {
    let greeting = |version, tls| {
        let mut door = Door::new(version);
        door.tls_available = tls;
        door.feed(&mut Login::default(), b"").2
    };
    for (version, plugin, collation, attributes) in [
        (MYSQL, caching_sha2::PLUGIN, 255, true),
        ("8.0.22", caching_sha2::PLUGIN, 255, false),
        ("5.7.29-log", native::PLUGIN, 45, false),
        (MARIADB, native::PLUGIN, 45, false),
        ("11.4.5-MariaDB", native::PLUGIN, 45, false),
    ] {
        for tls in [false, true] {
            let wire = greeting(version, tls);
            let said = greeting::parse(&wire[4..]).unwrap();
            assert_eq!((said.version, said.plugin), (version.as_bytes(), plugin));
            assert_eq!((said.thread_id, said.status), (7000, status::AUTOCOMMIT));
            assert_eq!(said.collation, collation, "{version}");
            let has = |capability| said.capabilities.has(capability);
            assert_eq!((has(QUERY_ATTRIBUTES), has(SSL)), (attributes, tls));
            assert_eq!(
                has(LONG_PASSWORD),
                plugin != native::PLUGIN || version == "5.7.29-log"
            );
            assert!(has(SESSION_TRACK) && has(DEPRECATE_EOF) && has(LOCAL_FILES));
            assert!(!has(COMPRESS) && !has(ZSTD_COMPRESSION) && !has(OPTIONAL_RESULTSET_METADATA));
            assert_eq!(said.capabilities.extended(), 0);
        }
    }
}

/// A scramble is of ASCII without what some clients end it at.
#[test]
fn a_scramble_is_one_that_every_client_reads() {
    for (drawn, said) in [(0, 1), (0x80, 1), (b'$', b'%'), (0xff, 0x7f), (7, 7)] {
        let mut login = Login::default();
        let mut out = Vec::new();
        let mut random = |bytes: &mut [u8]| bytes.fill(drawn);
        let door = Door::new(MYSQL);
        let mut env = dbproxy_mysql::LoginEnv {
            users: &door.users,
            tls_available: false,
            tls_required: false,
            id: 0,
            version: Some(MYSQL),
            tls: None,
            shut: None,
            random: &mut random,
        };
        login.feed(b"", &mut env, &mut out);
        assert_eq!(greeting::parse(&out[4..]).unwrap().scramble, [said; 20]);
    }
}

#[test]
fn a_guess_by_the_right_plugin_lets_in_at_once() {
    let door = Door::new(MYSQL);
    let mut login = door.greeted();
    let input = hex(PYMYSQL);
    let (used, progress, out) = door.feed(&mut login, &input);
    assert_eq!((used, login.claimed_user()), (input.len(), "sha"));
    assert_eq!(
        out,
        hex("020000020103"),
        "the proof was right; the OK is the welcome's"
    );
    let Admission { identity, handover } = admitted(progress);
    assert_eq!((&*identity.user, &*identity.database), ("sha", ""));
    let manner = Manner::of(&identity);
    assert_eq!(
        (manner.capabilities, manner.collation),
        (Capabilities::default(), 45)
    );
    assert_eq!(identity.settings, manner.settings());
    assert_eq!(handover.database.as_deref(), Some(&b"app"[..]));
    assert_eq!((handover.sequence, handover.collation), (3, 45));
    let spoken = handover.capabilities;
    assert!(spoken.has(CONNECT_WITH_DB) && !spoken.has(SESSION_TRACK) && !spoken.has(ODBC));

    let mariadb = Door::new(MARIADB);
    let mut login = mariadb.greeted();
    let (_, progress, out) = mariadb.feed(&mut login, &hex(MARIADB_CLIENT));
    let Admission { identity, handover } = admitted(progress);
    assert!(out.is_empty());
    assert_eq!((handover.sequence, handover.collation), (2, 33));
    assert_eq!(
        Manner::of(&identity).capabilities,
        MULTI_STATEMENTS.with(LOCAL_FILES)
    );
    assert!(handover.capabilities.has(SESSION_TRACK) && !handover.capabilities.has(MARIADB_BULK));
}

#[test]
fn who_has_another_plugin_is_asked_by_that() {
    for (version, user, first, second, plugin, length) in [
        (MYSQL, "nat", CONNECTOR, NATIVE, native::PLUGIN, 21),
        (
            MARIADB,
            "ed",
            PYMYSQL_ED25519,
            SIGNATURE,
            &b"client_ed25519"[..],
            32,
        ),
    ] {
        let door = Door::new(version);
        let mut login = door.greeted();
        let (_, progress, out) = door.feed(&mut login, &hex(first));
        assert!(matches!(progress, LoginProgress::NeedMore), "{user}");
        assert_eq!(out[3], 2);
        let switch = auth_switch::parse(&out[4..]).unwrap();
        assert_eq!((switch.plugin, switch.data.len()), (plugin, length));
        let (_, progress, out) = door.feed(&mut login, &hex(second));
        let Admission { identity, handover } = admitted(progress);
        assert!(out.is_empty());
        assert_eq!((&*identity.user, handover.sequence), (user, 4));
    }
}

/// Some say the name of the right plugin and nothing more; they may have no password, or wait to be asked.
#[test]
fn a_guess_that_is_no_proof_is_asked_again() {
    let door = Door::new(MYSQL);
    for proof in [&b""[..], b"\0", &[1; 19], &[1; 21]] {
        let mut login = door.greeted();
        let first = packet(1, &response("nat", proof, native::PLUGIN, SSL.without(SSL)));
        let (_, progress, out) = door.feed(&mut login, &first);
        assert!(matches!(progress, LoginProgress::NeedMore));
        let expected = [b"\xfemysql_native_password\0", &SEVENS[..], b"\0"].concat();
        assert_eq!(out, packet(2, &expected));
    }
}

#[test]
fn every_password_of_a_user_lets_in_and_no_other() {
    let door = Door::new(MARIADB);
    for (password, right) in [("new", true), ("nat-pw", true), ("old", false)] {
        let (_, progress, out) = door.feed(&mut door.greeted(), &native_response("nat", password));
        if right {
            admitted(progress);
            continue;
        }
        let (reason, sequence, code, message) = closed(&progress, &out);
        assert_eq!(reason, CloseReason::AuthenticationFailed);
        assert_eq!((sequence, code), (2, 1045));
        assert_eq!(
            message,
            "Access denied for user 'nat'@'%' (using password: YES)"
        );
        assert_eq!(out[7..13], *b"#28000");
    }
}

#[test]
fn tls_begins_with_the_clients_handshake_and_goes_on_with_its_response() {
    let mut door = Door::new(MYSQL);
    (door.tls_available, door.tls_required) = (true, true);
    for behind in [&b""[..], b"\x16\x03\x01"] {
        let mut login = door.greeted();
        let request = ssl_request();
        let (used, progress, out) = door.feed(&mut login, &[&request[..], behind].concat());
        assert_eq!(used, request.len(), "the handshake's bytes are for TLS");
        assert!(matches!(progress, LoginProgress::StartTls) && out.is_empty());
        door.tls = Some(TlsFacts::default());
        let mut inside = hex(PYMYSQL);
        inside[3] = 2;
        let (_, progress, out) = door.feed(&mut login, &inside);
        assert_eq!(out, hex("020000030103"));
        assert_eq!(admitted(progress).handover.sequence, 4);
        // Once is enough.
        let mut login = door.greeted();
        let (_, progress, out) = door.feed(&mut login, &request);
        assert_eq!(closed(&progress, &out).2, 1043);
        door.tls = None;
    }
}

/// Cut anywhere, a response waits for its rest; cut short in its packet, it is none.
#[test]
fn a_response_is_waited_for_to_its_end() {
    let door = Door::new(MYSQL);
    let whole = hex(PYMYSQL);
    for end in 0..whole.len() {
        let mut login = door.greeted();
        let (used, progress, out) = door.feed(&mut login, &whole[..end]);
        assert!(matches!((used, progress), (0, LoginProgress::NeedMore)) && out.is_empty());
        admitted(door.feed(&mut login, &whole).1);
        if end > 4 {
            let (_, progress, out) = door.feed(&mut door.greeted(), &packet(1, &whole[4..end]));
            let (_, _, code, _) = closed(&progress, &out);
            // Without its plugin and attributes it is a guess with a NUL less.
            assert!(matches!(code, 1043 | 1251 | 1045), "{end} {code}");
        }
    }
}

/// What MariaDB's connector for Node 3.5.4 believed by its defaults, and didn't believe without: of a
/// certificate with this SHA-256.
#[test]
fn clients_of_mariadb_are_given_a_proof_of_the_certificate() {
    let end_point = hex("40b23eb3baa49d4bd251f87eee3d5c2ee6e09894b04cb2dd3e1ff07ad3f5ae67");
    let facts = |end_point: &[u8]| TlsFacts {
        end_point: Some(end_point.to_vec()),
        ..TlsFacts::default()
    };
    let given = |version, tls: Option<TlsFacts>, first: &[u8], second: &[u8]| {
        let door = Door {
            tls,
            ..Door::new(version)
        };
        let mut login = door.greeted();
        let (_, mut progress, _) = door.feed(&mut login, first);
        if !second.is_empty() {
            progress = door.feed(&mut login, second).1;
        }
        admitted(progress).handover.certificate
    };
    const SINCE: &str = "11.4.1-MariaDB";
    let proof = |digits: &str| Some(format!("\u{1}{digits}").into_boxed_str());
    let native = native_response("nat", "nat-pw");
    let by_native = "94ff54a62a2d2dd91af9cbc48eebdace018933997047c76488d71471c719a908";
    let tls = || Some(facts(&end_point));
    assert_eq!(given(SINCE, tls(), &native, b""), proof(by_native));
    let newer = native_response("nat", "new");
    let by_newer = given(SINCE, tls(), &newer, b"");
    assert!(by_newer.is_some() && by_newer != proof(by_native));
    let by_ed25519 = "5af17a8082e35fdefa91ee815da57e79df0cd26bf801c03d891daa74cedf5e89";
    let signed = given(SINCE, tls(), &hex(PYMYSQL_ED25519), &hex(SIGNATURE));
    assert_eq!(signed, proof(by_ed25519));
    for (version, tls, first) in [
        (SINCE, None, &native),
        ("11.4.0-MariaDB", tls(), &native),
        (MARIADB, tls(), &native),
        (MYSQL, tls(), &native),
        (SINCE, Some(TlsFacts::default()), &native),
        // Another hash than the fingerprint's, and a plugin that proves nothing.
        (SINCE, Some(facts(&[7; 48])), &native),
        (SINCE, tls(), &hex(PYMYSQL)),
    ] {
        assert_eq!(given(version, tls, first, b""), None, "{version}");
    }
}

#[test]
fn the_welcome_is_the_ok_that_a_server_says() {
    let params = Params {
        version: MYSQL.into(),
        server: Server::new(MYSQL),
        collation: 255,
        status: status::AUTOCOMMIT,
        sql_mode: "".into(),
    };
    let mut handover = Handover {
        capabilities: SESSION_TRACK,
        collation: 45,
        database: Some(b"app"[..].into()),
        sequence: 4,
        certificate: None,
        scramble: dbproxy_mysql::Scramble::draw(&mut sevens),
        answered: false,
        failures: 0,
    };
    // As MySQL 8.0.31 and MariaDB 10.11.19 said it.
    let reported = hex("0f000004 000000024000000006010403617070");
    assert_eq!(written(|out| params.welcome(&handover, out)), reported);
    let said = ok::parse(&reported[4..], ok::TAG, SESSION_TRACK).unwrap();
    let changes = session_track::parse(said.changes.unwrap()).unwrap();
    assert_eq!(changes, [session_track::Change::Schema(b"app")]);
    let bare = hex("07000004 00000002000000");
    handover.database = None;
    assert_eq!(written(|out| params.welcome(&handover, out)), bare);
    handover.certificate = Some("\u{1}ab".into());
    let out = written(|out| params.welcome(&handover, out));
    let said = ok::parse(&out[4..], ok::TAG, SESSION_TRACK).unwrap();
    assert_eq!((said.info, said.changes), (&b"\x01ab"[..], None));
    handover.certificate = None;
    handover.database = Some(b"app"[..].into());
    handover.capabilities = Capabilities::default();
    assert_eq!(written(|out| params.welcome(&handover, out)), bare);
}

#[test]
fn a_version_says_whose_a_server_is() {
    for (text, kind, number) in [
        (MYSQL, Kind::MySql, 80_031),
        ("5.7.29-log", Kind::MySql, 50_729),
        (MARIADB, Kind::MariaDb, 101_119),
        ("11.4.5-MariaDB-ubu2404-log", Kind::MariaDb, 110_405),
        ("10.6.14-mariadb", Kind::MariaDb, 100_614),
        ("5.5.5-10.2", Kind::MariaDb, 100_200),
        ("", Kind::MySql, 0),
        ("999999999999.5", Kind::MySql, 500),
    ] {
        assert_eq!(Server::new(text), Server { kind, number }, "{text}");
    }
    assert!(Server::new("8.0.0").is_mysql(80_000) && !Server::new("5.7.9").is_mysql(80_000));
    assert!(!Server::new("10.11.1-MariaDB").is_mysql(80_000));
}

/// Some clients make the proof of a later COM_CHANGE_USER for the scramble that they had first.
#[test]
fn a_connection_has_one_scramble() {
    let mut door = Door::new(MYSQL);
    let mut login = door.greeted();
    door.random = |bytes| bytes.fill(9);
    let guess = response("nat", &[1; 32], b"caching_sha2_password", SESSION_TRACK);
    let (_, _, out) = door.feed(&mut login, &packet(1, &guess));
    let switch = dbproxy_mysql::message::auth_switch::parse(&out[4..]).expect("a request");
    assert_eq!(switch.data, [&SEVENS[..], b"\0"].concat());
}
