//! The engine's Python face, `dbproxy._core`: the running engine, and a log-in as a machine; JSON in
//! and out. Called by `dataplane.py` only; the GIL is never taken on the packet path.

mod convert;
mod family;
mod limits;
mod login;
mod metrics;
mod plane;

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use convert::{FamilyJson, Options};
use dbproxy_mysql::MySql;
use dbproxy_postgres::Postgres;
use plane::{Plane, Running};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::event::{eventfd, EventfdFlags};

/// The running data plane: one front thread and some workers.
#[pyclass(frozen)]
struct Engine {
    plane: Box<dyn Plane>,
    events: Arc<OwnedFd>,
}

#[pymethods]
impl Engine {
    /// Starts the threads. Raises ValueError for bad options, OSError where the system refuses.
    #[new]
    fn new(options: &[u8]) -> PyResult<Self> {
        let options: Options =
            serde_json::from_slice(options).map_err(|e| PyValueError::new_err(e.to_string()))?;
        let events =
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(os_error)?;
        let events = Arc::new(events);
        let plane: Box<dyn Plane> = match options.family {
            FamilyJson::Postgres => Box::new(Running::<Postgres>::start(&options, events.clone())?),
            FamilyJson::MySql => Box::new(Running::<MySql>::start(&options, events.clone())?),
        };
        Ok(Self { plane, events })
    }

    /// Swaps in a desired state; returns when its listeners are open. Raises ValueError saying what
    /// is wrong with it, OSError when a listener can't be opened.
    fn apply(&self, py: Python<'_>, snapshot: &[u8]) -> PyResult<()> {
        py.detach(|| self.plane.apply(snapshot))
    }

    /// Other pods of the fleet are there from now on: {fleet_secret, port, addresses} as JSON. Raises
    /// ValueError saying what is wrong with it.
    fn meet(&self, peers: &[u8]) -> PyResult<()> {
        let peers = convert::peers(peers).map_err(PyValueError::new_err)?;
        self.plane.meet(peers);
        Ok(())
    }

    /// All counters and histograms, as JSON.
    fn stats<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.plane.stats())
    }

    /// The events that wait, oldest first, as JSON.
    fn events<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut count = [0; 8];
        // EAGAIN: nothing was signalled since the last look, which is as well.
        rustix::io::read(&self.events, &mut count).ok();
        PyBytes::new(py, &convert::events(self.plane.notices()))
    }

    /// A descriptor that is readable while events wait.
    fn events_fd(&self) -> i32 {
        self.events.as_raw_fd()
    }

    /// No new clients; idle ones go now, others at their transactions' ends.
    fn drain(&self) {
        self.plane.drain();
    }

    /// Clients connected now.
    fn clients(&self) -> u32 {
        self.plane.clients()
    }

    /// Connections that count in each target's budget now, closing ones too: {target: n} as JSON.
    fn held<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.plane.held().to_string().as_bytes())
    }

    /// Milliseconds since each loop's last turn, as JSON.
    fn alive<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.plane.alive().to_string().as_bytes())
    }

    /// Cuts what is left and ends the threads.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.plane.close());
    }
}

fn os_error(error: rustix::io::Errno) -> PyErr {
    PyErr::from(std::io::Error::from(error))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The extension module.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<login::BackendLogin>()?;
    module.add_class::<Engine>()
}
