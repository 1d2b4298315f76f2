//! The simulated driver: one host's view of the network.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::host::Slot;
use super::pair::{EndId, Fin};
use super::world::{Backlog, World};
use super::{Act, Network};
use crate::{Buffer, BufferPool, Driver, Event, TcpOptions, Time, Token, Waker};

/// One host's driver; see [`Network::host`].
#[derive(Debug)]
pub struct SimDriver {
    network: Network,
    pub(super) host: usize,
    now: Time,
    pub(super) pool: BufferPool,
}

/// An end of a simulated connection on its way to another host's driver.
#[derive(Debug)]
pub struct SimSocket {
    network: Network,
    end: EndId,
    attached: AtomicBool,
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        if !self.attached.load(Ordering::Relaxed) {
            self.network.world().close(self.end);
        }
    }
}

/// Wakes a host.
#[derive(Clone, Debug)]
pub struct SimWaker {
    network: Network,
    host: usize,
}

impl Waker for SimWaker {
    fn wake(&self) {
        self.network.world().hosts[self.host].woken = true;
    }
}

impl SimDriver {
    pub(super) fn new(network: Network, host: usize) -> Self {
        let now = network.world().now;
        let pool = BufferPool::default();
        Self {
            network,
            host,
            now,
            pool,
        }
    }

    fn end(&self, world: &World, token: Token) -> Option<EndId> {
        match world.hosts[self.host].at(token) {
            Slot::End(end) => Some(end),
            _ => None,
        }
    }

    /// An end that no host holds.
    pub(super) fn detached(&self, end: EndId) -> SimSocket {
        SimSocket {
            network: self.network.clone(),
            end,
            attached: AtomicBool::new(false),
        }
    }

    /// Does something with the end that a token names.
    fn with<R: Default>(
        &self,
        token: Token,
        act: impl FnOnce(&mut World, EndId) -> Option<R>,
    ) -> R {
        let mut world = self.network.world();
        let end = self.end(&world, token);
        end.and_then(|end| act(&mut world, end)).unwrap_or_default()
    }
}

impl Driver for SimDriver {
    type Socket = SimSocket;
    type Waker = SimWaker;

    fn now(&self) -> Time {
        self.now
    }

    /// Nobody vanishes here but by a fault of the run, which ends it too.
    fn set_tcp(&mut self, _options: TcpOptions) -> io::Result<()> {
        Ok(())
    }

    fn listen(&mut self, mut address: SocketAddr) -> io::Result<Token> {
        let mut world = self.network.world();
        // A host has one address, whatever it calls it.
        address.set_ip(world.hosts[self.host].ip);
        if address.port() == 0 {
            address.set_port(world.port());
        }
        if world.backlogs.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let host = self.host;
        let token = world.hosts[host].insert(Slot::Listener(address));
        let waiting = Default::default();
        let backlog = Backlog {
            host,
            token,
            waiting,
        };
        world.backlogs.insert(address, backlog);
        Ok(token)
    }

    fn listening_on(&self, listener: Token) -> Option<SocketAddr> {
        match self.network.world().hosts[self.host].at(listener) {
            Slot::Listener(address) => Some(address),
            _ => None,
        }
    }

    fn connect(&mut self, address: SocketAddr) -> Token {
        self.network.world().connect(self.host, address)
    }

    fn arm(&mut self, socket: Token, armed: bool) {
        self.with(socket, |world, id| {
            world.pairs.get_mut(&id.pair)?.ends[id.side].armed = armed;
            world.mark(id);
            Some(())
        });
    }

