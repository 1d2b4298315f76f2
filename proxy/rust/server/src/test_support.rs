//! What the unit tests of several rooms need.

use std::sync::Arc;

use crate::limits::Limits;
use crate::snapshot::Snapshot;
use crate::tls::{BackendTls, TlsMode};

/// A snapshot without listeners, users or targets.
pub fn snapshot() -> Snapshot<()> {
    Snapshot {
        version: None,
        listeners: Vec::new(),
        client_tls: None,
        require_tls: false,
        users: Arc::default(),
        targets: Vec::new(),
        writer: None,
        backend_tls: Arc::new(BackendTls::new(TlsMode::Disabled, None).expect("no TLS")),
        init_query: None,
        rules: Default::default(),
        limits: Limits::default(),
        term: 0,
        sequence: 0,
    }
}
