//! The front thread's part in a client's log-in.

use std::collections::HashMap;
use std::sync::Arc;

use dbproxy_engine::{ClientLogin, CloseReason, Failure, Password, TlsFacts};
use dbproxy_postgres::{
    verifier, Credential, Login, LoginEnv, LoginProgress, User, UserMethod, Users,
};

pub fn users(method: UserMethod) -> Users {
    let secret = b"fleet".to_vec();
    let passwords: Vec<Password> = vec!["new".into(), "old \u{e9}".into()];
    let user = User {
        name: "app".into(),
        credential: Credential {
            method,
            verifiers: passwords
                .iter()
                .map(|p| verifier("app", p.reveal(), &secret))
                .collect(),
        },
        passwords,
    };
    Users {
        by_name: HashMap::from([(user.name.clone(), Arc::new(user))]),
        fleet_secret: secret,
    }
}

/// The front thread's part.
pub struct Door {
    pub users: Users,
    pub tls_available: bool,
    pub tls_required: bool,
    pub tls: Option<TlsFacts>,
    pub shut: Option<(CloseReason, Failure)>,
}

impl Door {
    pub fn new(method: UserMethod) -> Self {
        Self {
            users: users(method),
            tls_available: false,
            tls_required: false,
            tls: None,
            shut: None,
        }
    }

    pub fn feed(&self, login: &mut Login, input: &[u8]) -> (usize, LoginProgress, Vec<u8>) {
        let mut next = 0u8;
        let mut random = |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_add(37);
                *byte = next;
            }
        };
        let mut env = LoginEnv {
            shut: self.shut,
            id: 1,
            version: None,
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

    pub fn one(&self, input: &[u8]) -> (LoginProgress, Vec<u8>) {
        let (_, progress, out) = self.feed(&mut Login::default(), input);
        (progress, out)
    }
}

/// A StartupMessage.
pub fn startup(pairs: &[(&str, &str)]) -> Vec<u8> {
    first(0x0003_0000, pairs)
}

/// A first packet of that code.
pub fn first(code: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    for (name, value) in pairs {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    let mut out = (body.len() as u32 + 4).to_be_bytes().to_vec();
    out.extend(body);
    out
}

/// Why a log-in ended.
pub fn closed(progress: LoginProgress) -> CloseReason {
    match progress {
        LoginProgress::Close(reason) => reason,
        other => panic!("{other:?}"),
    }
}
