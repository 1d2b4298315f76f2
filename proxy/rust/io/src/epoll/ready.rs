//! What a readiness that the kernel told becomes, and what the kernel is asked to tell.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, sockopt, RecvFlags};

use dbproxy_driver::{Duration, Event, Token};

use super::{data, Epoll};
use crate::connection::{Connection, Flushed, Stage};
use crate::slots::Slot;
use crate::sys::{self, Socket};

/// Connections taken from one listener per turn, so that a storm leaves time for the others.
const ACCEPTS: usize = 64;

/// How long a listener rests when the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Epoll {
    /// A token is ready for what it is watched for.
    pub(super) fn on_ready(&mut self, token: Token, flags: EventFlags) {
        if self.slots.listener(token).is_some_and(|l| !l.paused) {
            self.accept(token);
        } else {
            self.connection_ready(token, flags);
        }
    }

    /// Makes the kernel tell exactly this of a connection.
    pub(super) fn watch(&mut self, token: Token, wanted: EventFlags) {
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        let Some(fd) = &connection.fd else {
            return;
        };
        let told = match connection.interest {
            Some(interest) if interest == wanted => return,
            Some(_) => epoll::modify(&self.poll, fd, data(token), wanted),
            None => epoll::add(&self.poll, fd, data(token), wanted),
        };
        match told {
            Ok(()) => connection.interest = Some(wanted),
            Err(error) => self.fail(token, error),
        }
    }

    fn unwatch(&mut self, token: Token) {
        if let Some(connection) = self.slots.connection(token) {
            if let (Some(fd), Some(_)) = (&connection.fd, connection.interest.take()) {
                // It was registered, so this can't fail.
                epoll::delete(&self.poll, fd).ok();
            }
        }
    }

    /// The end of a connection, told once.
    pub(super) fn fail(&mut self, token: Token, error: Errno) {
        self.unwatch(token);
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        if connection.stage == Stage::Failed {
            return;
        }
        connection.stage = Stage::Failed;
        connection.queue.clear(&mut self.pool);
        let detaching = connection.detaching;
        self.ready.push(Event::Closed {
            socket: token,
            error: Some(io::Error::from(error).kind()),
        });
        if detaching {
            self.depart(token);
        }
    }

    pub(super) fn depart(&mut self, token: Token) {
        self.unwatch(token);
        let Some(slot) = self.slots.at(token) else {
            return;
        };
        let Slot::Connection(connection) = slot else {
            return;
        };
        if let Some(fd) = connection.fd.take() {
            *slot = Slot::Departed;
            self.departed.push(token);
            self.ready.push(Event::Detached {
                socket: token,
                detached: Socket(fd),
            });
        }
    }

    /// What follows when nothing is queued any more.
    fn drained(&mut self, token: Token) {
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        if connection.finishing {
            connection.shut_down();
        }
        if connection.detaching {
            self.depart(token);
        }
    }

    pub(super) fn flush(&mut self, token: Token) {
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        if connection.stage != Stage::Open || connection.queue.is_empty() {
            return;
        }
        let interest = connection.interest.unwrap_or(EventFlags::empty());
        let flushed = connection.flush(&mut self.pool);
        connection.mark_slow(matches!(flushed, Flushed::Some));
        match flushed {
            Flushed::All => {
                self.watch(token, interest - EventFlags::OUT);
                self.ready.push(Event::Sent { socket: token });
                self.drained(token);
            }
            Flushed::Some => self.watch(token, interest | EventFlags::OUT),
            Flushed::Failed(error) => self.fail(token, error),
        }
    }

    fn connected(&mut self, token: Token) {
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        let Some(fd) = &connection.fd else {
            return;
        };
        match sockopt::socket_error(fd) {
            Ok(Ok(())) => {
                connection.stage = Stage::Open;
                let queued = !connection.queue.is_empty();
                self.watch(token, EventFlags::IN);
                self.ready.push(Event::Connected { socket: token });
                if queued {
                    self.flush(token);
                } else {
                    self.drained(token);
                }
            }
            Ok(Err(error)) | Err(error) => self.fail(token, error),
        }
    }

    fn receive(&mut self, token: Token) {
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        let Some(fd) = &connection.fd else {
            return;
        };
        let mut data = self.pool.take();
        match net::recv(fd, spare_capacity(data.vec_mut()), RecvFlags::empty()) {
            Ok((0, _)) => {
                connection.read_over = true;
                self.pool.give(data);
                self.ready.push(Event::Closed {
                    socket: token,
                    error: None,
                });
            }
            Ok(_) => self.ready.push(Event::Received {
                socket: token,
                data,
            }),
            Err(error) => {
                self.pool.give(data);
                if !matches!(error, Errno::AGAIN | Errno::INTR) {
                    self.fail(token, error);
                }
            }
        }
    }

    /// The kernel told what nobody wants to know now: it must not do so again at once.
    fn unwanted(&mut self, token: Token, flags: EventFlags) {
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        if flags.contains(EventFlags::ERR) {
            let error = connection.fd.as_ref().map(sockopt::socket_error);
            let error = match error {
                Some(Ok(Err(error)) | Err(error)) => error,
                Some(Ok(Ok(()))) | None => Errno::CONNRESET,
            };
            self.fail(token, error);
        } else if flags.contains(EventFlags::HUP) {
            // Both sides are closed, perhaps with bytes unread: it is looked at when armed again.
            self.unwatch(token);
        } else if let Some(interest) = connection.interest {
            self.watch(token, interest - EventFlags::IN);
        }
    }

    pub(super) fn connection_ready(&mut self, token: Token, flags: EventFlags) {
        match self.slots.connection(token).map(|c| c.stage) {
            Some(Stage::Connecting) => return self.connected(token),
            Some(Stage::Open) => {}
            Some(Stage::Failed) | None => return,
        }
        let broken = EventFlags::ERR | EventFlags::HUP;
        if flags.intersects(EventFlags::OUT | broken) {
            self.flush(token);
        }
        if !flags.intersects(EventFlags::IN | broken) {
            return;
        }
        let Some(connection) = self.slots.connection(token) else {
            return;
        };
        if connection.armed && !connection.read_over {
            self.receive(token);
        } else {
            self.unwanted(token, flags);
        }
    }

    fn accept(&mut self, token: Token) {
        for _ in 0..ACCEPTS {
            let Some(listener) = self.slots.listener(token) else {
                return;
            };
            match sys::accept(&listener.fd) {
                Ok((fd, peer)) => {
                    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
                    let socket = self.insert(fd);
                    self.ready.push(Event::Accepted {
                        listener: token,
                        socket,
                        peer: peer.unwrap_or(unknown),
                    });
                    self.watch(socket, EventFlags::IN);
                }
                Err(Errno::AGAIN) => return,
                // That one went away while it waited.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                // Out of descriptors or memory: the others in the queue wait until some are back.
                Err(_) => return self.pause(token),
            }
        }
    }

    fn pause(&mut self, token: Token) {
        let until = self.now.after(ACCEPT_PAUSE);
        if let Some(listener) = self.slots.listener(token) {
            listener.paused = true;
            let none = EventFlags::empty();
            // It was registered, so this can't fail.
            epoll::modify(&self.poll, &listener.fd, data(token), none).ok();
            self.paused.push_back((until, token));
        }
    }

    pub(super) fn resume(&mut self) {
        while let Some((until, token)) = self.paused.front().copied() {
            if until > self.now {
                return;
            }
            self.paused.pop_front();
            if let Some(listener) = self.slots.listener(token) {
                listener.paused = false;
                epoll::modify(&self.poll, &listener.fd, data(token), EventFlags::IN).ok();
            }
        }
    }

    /// Gives an open socket its place. It is watched from the start, as nearly all are armed at
    /// once.
    pub(super) fn insert(&mut self, fd: OwnedFd) -> Token {
        let connection = Connection::new(Some(fd), Stage::Open);
        self.slots.insert(Slot::Connection(connection))
    }
}
