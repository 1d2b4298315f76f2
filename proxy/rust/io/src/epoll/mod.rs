//! The `epoll` driver: level-triggered, one receive per readiness, writes at once.
//!
//! A query costs its share of one `epoll_wait`, one `recv` and one `send` per direction. Interest in
//! a socket is changed only when the kernel's idea of it does harm: disarming is noted, and told
//! to the kernel when an unwanted readiness shows up; most sockets are armed again before that.

mod ready;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net;

use dbproxy_driver::{Buffer, BufferPool, Driver, Duration, Event, TcpOptions, Time, Token};

use crate::connection::{Connection, Flushed, Stage};
use crate::slots::{Listener, Slot, Slots};
use crate::sys::{self, Socket};
use crate::waker::EventfdWaker;

/// Readinesses taken from the kernel at once; each may hold a buffer until it is dealt with.
const BATCH: usize = 128;
const _: () = assert!(BATCH <= dbproxy_driver::KEPT_BUFFERS);

/// The waker's mark among the tokens.
const BELL: u64 = u64::MAX;

/// A driver over `epoll(7)`.
pub struct Epoll {
    poll: OwnedFd,
    bell: EventfdWaker,
    now: Time,
    tcp: TcpOptions,
    slots: Slots,
    pool: BufferPool,
    /// What happened outside of `wait`, or in the current one.
    ready: Vec<Event<Socket>>,
    /// The last `wait` told these without asking the kernel.
    told_early: bool,
    departed: Vec<Token>,
    paused: VecDeque<(Time, Token)>,
    readiness: Vec<epoll::Event>,
}

impl Epoll {
    /// What metrics call it.
    pub const NAME: &'static str = "epoll";

    /// Opens the kernel's side of it.
    pub fn new() -> io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = EventfdWaker::new()?;
        // Edge-triggered: a ring is heard once and needs no read.
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&poll, &bell, EventData::new_u64(BELL), flags)?;
        Ok(Self {
            poll,
            bell,
            now: sys::now(),
            tcp: TcpOptions::default(),
            slots: Slots::default(),
            pool: BufferPool::default(),
            ready: Vec::new(),
            told_early: false,
            departed: Vec::new(),
            paused: VecDeque::new(),
            readiness: Vec::with_capacity(BATCH),
        })
    }

    /// Waits for the kernel; at most until the deadline, not at all if something is ready.
    fn sleep(&mut self, deadline: Option<Time>) {
        let resume = self.paused.front().map(|(until, _)| *until);
        let deadline = [deadline, resume].into_iter().flatten().min();
        let mut timeout = deadline.map(|at| rounded(at.since(self.now)));
        if !self.bell.may_sleep() || !self.ready.is_empty() {
            timeout = Some(Timespec::default());
        }
        self.readiness.clear();
        let room = spare_capacity(&mut self.readiness);
        // An interrupted wait found nothing; every other error would be a fault of this file.
        epoll::wait(&self.poll, room, timeout.as_ref()).ok();
        if self.bell.awake() {
            self.ready.push(Event::Woken);
        }
        self.now = sys::now();
    }
}

impl Driver for Epoll {
    type Socket = Socket;
    type Waker = EventfdWaker;

    fn now(&self) -> Time {
        self.now
    }

    fn set_tcp(&mut self, options: TcpOptions) -> io::Result<()> {
        self.tcp = options;
        for listener in self.slots.listeners() {
            sys::set_tcp(listener, &options)?;
        }
        Ok(())
    }

    fn listen(&mut self, address: SocketAddr) -> io::Result<Token> {
        let fd = sys::listen(address, &self.tcp)?;
        let paused = false;
        let token = self.slots.insert(Slot::Listener(Listener { fd, paused }));
        let Some(listener) = self.slots.listener(token) else {
            return Err(io::ErrorKind::Other.into());
        };
        if let Err(error) = epoll::add(&self.poll, &listener.fd, data(token), EventFlags::IN) {
            self.slots.remove(token);
            return Err(error.into());
        }
        Ok(token)
    }

    fn listening_on(&self, listener: Token) -> Option<SocketAddr> {
        sys::bound_to(self.slots.listening(listener)?)
    }

    fn connect(&mut self, address: SocketAddr) -> Token {
        let fd = match sys::open(address, &self.tcp) {
            Ok(fd) => fd,
            Err(error) => {
                let connection = Connection::new(None, Stage::Failed);
                let socket = self.slots.insert(Slot::Connection(connection));
                let error = Some(error.kind());
                self.ready.push(Event::Closed { socket, error });
                return socket;
            }
        };
        let outcome = net::connect(&fd, &address);
        let connection = Connection::new(Some(fd), Stage::Connecting);
        let token = self.slots.insert(Slot::Connection(connection));
        match outcome {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => self.watch(token, EventFlags::OUT),
            Err(error) => self.fail(token, error),
        }
        token
    }

