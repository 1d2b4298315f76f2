//! COM_CHANGE_USER: a client that is logged in logs in again.

mod common;

use std::sync::Arc;

use common::client::admitted;
use common::door::{closed, Door, MARIADB, MYSQL};
use common::packet;
use dbproxy_engine::{CancelKey, CancelSecret, CloseReason, Engine, Identity};
use dbproxy_mysql::auth::{caching_sha2, native};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::{auth_more_data, auth_switch, command, error, ok, status};
use dbproxy_mysql::{Handover, Login, LoginProgress, Manner, MySql, Params, Scramble, Server};

/// The scramble of the connection; any other one would be of sevens.
const NINES: [u8; 20] = [9; 20];

fn handover(database: Option<&str>) -> Handover {
    Handover {
        capabilities: SESSION_TRACK.with(FOUND_ROWS).with(PLUGIN_AUTH),
        collation: 33,
        database: database.map(|name| name.as_bytes().into()),
        sequence: 2,
        certificate: None,
        scramble: Scramble::draw(&mut |bytes| bytes.fill(9)),
        answered: false,
        failures: 0,
    }
}

/// What a session says first, and the log-in that it ends in.
fn again(version: &str, handover: Handover) -> (Vec<u8>, Login) {
    let params = Arc::new(Params {
        version: version.into(),
        server: Server::new(version),
        collation: 255,
        status: status::AUTOCOMMIT,
        sql_mode: "".into(),
    });
    let key = CancelKey {
        id: 7000,
        secret: CancelSecret::shown(&[]),
    };
    let identity = Identity {
        user: "sha".into(),
        database: "".into(),
        settings: [].into(),
        traces: [].into(),
    };
    let mut out = Vec::new();
    let session = MySql::welcome(handover, &params, key, &mut out);
    let login = MySql::login_again(session, &identity).expect("a log-in");
    (out, login)
}

fn change(user: &str, database: &str, collation: u16) -> Vec<u8> {
    let head = [&[command::CHANGE_USER], user.as_bytes(), b"\0\x03old"].concat();
    let rest = [database.as_bytes(), b"\0", &collation.to_le_bytes()].concat();
    packet(0, &[head, rest, b"a_plugin\0\0".to_vec()].concat())
}

/// Asks to be that user; answers what it is asked for.
fn asked(door: &Door, login: &mut Login, said: &[u8]) -> (u8, Vec<u8>) {
    let (last, before) = said.split_last().expect("bytes");
    for part in [&b""[..], before] {
        let (used, progress, out) = door.feed(login, part);
        assert!(matches!(progress, LoginProgress::NeedMore));
        assert_eq!((used, out), (0, Vec::new()));
    }
    let (used, progress, out) = door.feed(login, &[before, &[*last]].concat());
    assert!(matches!(progress, LoginProgress::NeedMore));
    assert_eq!(used, said.len());
    let switch = auth_switch::parse(&out[4..]).expect("a request");
    assert!(switch.data.starts_with(&NINES));
    (out[3], switch.plugin.to_vec())
}

#[test]
fn it_is_asked_for_a_proof_and_is_another_user_then() {
    for version in [MYSQL, MARIADB] {
        let door = Door::new(version);
        let (_, mut login) = again(version, handover(Some("shop")));
        let (number, plugin) = asked(&door, &mut login, &change("nat", "other", 8));
        assert_eq!((number, &plugin[..]), (1, native::PLUGIN));
        let proof = native::proof(b"nat-pw", &NINES);
        let (_, progress, out) = door.feed(&mut login, &packet(2, &proof));
        assert_eq!(out, b"");
        let admission = admitted(progress);
        assert_eq!(&*admission.identity.user, "nat");
        assert_eq!(Manner::of(&admission.identity), Manner::new(FOUND_ROWS, 8));
        let left = admission.handover;
        assert_eq!(left.database.as_deref(), Some(&b"other"[..]));
        assert_eq!((left.sequence, left.answered), (3, false));
        assert_eq!(left.capabilities, handover(None).capabilities);
    }
}

