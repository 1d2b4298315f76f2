//! A running data plane of whatever family, behind one face for Python's [`Engine`](crate::Engine).

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use dbproxy_driver::{Driver, Time};
use dbproxy_io::{vital, Epoll};
use dbproxy_server::{Front, Notice, Notices, Peers, Random, Shared, Worker};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use serde_json::{json, Value};

use crate::convert::{Converter, Options};
use crate::family::Family;
use crate::{lock, metrics};

/// One front thread and some workers.
pub trait Plane: Send + Sync {
    /// Swaps in a desired state, JSON; returns when its listeners are open.
    fn apply(&self, snapshot: &[u8]) -> PyResult<()>;
    /// Other pods of the fleet are there from now on.
    fn meet(&self, peers: Peers);
    /// All counters and histograms, as JSON.
    fn stats(&self) -> Vec<u8>;
    /// The events that wait, oldest first.
    fn notices(&self) -> Vec<Notice>;
    /// No new clients; idle ones go now, others at their transactions' ends.
    fn drain(&self);
    /// Clients connected now.
    fn clients(&self) -> u32;
    /// Connections that count in each target's budget now.
    fn held(&self) -> Value;
    /// Milliseconds since each loop's last turn.
    fn alive(&self) -> Value;
    /// Cuts what is left and ends the threads.
    fn close(&self);
}

type Fleet<F> = Shared<F, Epoll>;

/// The data plane of one family.
pub struct Running<F: Family> {
    shared: Arc<Fleet<F>>,
    converter: Mutex<Converter<F>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<F: Family> Running<F> {
    /// Starts the threads; `signal` is written to when there are events. Raises OSError where the system refuses.
    pub fn start(options: &Options, signal: Arc<OwnedFd>) -> PyResult<Self> {
        let notices = Notices::new(Arc::new(move || {
            // A full counter (EAGAIN) is readable already, which is all that matters.
            rustix::io::write(&signal, &1_u64.to_ne_bytes()).ok();
        }));
        let address = options.listen_address;
        let front = Seat::open("front".into(), move |driver, shared| {
            Front::<F, Epoll>::new(driver, shared, address, random()).run();
        })?;
        let workers: Vec<Seat<F>> = (0..options.workers.max(1))
            .map(|index| {
                Seat::open(format!("worker-{index}"), move |driver, shared| {
                    Worker::<F, Epoll>::new(index, driver, shared, random()).run();
                })
            })
            .collect::<PyResult<_>>()?;
        let wakers = workers.iter().map(|seat| seat.waker.clone()).collect();
        let mut shared = Fleet::<F>::new(front.waker.clone(), wakers, notices);
        if let Some(pod) = options.pod_address {
            shared = shared.found_at(pod);
        }
        let shared = Arc::new(shared);
        let seats = std::iter::once(front).chain(workers);
        let threads = seats.map(|seat| seat.begin(&shared)).collect();
        Ok(Self {
            shared,
            converter: Mutex::default(),
            threads: Mutex::new(threads),
        })
    }
}

impl<F: Family> Plane for Running<F> {
    fn apply(&self, snapshot: &[u8]) -> PyResult<()> {
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
    }

    fn meet(&self, peers: Peers) {
        self.shared.meet(peers);
    }

    fn stats(&self) -> Vec<u8> {
        let endpoints: Vec<_> = self.shared.stats.endpoints().into_iter().collect();
        let targets = self.shared.stats.targets().into_iter();
        let targets: Vec<_> = targets
            .map(|(name, sum)| {
                let (_, limit) = self.shared.usage(self.shared.target_id(&name).0);
                (name, metrics::TargetRow { sum, limit })
            })
            .collect();
        metrics::families(&endpoints, &targets, Epoll::NAME)
    }

    fn notices(&self) -> Vec<Notice> {
        self.shared.notices.take()
    }

    fn drain(&self) {
        self.shared.drain();
    }

    fn clients(&self) -> u32 {
        self.shared.clients()
    }

    fn held(&self) -> Value {
        let held = self.shared.held().into_iter();
        let held: serde_json::Map<_, _> = held.map(|(k, n)| (k.to_string(), n.into())).collect();
        Value::Object(held)
    }

    fn alive(&self) -> Value {
        let now = dbproxy_io::now();
        let age = |at: u64| now.since(Time(at)).as_millis() as u64;
        let signs = self.shared.signs.iter();
        let workers: Vec<u64> = signs
            .map(|signs| age(signs.turned_at.load(Ordering::Relaxed)))
            .collect();
        let front = age(self.shared.front_turned_at.load(Ordering::Relaxed));
        json!({"front": front, "workers": workers})
    }

    fn close(&self) {
        self.shared.stop();
        for thread in lock(&self.threads).drain(..) {
            // One that panicked would have ended the process.
            thread.join().ok();
        }
    }
}

type Wake = <Epoll as Driver>::Waker;

/// A thread with its driver, which never leaves it, waiting for the fleet to be complete.
struct Seat<F: Family> {
    waker: Wake,
    start: SyncSender<Arc<Fleet<F>>>,
    thread: JoinHandle<()>,
}

impl<F: Family> Seat<F> {
    fn open(
        name: String,
        body: impl FnOnce(Epoll, Arc<Fleet<F>>) + Send + 'static,
    ) -> PyResult<Self> {
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

    fn begin(self, shared: &Arc<Fleet<F>>) -> JoinHandle<()> {
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
