//! One connection's state: what it still has to send, and what the kernel was asked to tell.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{self, sockopt, SendAncillaryBuffer, SendFlags, Shutdown};

use dbproxy_driver::{Buffer, BufferPool, Duration, SendQueue};

use crate::sys;

/// Buffers that leave in one write at most.
const VECTORED: usize = 16;

/// Where a connection is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    Connecting,
    Open,
    /// Its end was told; nothing happens on it until it is closed.
    Failed,
}

/// What became of an attempt to send.
pub(crate) enum Flushed {
    /// Nothing is left.
    All,
    /// The kernel takes no more now.
    Some,
    Failed(Errno),
}

#[derive(Debug)]
pub(crate) struct Connection {
    /// `None` when not even the socket could be opened.
    pub fd: Option<OwnedFd>,
    pub stage: Stage,
    /// The owner wants to receive.
    pub armed: bool,
    /// The peer closed its side, and that was told.
    pub read_over: bool,
    /// The sending side is to be closed once nothing is queued.
    pub finishing: bool,
    /// To be detached once nothing is queued.
    pub detaching: bool,
    /// What the kernel tells of it; `None` while it isn't registered.
    pub interest: Option<EventFlags>,
    pub queue: SendQueue,
    /// While the kernel is told to be patient with it: the time that it usually gives it.
    slow: Option<u32>,
}

impl Connection {
    pub fn new(fd: Option<OwnedFd>, stage: Stage) -> Self {
        Self {
            fd,
            stage,
            armed: false,
            read_over: false,
            finishing: false,
            detaching: false,
            interest: None,
            queue: SendQueue::default(),
            slow: None,
        }
    }

    /// Whether a buffer may go to the kernel without overtaking another.
    pub fn may_send_now(&self) -> bool {
        self.queue.is_empty() && self.stage == Stage::Open
    }

    /// Sends what the kernel takes of `data`, and consumes it.
    pub fn send_now(&self, data: &mut Buffer) -> Flushed {
        let Some(fd) = &self.fd else {
            return Flushed::Failed(Errno::NOTCONN);
        };
        match net::send(fd, data.as_slice(), SendFlags::NOSIGNAL) {
            Ok(sent) => {
                data.consume(sent);
                if data.is_empty() {
                    Flushed::All
                } else {
                    Flushed::Some
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => Flushed::Some,
            Err(error) => Flushed::Failed(error),
        }
    }

    /// Sends what the kernel takes of the queue, several buffers in one write.
    pub fn flush(&mut self, pool: &mut BufferPool) -> Flushed {
        while !self.queue.is_empty() {
            let Some(fd) = &self.fd else {
                return Flushed::Failed(Errno::NOTCONN);
            };
            let mut slices = [IoSlice::new(&[]); VECTORED];
            let mut offered = 0;
            let mut used = 0;
            for (slice, buffer) in slices.iter_mut().zip(self.queue.iter()) {
                *slice = IoSlice::new(buffer.as_slice());
                offered += buffer.len();
                used += 1;
            }
            let slices = slices.get(..used).unwrap_or_default();
            let mut nothing = SendAncillaryBuffer::default();
            match net::sendmsg(fd, slices, &mut nothing, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    self.queue.consume(sent, pool);
                    if sent < offered {
                        return Flushed::Some;
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => return Flushed::Some,
                Err(error) => return Flushed::Failed(error),
            }
        }
        Flushed::All
    }

    /// Whether the kernel takes less than there is to send: then the peer is given more time.
    pub fn mark_slow(&mut self, slow: bool) {
        let Some(fd) = &self.fd else {
            return;
        };
        match (slow, self.slow) {
            (true, None) => self.slow = sys::be_patient(fd).ok(),
            (false, Some(usual)) => {
                self.slow = None;
                sys::be_usual(fd, usual);
            }
            _ => {}
        }
    }

    /// Tells the peer that nothing more will come. A connection that can't hear it is failing,
    /// and says so by itself.
    pub fn shut_down(&self) {
        if let Some(fd) = &self.fd {
            net::shutdown(fd, Shutdown::Write).ok();
        }
    }

    /// From here on a close resets the connection and drops what the kernel still has to send.
    pub fn reset_at_close(&self) {
        if let Some(fd) = &self.fd {
            // It fails only for what is no socket.
            sockopt::set_socket_linger(fd, Some(Duration::ZERO)).ok();
        }
    }
}
