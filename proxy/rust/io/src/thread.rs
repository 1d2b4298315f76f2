//! Threads that the process can't do without; the bindings run the engine's loops on them.

use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::abort;
use std::thread::{Builder, JoinHandle};

/// Starts a thread. If it panics, the process ends, after the panic was logged: the others would go
/// on handing it clients and letters, and nobody would ever look at them.
pub fn vital(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.clone()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            eprintln!("thread {name} of the engine panicked: the process ends");
            abort();
        }
    })
}
