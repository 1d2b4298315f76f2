//! Ending a wait from another thread: an eventfd that is written only when the driver sleeps.
//!
//! `wake` sets `pending` and then looks at `asleep`; the driver sets `asleep` and then looks at
//! `pending`. Both are sequentially consistent, so at least one of them sees the other.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;

use rustix::event::{eventfd, EventfdFlags};

use dbproxy_driver::Waker;

#[derive(Debug)]
struct Bell {
    fd: OwnedFd,
    pending: AtomicBool,
    asleep: AtomicBool,
}

/// Wakes an [`crate::Epoll`].
#[derive(Clone, Debug)]
pub struct EventfdWaker(Arc<Bell>);

impl EventfdWaker {
    pub(crate) fn new() -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Bell {
            fd,
            pending: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
        })))
    }

    /// The driver is about to sleep; false if somebody woke it already.
    pub(crate) fn may_sleep(&self) -> bool {
        self.0.asleep.store(true, SeqCst);
        !self.0.pending.load(SeqCst)
    }

    /// The driver is awake; whether somebody woke it since the last time.
    pub(crate) fn awake(&self) -> bool {
        self.0.asleep.store(false, SeqCst);
        self.0.pending.swap(false, SeqCst)
    }
}

impl AsFd for EventfdWaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl Waker for EventfdWaker {
    fn wake(&self) {
        if !self.0.pending.swap(true, SeqCst) && self.0.asleep.load(SeqCst) {
            // It fails only when the counter is full, and then the driver is awake or waking.
            rustix::io::write(&self.0.fd, &1u64.to_ne_bytes()).ok();
        }
    }
}