    fn arm(&mut self, socket: Token, armed: bool) {
        let Some(connection) = self.slots.connection(socket) else {
            return;
        };
        connection.armed = armed;
        if armed && connection.stage == Stage::Open && !connection.read_over {
            let interest = connection.interest.unwrap_or(EventFlags::empty());
            self.watch(socket, interest | EventFlags::IN);
        }
    }

    fn send(&mut self, socket: Token, mut data: Buffer) -> usize {
        let Some(connection) = self.slots.connection(socket) else {
            self.pool.give(data);
            return 0;
        };
        if data.is_empty() || connection.stage == Stage::Failed {
            self.pool.give(data);
            return connection.queue.held();
        }
        if connection.may_send_now() {
            match connection.send_now(&mut data) {
                Flushed::All => {
                    self.pool.give(data);
                    return 0;
                }
                Flushed::Some => connection.mark_slow(true),
                Flushed::Failed(error) => {
                    self.pool.give(data);
                    self.fail(socket, error);
                    return 0;
                }
            }
        }
        connection.queue.push(data, &mut self.pool);
        if connection.stage == Stage::Open {
            let interest = connection.interest.unwrap_or(EventFlags::empty());
            self.watch(socket, interest | EventFlags::OUT);
        }
        self.queued(socket)
    }

    fn queued(&self, socket: Token) -> usize {
        self.slots.queued(socket)
    }

    fn finish(&mut self, socket: Token) {
        if let Some(connection) = self.slots.connection(socket) {
            connection.finishing = true;
            if connection.may_send_now() {
                connection.shut_down();
            }
        }
    }

    fn close(&mut self, token: Token) {
        if !self.ready.is_empty() {
            self.ready.retain(|event| !concerns(event, token));
        }
        // Closing the descriptor takes it out of the epoll set: nobody else holds it.
        if let Slot::Connection(mut connection) = self.slots.remove(token) {
            connection.queue.clear(&mut self.pool);
        }
    }

    fn abort(&mut self, token: Token) {
        if let Some(connection) = self.slots.connection(token) {
            connection.reset_at_close();
        }
        self.close(token);
    }

    fn detach(&mut self, socket: Token) {
        if let Some(connection) = self.slots.connection(socket) {
            connection.detaching = true;
            if connection.queue.is_empty() {
                self.depart(socket);
            }
        }
    }

    fn attach(&mut self, socket: Socket) -> Token {
        let token = self.insert(socket.0);
        self.watch(token, EventFlags::IN);
        token
    }

    fn buffer(&mut self) -> Buffer {
        self.pool.take()
    }

    fn recycle(&mut self, buffer: Buffer) {
        self.pool.give(buffer);
    }

    fn waker(&self) -> EventfdWaker {
        self.bell.clone()
    }

    fn wait(&mut self, deadline: Option<Time>, events: &mut Vec<Event<Socket>>) {
        for token in self.departed.drain(..) {
            self.slots.remove(token);
        }
        // Not twice in a row: the kernel's news must not starve.
        self.told_early = !self.ready.is_empty() && !self.told_early;
        if self.told_early {
            return events.append(&mut self.ready);
        }
        self.sleep(deadline);
        self.resume();
        let mut readiness = std::mem::take(&mut self.readiness);
        for ready in readiness.drain(..) {
            // Copied out, because the kernel's struct is packed.
            let (mark, flags) = (ready.data.u64(), ready.flags);
            if mark == BELL {
                continue;
            }
            self.on_ready(token(mark), flags);
        }
        self.readiness = readiness;
        events.append(&mut self.ready);
    }
}

fn data(token: Token) -> EventData {
    EventData::new_u64(u64::from(token.generation) << 32 | u64::from(token.index))
}

fn token(mark: u64) -> Token {
    Token {
        index: mark as u32,
        generation: (mark >> 32) as u32,
    }
}

fn concerns<S>(event: &Event<S>, token: Token) -> bool {
    match event {
        Event::Accepted { socket, .. }
        | Event::Connected { socket }
        | Event::Received { socket, .. }
        | Event::Sent { socket }
        | Event::Closed { socket, .. }
        | Event::Detached { socket, .. } => *socket == token,
        Event::Woken => false,
    }
}

/// Whole milliseconds, rounded up, so that a wait doesn't end just before its deadline.
fn rounded(wait: Duration) -> Timespec {
    let milliseconds = wait.as_nanos().div_ceil(1_000_000).min(3_600_000);
    let milliseconds = i64::try_from(milliseconds).unwrap_or(3_600_000);
    Timespec {
        tv_sec: milliseconds / 1000,
        tv_nsec: (milliseconds % 1000) * 1_000_000,
    }
}
