//! A backend's log-in as a machine for Python: the agent's probes enter a database by the same code,
//! and with the same refusals, as the engine itself. `dataplane.py` hands it
//! to `probe/engines/postgres_session.py`, which moves the bytes; nothing here waits.

use std::sync::{LazyLock, Mutex};

use dbproxy_engine::{BackendLogin as _, BackendProgress, DerivedKeys, Identity, TlsFacts};
use dbproxy_postgres::{BackendAsk, Connecting, Credential, UserMethod};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;

use crate::lock;

/// Keys derived for log-ins before: a target is probed every few seconds.
static KEYS: LazyLock<DerivedKeys> = LazyLock::new(DerivedKeys::default);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskJson {
    user: String,
    database: String,
    password: String,
    settings: Vec<(String, String)>,
    tls_wanted: bool,
    tls_required: bool,
    /// An unverified server must let the user in by SCRAM, or not at all.
    scram_only: bool,
}

/// How far the log-in came: bytes consumed, bytes to send, the state, SQLSTATE and message of a
/// failure.
type Progress<'py> = (usize, Bound<'py, PyBytes>, &'static str, String, String);

/// One log-in to a PostgreSQL server.
#[pyclass(frozen)]
pub struct BackendLogin {
    first: Vec<u8>,
    machine: Mutex<Option<Connecting>>,
}

#[pymethods]
impl BackendLogin {
    /// From JSON. Raises ValueError for anything else.
    #[new]
    fn new(ask: &[u8]) -> PyResult<Self> {
        let ask: AskJson =
            serde_json::from_slice(ask).map_err(|e| PyValueError::new_err(e.to_string()))?;
        let settings = ask.settings.into_iter();
        let ask = BackendAsk {
            identity: Identity {
                user: ask.user.into(),
                database: ask.database.into(),
                settings: settings.map(|(k, v)| (k.into(), v.into())).collect(),
                traces: [].into(),
            },
            password: ask.password.into(),
            tls_wanted: ask.tls_wanted,
            tls_required: ask.tls_required,
            credential: Credential {
                method: if ask.scram_only {
                    UserMethod::ScramSha256
                } else {
                    UserMethod::Md5
                },
                verifiers: [].into(),
            },
            keys: KEYS.clone(),
            init_query: None,
        };
        let mut first = Vec::new();
        let mut given = Ok(());
        let mut random = |bytes: &mut [u8]| given = getrandom::fill(bytes);
        let machine = Connecting::start(ask, &mut random, &mut first);
        given.map_err(|e| PyRuntimeError::new_err(e.to_string()))?;
        Ok(Self {
            first,
            machine: Mutex::new(Some(machine)),
        })
    }

    /// What is sent first.
    fn first<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.first)
    }

    /// Takes all bytes that wait. `verified`: None before TLS runs, then whether the server's
    /// certificate was checked; `certificate`: the server's, in DER.
    #[pyo3(signature = (data, verified, certificate))]
    fn feed<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
        verified: Option<bool>,
        certificate: Option<&[u8]>,
    ) -> PyResult<Progress<'py>> {
        let facts = verified.map(|verified| TlsFacts {
            end_point: certificate.and_then(dbproxy_server::end_point_hash),
            verified,
            ..TlsFacts::default()
        });
        let mut held = lock(&self.machine);
        let machine = held
            .as_mut()
            .ok_or_else(|| PyRuntimeError::new_err("the log-in is over"))?;
        let mut out = Vec::new();
        let (used, progress) = machine.feed(data, facts.as_ref(), &mut out);
        let (state, sqlstate, message) = match progress {
            BackendProgress::NeedMore => ("MORE", String::new(), String::new()),
            BackendProgress::Working => ("WORKING", String::new(), String::new()),
            BackendProgress::StartTls => ("TLS", String::new(), String::new()),
            BackendProgress::Ready(_) => ("READY", String::new(), String::new()),
            BackendProgress::Failed(failure) => ("FAILED", failure.code, failure.message),
        };
        if matches!(state, "READY" | "FAILED") {
            *held = None;
        }
        Ok((used, PyBytes::new(py, &out), state, sqlstate, message))
    }
}
