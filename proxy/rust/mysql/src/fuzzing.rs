//! One function per kind of input, for the fuzzer and, with a fixed number of random inputs, for the
//! unit tests. Each asserts what must hold of any bytes: no panic, no range outside of the input, nothing
//! piled up, the same outcome however the bytes are cut into pieces, and a client that is never told what the
//! protocol doesn't know.

use std::sync::Arc;

use dbproxy_engine::{
    BackendLogin, BackendProgress, ClientLogin, CloseReason, DerivedKeys, Failure, Identity,
    TlsFacts,
};

use crate::credential::{
    BackendAsk, Credential, LoginEnv, LoginProgress, User, UserMethod, Users, Verifier,
};
use crate::message::frame::{self, Peek};
use crate::session::judge::Judged;
use crate::statement::{self, digest, Charset, Dialect};
use crate::{Connecting, Link, Login};

mod dialogue;
mod server;
mod table;
mod view;

pub use dialogue::dialogue;
use table::Table;

const MYSQL: &str = "8.0.31";
const MARIADB: &str = "5.5.5-10.11.19-MariaDB";
/// What a log shows of a statement at most: the mark that something is missing ends it.
const LONGEST_DIGEST: usize = 200 + "…".len();
const METHODS: [UserMethod; 3] = [
    UserMethod::CachingSha2,
    UserMethod::Native,
    UserMethod::Ed25519,
];

/// SQL texts. The first byte chooses the dialect.
pub fn statement(input: &[u8]) {
    let (first, text) = input.split_first().unwrap_or((&0, &[]));
    let charsets = [
        Charset::Utf8,
        Charset::Ascii,
        Charset::Mixed,
        Charset::Unknown,
    ];
    let version = if first & 1 == 0 { MYSQL } else { MARIADB };
    let dialect = Dialect {
        charset: charsets
            .get(usize::from(first >> 1 & 3))
            .copied()
            .unwrap_or(Charset::Utf8),
        ansi_quotes: first & 8 != 0,
        no_backslash_escapes: first & 16 != 0,
        multi_statements: first & 32 != 0,
        ..Dialect::of_version(version)
    };
    let judged = Judged::text(&statement::classify(text, dialect));
    // Behind a comment it is the same statement.
    let commented = [b"/**/", text].concat();
    assert_eq!(
        judged,
        Judged::text(&statement::classify(&commented, dialect))
    );
    assert!(digest(text, dialect).len() <= LONGEST_DIGEST);
}

/// A client's log-in. The first byte chooses method and TLS.
pub fn client_login(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&0, &[]));
    let whole = client_login_once(*first, bytes, bytes.len().max(1));
    let dripped = client_login_once(*first, bytes, 1);
    // Only behind a request for encryption does it matter what came together.
    if first & 4 == 0 {
        assert_eq!(whole, dripped);
    }
}

fn client_login_once(first: u8, bytes: &[u8], piece: usize) -> (Vec<u8>, String) {
    let method = METHODS
        .get(usize::from(first & 3))
        .copied()
        .unwrap_or(UserMethod::Native);
    let user = User {
        name: "u".into(),
        passwords: vec!["p".into()],
        credential: Credential {
            method,
            verifiers: [Verifier::new("p")].into(),
        },
    };
    let mut users = Users {
        fleet_secret: b"secret".to_vec(),
        ..Users::default()
    };
    users.by_name.insert(user.name.clone(), Arc::new(user));
    let facts = TlsFacts::default();
    let mut env = LoginEnv {
        users: &users,
        tls_available: first & 4 != 0,
        tls_required: first & 8 != 0,
        id: 1,
        version: Some(if first & 16 == 0 { MYSQL } else { MARIADB }),
        tls: (first & 32 != 0).then_some(&facts),
        shut: (first & 64 != 0)
            .then_some((CloseReason::TooManyClients, Failure::TooManyClients(1))),
        random: &mut |bytes| bytes.fill(1),
    };
    let mut login = Login::default();
    let (mut pending, mut out) = (Vec::new(), Vec::new());
    let mut pieces = bytes.chunks(piece);
    let mut chunk: &[u8] = &[];
    loop {
        pending.extend_from_slice(chunk);
        let (used, progress) = login.feed(&pending, &mut env, &mut out);
        assert!(used <= pending.len());
        pending.drain(..used);
        if !matches!(progress, LoginProgress::NeedMore) {
            return (out, format!("{progress:?}"));
        }
        match pieces.next() {
            Some(next) => chunk = next,
            None => return (out, String::new()),
        }
    }
}