#[test]
fn the_proof_of_a_new_plugin_is_confirmed_before_the_ok() {
    let door = Door::new(MYSQL);
    let (_, mut login) = again(MYSQL, handover(Some("shop")));
    let (_, plugin) = asked(&door, &mut login, &change("sha", "", 45));
    assert_eq!(plugin, caching_sha2::PLUGIN);
    let proof = caching_sha2::proof(b"sha-pw", &NINES);
    let (_, progress, out) = door.feed(&mut login, &packet(2, &proof));
    let mut passed = Vec::new();
    auth_more_data::write(caching_sha2::FAST_PASSED, &mut passed);
    assert_eq!(out, packet(3, &passed));
    let left = admitted(progress).handover;
    assert_eq!((left.database, left.sequence), (None, 4));
}

/// What MySQL does: it tells, and closes.
#[test]
fn who_fails_at_mysql_is_done() {
    let door = Door::new(MYSQL);
    for (user, reason) in [
        ("nat", CloseReason::AuthenticationFailed),
        ("nobody", CloseReason::UnknownUser),
    ] {
        let (_, mut login) = again(MYSQL, handover(None));
        asked(&door, &mut login, &change(user, "", 45));
        let (_, progress, out) = door.feed(&mut login, &packet(2, &[1; 20]));
        let (why, number, code, _) = closed(&progress, &out);
        assert_eq!((why, number, code), (reason, 3, 1045));
    }
    let (_, mut login) = again(MYSQL, handover(None));
    let (_, progress, out) = door.feed(&mut login, &packet(0, b"\x11nat\0\0app\0"));
    assert_eq!(closed(&progress, &out).2, 1047);
}

/// What MariaDB does: it tells, and goes on as before.
#[test]
fn who_fails_at_mariadb_stays_who_it_was() {
    let door = Door::new(MARIADB);
    let (_, mut login) = again(MARIADB, handover(Some("shop")));
    asked(&door, &mut login, &change("nat", "other", 8));
    let (_, progress, out) = door.feed(&mut login, &packet(2, &[1; 20]));
    assert_eq!(
        error::parse(&out[4..], FOUND_ROWS).expect("an error").code,
        1045
    );
    let LoginProgress::Stays(admission, CloseReason::AuthenticationFailed) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!(&*admission.identity.user, "sha");
    assert_eq!(Manner::of(&admission.identity), Manner::new(FOUND_ROWS, 33));
    let left = admission.handover;
    assert_eq!(left.database.as_deref(), Some(&b"shop"[..]));
    assert_eq!((left.answered, left.failures), (true, 1));
    let (welcome, _) = again(MARIADB, left);
    assert_eq!(welcome, b"");
}

#[test]
fn who_breaks_the_protocol_is_done_wherever_it_is() {
    for version in [MYSQL, MARIADB] {
        let door = Door::new(version);
        let (_, mut login) = again(version, handover(None));
        let (_, progress, _) = door.feed(&mut login, &packet(1, b"\x11nat\0\0app\0"));
        let why = CloseReason::ProtocolViolation;
        assert!(matches!(progress, LoginProgress::Close(reason) if reason == why));
    }
}

#[test]
fn a_collation_that_no_log_in_could_have_is_refused() {
    let door = Door::new(MYSQL);
    let (_, mut login) = again(MYSQL, handover(None));
    let (_, progress, out) = door.feed(&mut login, &change("nat", "", 309));
    assert_eq!(closed(&progress, &out).2, 1235);
}

#[test]
fn a_new_session_is_told_so_by_an_ok_that_names_its_database() {
    let (out, _) = again(MYSQL, handover(Some("shop")));
    assert_eq!((out[3], out[4]), (2, ok::TAG));
    let named = out.windows(4).any(|part| part == b"shop");
    assert!(named);
}
