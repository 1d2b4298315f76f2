//! What backends' log-ins are asked with.

use std::sync::Arc;

use dbproxy_engine::{DerivedKeys, Identity};
use dbproxy_postgres::{BackendAsk, Credential, UserMethod};

pub fn identity() -> Identity {
    Identity {
        user: "app".into(),
        database: "shop".into(),
        settings: Arc::from(Vec::new()),
        traces: Arc::from(Vec::new()),
    }
}

/// What a backend's log-in needs of a user whose clients log in so.
pub fn proven_by(method: UserMethod) -> Credential {
    let verifiers = [].into();
    Credential { method, verifiers }
}

/// Fills with what isn't random.
pub fn sevens(bytes: &mut [u8]) {
    bytes.fill(7);
}

pub fn ask() -> BackendAsk {
    BackendAsk {
        identity: identity(),
        password: "secret".into(),
        credential: proven_by(UserMethod::ScramSha256),
        keys: DerivedKeys::default(),
        tls_wanted: false,
        tls_required: false,
        init_query: None,
    }
}