    fn send(&mut self, socket: Token, data: Buffer) -> usize {
        let mut pool = std::mem::take(&mut self.pool);
        let queued = self.with(socket, |world, id| {
            world.see(self.host, id, || Act::Sent(data.as_slice().to_vec()));
            let pair = world.pairs.get_mut(&id.pair)?;
            let (room, established) = (pair.room, pair.established);
            let end = &mut pair.ends[id.side];
            if end.broken.is_some() {
                return None;
            }
            if end.fin != Fin::No && end.queue.is_empty() {
                end.break_off(ErrorKind::BrokenPipe);
                world.mark(id);
                return None;
            }
            end.queue.push(data, &mut pool);
            if established {
                end.pump(room, &mut pool);
            }
            // Also where this one went through at once: one before it was said to be queued.
            end.tell_sent |= !end.queue.is_empty();
            let queued = end.queue.held();
            if end.tell_sent {
                world.mark(id);
            }
            world.hurry(id);
            Some(queued)
        });
        self.pool = pool;
        queued
    }

    fn queued(&self, socket: Token) -> usize {
        self.with(socket, |world, id| {
            Some(world.pairs.get(&id.pair)?.ends[id.side].queue.held())
        })
    }

    fn finish(&mut self, socket: Token) {
        self.with(socket, |world, id| {
            let end = &mut world.pairs.get_mut(&id.pair)?.ends[id.side];
            end.fin = end.fin.max(Fin::Wanted);
            world.hurry(id);
            Some(())
        });
    }

    fn close(&mut self, token: Token) {
        let mut world = self.network.world();
        let slot = world.hosts[self.host].at(token);
        world.hosts[self.host].remove(token);
        match slot {
            Slot::End(end) => {
                world.see(self.host, end, || Act::Closed);
                world.close(end);
            }
            Slot::Listener(address) => {
                if let Some(backlog) = world.backlogs.remove(&address) {
                    for (end, _) in backlog.waiting {
                        world.reset(end.pair);
                        world.close(end);
                    }
                }
            }
            Slot::Free | Slot::Departed => {}
        }
    }

    fn abort(&mut self, token: Token) {
        let mut world = self.network.world();
        match world.hosts[self.host].at(token) {
            Slot::End(end) => {
                world.hosts[self.host].remove(token);
                world.see(self.host, end, || Act::Aborted);
                world.abort(end);
            }
            _ => {
                drop(world);
                self.close(token);
            }
        }
    }

    fn detach(&mut self, socket: Token) {
        self.with(socket, |world, id| {
            world.pairs.get_mut(&id.pair)?.ends[id.side].detaching = true;
            world.mark(id);
            Some(())
        });
    }

    fn attach(&mut self, socket: SimSocket) -> Token {
        socket.attached.store(true, Ordering::Relaxed);
        let mut world = self.network.world();
        self.adopt(&mut world, socket.end)
    }

    fn buffer(&mut self) -> Buffer {
        self.pool.take()
    }

    fn recycle(&mut self, buffer: Buffer) {
        self.pool.give(buffer);
    }

    fn waker(&self) -> SimWaker {
        SimWaker {
            network: self.network.clone(),
            host: self.host,
        }
    }

    fn wait(&mut self, deadline: Option<Time>, events: &mut Vec<Event<SimSocket>>) {
        let network = Arc::clone(&self.network.0);
        let mut world = Network::locked(&network);
        let before = events.len();
        let quiet = !world.hosts[self.host].has_news();
        loop {
            self.collect(&mut world, events);
            let happened = events.len() > before;
            if world.scheduled {
                // Its next wish is known only when it comes back with nothing left to do.
                let wish = if happened { Some(world.now) } else { deadline };
                let host = &mut world.hosts[self.host];
                host.deadline = wish;
                // The turn after one in which something happened is for asking what it wishes.
                let worked = std::mem::replace(&mut host.worked, happened);
                host.idle_turns += u64::from(quiet && !happened && !worked);
                break;
            }
            if happened || deadline.is_some_and(|at| at <= world.now) {
                break;
            }
            // Nobody gives turns here: the time goes on while this host sleeps.
            let limit = deadline.unwrap_or(Time(u64::MAX));
            if !world.act(limit) {
                world.now = deadline.unwrap_or(world.now);
                if deadline.is_none() {
                    break;
                }
            }
        }
        self.now = world.now;
    }
}
