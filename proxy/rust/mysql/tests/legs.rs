//! Both legs' log-ins against each other.

mod common;

use common::door::{credential, Door, MARIADB, MYSQL};
use common::{sevens, written};
use dbproxy_engine::{
    BackendFault, BackendLogin, BackendProgress, CloseReason, DerivedKeys, Identity,
};
use dbproxy_mysql::message::capability::*;
use dbproxy_mysql::message::status;
use dbproxy_mysql::{
    BackendAsk, Connecting, LoginProgress, Manner, Params, Ready, Server, UserMethod, SETUP,
};

/// What became of a log-in: who came in and what it goes on with, or why it didn't on either side.
#[derive(Debug)]
enum End {
    In(Identity, Vec<u8>),
    Out(CloseReason, BackendFault, String),
}

/// Our server side logs in to our client side, bytes shown one at a time if `drip`.
fn exchange(door: &Door, user: &str, password: &str, method: UserMethod, drip: bool) -> End {
    let ask = BackendAsk {
        identity: Identity {
            user: user.into(),
            database: "".into(),
            settings: Manner::new(FOUND_ROWS, 33).settings(),
            traces: [].into(),
        },
        password: password.into(),
        credential: credential(method, &[]),
        keys: DerivedKeys::default(),
        tls_wanted: false,
        tls_required: false,
        init_query: None,
    };
    let mut up = Vec::new();
    let mut asking: Connecting<Ready> = Connecting::start(ask, &mut sevens, &mut up);
    let mut login = dbproxy_mysql::Login::default();
    let (mut unread, mut down, mut identity, mut closed) = (Vec::new(), Vec::new(), None, None);
    for _ in 0..2000 {
        let step = if drip { up.len().min(1) } else { up.len() };
        unread.extend(up.drain(..step));
        match identity.take() {
            Some(identity) if up.is_empty() => return End::In(identity, unread),
            Some(waiting) => {
                identity = Some(waiting);
                continue;
            }
            None => {}
        }
        let (used, progress, said) = door.feed(&mut login, &unread);
        unread.drain(..used);
        down.extend(said);
        match progress {
            LoginProgress::NeedMore => {}
            LoginProgress::Close(reason) => closed = Some(reason),
            LoginProgress::Admitted(admission) => {
                let params = Params {
                    version: MYSQL.into(),
                    server: Server::new(MYSQL),
                    collation: 255,
                    status: status::AUTOCOMMIT,
                    sql_mode: "".into(),
                };
                down.extend(written(|out| params.welcome(&admission.handover, out)));
                identity = Some(admission.identity);
            }
            other => panic!("{other:?}"),
        }
        let (used, progress) = asking.feed(&down, None, &mut up);
        down.drain(..used);
        match (progress, closed) {
            (BackendProgress::NeedMore, _) => {}
            (BackendProgress::Failed(failure), Some(reason)) => {
                return End::Out(reason, failure.fault, failure.message)
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the exchange doesn't end")
}

#[test]
fn every_password_logs_in_by_every_plugin() {
    for version in [MYSQL, MARIADB] {
        let door = Door::new(version);
        for (user, old, method) in [
            ("sha", "sha-pw", UserMethod::CachingSha2),
            ("nat", "nat-pw", UserMethod::Native),
            ("ed", "ed-pw", UserMethod::Ed25519),
        ] {
            for (password, drip) in [(old, false), (old, true), ("new", false), ("new", true)] {
                let End::In(identity, next) = exchange(&door, user, password, method, drip) else {
                    panic!("{version} {user} {password}")
                };
                assert_eq!(&*identity.user, user);
                assert_eq!(Manner::of(&identity), Manner::new(FOUND_ROWS, 33));
                let setup = common::packet(0, format!("\x03{SETUP}").as_bytes());
                assert_eq!(next, setup, "it is in, and goes on");
            }
        }
    }
}

#[test]
fn a_wrong_password_is_one_on_either_side() {
    let door = Door::new(MYSQL);
    for (user, method) in [
        ("sha", UserMethod::CachingSha2),
        ("nat", UserMethod::Native),
        ("ed", UserMethod::Ed25519),
        ("who", UserMethod::CachingSha2),
    ] {
        let End::Out(reason, fault, message) = exchange(&door, user, "wrong", method, true) else {
            panic!("{user}")
        };
        let unknown = user == "who";
        assert_eq!(reason == CloseReason::UnknownUser, unknown);
        assert_eq!(reason == CloseReason::AuthenticationFailed, !unknown);
        assert_eq!(fault, BackendFault::WrongPassword);
        let expected = format!("Access denied for user '{user}'@'%' (using password: YES)");
        assert_eq!(message, expected);
    }
}
