//! What the unit tests of several rooms need.

use std::sync::Arc;

use dbproxy_driver::Duration;

use crate::snapshot::Snapshot;
use crate::tls::{BackendTls, TlsMode};

/// A snapshot without listeners, users or targets.
pub fn snapshot() -> Snapshot {
    Snapshot {
        listeners: Vec::new(),
        client_tls: None,
        require_tls: false,
        users: Arc::default(),
        targets: Vec::new(),
        writer: None,
        backend_tls: Arc::new(BackendTls::new(TlsMode::Disabled, None).expect("no TLS")),
        borrow_timeout: Duration::from_secs(120),
        idle_client_timeout: Duration::from_secs(1800),
        client_write_timeout: Duration::from_secs(30),
        idle_backend_timeout: Duration::from_secs(300),
        init_query: None,
        max_clients: 100,
        term: 0,
        sequence: 0,
    }
}
