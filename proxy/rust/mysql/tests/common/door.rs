//! The client leg's log-in and what it may ask of the world.

use std::sync::Arc;

use dbproxy_engine::{ClientLogin, CloseReason, Failure, TlsFacts};
use dbproxy_mysql::message::error;
use dbproxy_mysql::{
    Credential, Login, LoginEnv, LoginProgress, User, UserMethod, Users, Verifier,
};

use super::{sevens, written};

pub const MYSQL: &str = "8.0.31";
pub const MARIADB: &str = "5.5.5-10.11.19-MariaDB";

pub struct Door {
    pub users: Users,
    pub version: Option<&'static str>,
    pub tls_available: bool,
    pub tls_required: bool,
    pub tls: Option<TlsFacts>,
    pub shut: Option<(CloseReason, Failure)>,
    pub random: fn(&mut [u8]),
}

/// Those of captured log-ins.
pub fn users() -> Users {
    let mut users = Users::default();
    for (name, method, passwords) in [
        ("sha", UserMethod::CachingSha2, &["new", "sha-pw"][..]),
        ("nat", UserMethod::Native, &["new", "nat-pw"]),
        ("ed", UserMethod::Ed25519, &["new", "ed-pw"]),
        ("none", UserMethod::Native, &[""]),
    ] {
        add(&mut users, name, method, passwords);
    }
    users
}

pub fn credential(method: UserMethod, passwords: &[&str]) -> Credential {
    Credential {
        method,
        verifiers: passwords.iter().map(|text| Verifier::new(text)).collect(),
    }
}

pub fn add(users: &mut Users, name: &str, method: UserMethod, passwords: &[&str]) {
    let user = User {
        name: name.into(),
        passwords: passwords.iter().map(|text| (*text).into()).collect(),
        credential: credential(method, passwords),
    };
    users.by_name.insert(name.into(), Arc::new(user));
}

impl Door {
    pub fn new(version: &'static str) -> Self {
        Self {
            users: users(),
            version: Some(version),
            tls_available: false,
            tls_required: false,
            tls: None,
            shut: None,
            random: sevens,
        }
    }

    pub fn feed(&self, login: &mut Login, input: &[u8]) -> (usize, LoginProgress, Vec<u8>) {
        let mut out = Vec::new();
        let mut random = self.random;
        let mut env = LoginEnv {
            users: &self.users,
            tls_available: self.tls_available,
            tls_required: self.tls_required,
            id: 7000,
            version: self.version,
            tls: self.tls.as_ref(),
            shut: self.shut,
            random: &mut random,
        };
        let (used, progress) = login.feed(input, &mut env, &mut out);
        (used, progress, out)
    }

    /// A login that has greeted.
    pub fn greeted(&self) -> Login {
        let mut login = Login::default();
        assert!(matches!(
            self.feed(&mut login, b"").1,
            LoginProgress::NeedMore
        ));
        login
    }
}

/// Why a login closes, and the number and the error of what it says.
pub fn closed(progress: &LoginProgress, out: &[u8]) -> (CloseReason, u8, u16, String) {
    let LoginProgress::Close(reason) = progress else {
        panic!("{progress:?}")
    };
    let report = error::parse(&out[4..], Default::default()).unwrap();
    let message = String::from_utf8(report.message.to_vec()).unwrap();
    assert_eq!(
        out.len(),
        4 + usize::from(out[0]) + usize::from(out[1]) * 256
    );
    (*reason, out[3], report.code, message)
}

/// A payload and its packet, put together.
pub fn said(write: impl FnOnce(&mut Vec<u8>), sequence: u8) -> Vec<u8> {
    super::packet(sequence, &written(write))
}