/// A server's side of a backend's log-in. The first byte chooses method, TLS and the init query.
pub fn backend_login(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&0, &[]));
    // Two packets that come together speak ahead.
    let whole = backend_login_once(*first, &packets(bytes));
    let dripped: Vec<&[u8]> = bytes.chunks(1).collect();
    let dripped = backend_login_once(*first, &dripped);
    if first & 4 == 0 {
        assert_eq!(whole, dripped);
    }
}

fn packets(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while let Peek::Packet { total, .. } = frame::peek(rest) {
        let (one, behind) = rest.split_at(total.min(rest.len()));
        all.push(one);
        rest = behind;
    }
    all.push(rest);
    all
}

fn backend_login_once(first: u8, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let method = METHODS
        .get(usize::from(first & 3))
        .copied()
        .unwrap_or(UserMethod::Native);
    let ask = BackendAsk {
        identity: Identity {
            user: "u".into(),
            database: "d".into(),
            settings: Arc::from(Vec::new()),
            traces: Arc::from(Vec::new()),
        },
        password: "p".into(),
        credential: Credential {
            method,
            verifiers: [].into(),
        },
        keys: DerivedKeys::default(),
        tls_wanted: first & 4 != 0,
        tls_required: first & 8 != 0,
        init_query: (first & 16 != 0).then(|| "SELECT 1".into()),
    };
    let (mut pending, mut out) = (Vec::new(), Vec::new());
    let mut login: Connecting<Link> = Connecting::start(ask, &mut |bytes| bytes.fill(1), &mut out);
    for chunk in pieces {
        pending.extend_from_slice(chunk);
        let progress = loop {
            let (used, progress) = login.feed(&pending, None, &mut out);
            assert!(used <= pending.len());
            pending.drain(..used);
            if !matches!(progress, BackendProgress::Working) {
                break progress;
            }
        };
        match progress {
            BackendProgress::NeedMore | BackendProgress::Working => {}
            BackendProgress::Ready(link) => return (out, format!("{:?}", link.params)),
            BackendProgress::Failed(failure) => return (out, format!("{failure:?}")),
            BackendProgress::StartTls => return (out, "tls".to_owned()),
        }
    }
    (out, String::new())
}

/// A server's bytes, answering what may be asked. The first byte chooses that, and what was agreed on.
pub fn replies(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&0, &[]));
    let texts = [
        "SELECT 1",
        "BEGIN",
        "CALL p()",
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
    ];
    let text = texts
        .get(usize::from(first >> 4 & 3))
        .copied()
        .unwrap_or_default();
    let asked = || {
        let request = view::packet(0, &[b"\x03", text.as_bytes()].concat());
        Table::new(*first & 7).client(&request, request.len())
    };
    let whole = asked().server(bytes, bytes.len().max(1));
    let dripped = asked().server(bytes, 1);
    assert_eq!(whole.to_client, dripped.to_client);
    assert_eq!(whole.is_fit(), dripped.is_fit());
}

/// Both sides' bytes in turn, the backend lost at the end. The first byte chooses what was agreed on. Each chunk
/// of the others: a byte that says whose it is and how long it is, then the bytes.
pub fn session(input: &[u8]) {
    let (first, mut input) = input.split_first().unwrap_or((&0, &[]));
    let mut table = Table::new(*first);
    while let Some((head, rest)) = input.split_first() {
        let length = usize::from(head >> 1).min(rest.len());
        let (chunk, rest) = rest.split_at_checked(length).unwrap_or_default();
        table = if head & 1 == 0 {
            table.client(chunk, length.max(1))
        } else {
            table.server(chunk, length.max(1))
        };
        input = rest;
    }
    table.lose();
}

#[cfg(test)]
mod tests;
