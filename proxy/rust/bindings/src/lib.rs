//! The engine's Python face, `dbproxy._core`: the running engine, and a log-in as a machine; JSON in
//! and out. Called by `dataplane.py` only; the GIL is never taken on the packet path.

mod convert;
mod limits;
mod login;
mod metrics;

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use convert::{Converter, Options};
use dbproxy_driver::{Driver, Time};
use dbproxy_io::{vital, Epoll};
use dbproxy_postgres::Postgres;
use dbproxy_server::{Front, Notices, Random, Shared, Worker};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::event::{eventfd, EventfdFlags};
use serde_json::json;

type Fleet = Shared<Postgres, Epoll>;

/// The running data plane: one front thread and some workers.
#[pyclass(frozen)]
struct Engine {
    shared: Arc<Fleet>,
    converter: Mutex<Converter>,
    events: Arc<OwnedFd>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
        let signal = events.clone();
        let notices = Notices::new(Arc::new(move || {
            // A full counter (EAGAIN) is readable already, which is all that matters.
            rustix::io::write(&signal, &1_u64.to_ne_bytes()).ok();
        }));
        let address = options.listen_address;
        let front = Seat::open("front".into(), move |driver, shared| {
            Front::new(driver, shared, address, random()).run();
        })?;
        let workers: Vec<Seat> = (0..options.workers.max(1))
            .map(|index| {
                Seat::open(format!("worker-{index}"), move |driver, shared| {
                    Worker::new(index, driver, shared, random()).run();
                })
            })
            .collect::<PyResult<_>>()?;
        let wakers = workers.iter().map(|seat| seat.waker.clone()).collect();
        let mut shared = Fleet::new(front.waker.clone(), wakers, notices);
        if let Some(pod) = options.pod_address {
            shared = shared.found_at(pod);
        }
        let shared = Arc::new(shared);
        let seats = std::iter::once(front).chain(workers);
        let threads = seats.map(|seat| seat.begin(&shared)).collect();
        Ok(Self {
            shared,
            converter: Mutex::default(),
            events,
            threads: Mutex::new(threads),
        })
    }

    /// Swaps in a desired state; returns when its listeners are open. Raises ValueError saying what
    /// is wrong with it, OSError when a listener can't be opened.
    fn apply(&self, py: Python<'_>, snapshot: &[u8]) -> PyResult<()> {
        py.detach(|| {
            let mut converter = lock(&self.converter);
            let snapshot = converter
                .snapshot(snapshot, |name| self.shared.target_id(name))
                .map_err(PyValueError::new_err)?;
            let opened = self.shared.apply(snapshot);
            drop(converter);
            match opened.recv() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(message)) => Err(PyOSError::new_err(message)),
                Err(_) => Err(PyRuntimeError::new_err("the front thread has ended")),
            }
        })
    }

    /// Other pods of the fleet are there from now on: {fleet_secret, port, addresses} as JSON. Raises
    /// ValueError saying what is wrong with it.
    fn meet(&self, peers: &[u8]) -> PyResult<()> {
        let peers = convert::peers(peers).map_err(PyValueError::new_err)?;
        self.shared.meet(peers);
        Ok(())
    }

    /// All counters and histograms, as JSON.
    fn stats<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let endpoints: Vec<_> = self.shared.stats.endpoints().into_iter().collect();
        let targets = self.shared.stats.targets().into_iter();
        let targets: Vec<_> = targets
            .map(|(name, sum)| {
                let (_, limit) = self.shared.usage(self.shared.target_id(&name).0);
                (name, metrics::TargetRow { sum, limit })
            })
            .collect();
        let text = metrics::families(&endpoints, &targets, Epoll::NAME);
        PyBytes::new(py, &text)
    }

    /// The events that wait, oldest first, as JSON.
    fn events<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut count = [0; 8];
        // EAGAIN: nothing was signalled since the last look, which is as well.
        rustix::io::read(&self.events, &mut count).ok();
        PyBytes::new(py, &convert::events(self.shared.notices.take()))
    }

    /// A descriptor that is readable while events wait.
    fn events_fd(&self) -> i32 {
        self.events.as_raw_fd()
    }

    /// No new clients; idle ones go now, others at their transactions' ends.
    fn drain(&self) {
        self.shared.drain();
    }

    /// Clients connected now.
    fn clients(&self) -> u32 {
        self.shared.clients()
    }

    /// Connections that count in each target's budget now, closing ones too: {target: n} as JSON.
    fn held<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let held = self.shared.held().into_iter();
        let held: serde_json::Map<_, _> = held.map(|(k, n)| (k.to_string(), n.into())).collect();
        PyBytes::new(py, serde_json::Value::Object(held).to_string().as_bytes())
    }

    /// Milliseconds since each loop's last turn, as JSON.
    fn alive<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let now = dbproxy_io::now();
        let age = |at: u64| now.since(Time(at)).as_millis() as u64;
        let signs = self.shared.signs.iter();
        let workers: Vec<u64> = signs
            .map(|signs| age(signs.turned_at.load(Ordering::Relaxed)))
            .collect();
        let front = age(self.shared.front_turned_at.load(Ordering::Relaxed));
        let text = json!({"front": front, "workers": workers}).to_string();
        PyBytes::new(py, text.as_bytes())
    }

    /// Cuts what is left and ends the threads.
    fn close(&self, py: Python<'_>) {
        self.shared.stop();
        py.detach(|| {
            for thread in lock(&self.threads).drain(..) {
                // One that panicked would have ended the process.
                thread.join().ok();
            }
        })
    }
}

type Wake = <Epoll as Driver>::Waker;

/// A thread with its driver, which never leaves it, waiting for the fleet to be complete.
struct Seat {
    waker: Wake,
    start: SyncSender<Arc<Fleet>>,
    thread: JoinHandle<()>,
}

impl Seat {
    fn open(name: String, body: impl FnOnce(Epoll, Arc<Fleet>) + Send + 'static) -> PyResult<Self> {
        let (opened, answer) = sync_channel(1);
        let (start, started) = sync_channel(1);
        let thread = vital(name, move || {
            let driver = match Epoll::new() {
                Ok(driver) => driver,
                Err(error) => {
                    // The receiver waits for this word.
                    opened.send(Err(error)).ok();
                    return;
                }
            };
            let waker = driver.waker();
            // Either side that is gone means that the engine was given up before it began.
            if opened.send(Ok(waker)).is_ok() {
                if let Ok(shared) = started.recv() {
                    body(driver, shared);
                }
            }
        })?;
        let waker = answer
            .recv()
            .map_err(|_| PyRuntimeError::new_err("a thread of the engine ended at its start"))??;
        Ok(Self {
            waker,
            start,
            thread,
        })
    }

    fn begin(self, shared: &Arc<Fleet>) -> JoinHandle<()> {
        // A thread that ended before shows when it is joined.
        self.start.send(shared.clone()).ok();
        self.thread
    }
}

fn random() -> Random {
    Box::new(|bytes| {
        // Without randomness no log-in is safe: the thread must not go on.
        getrandom::fill(bytes).expect("the system's random source works");
    })
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
