//! What a host's driver tells: what happened on its ends and its listeners since it last looked.

use std::net::SocketAddr;

use super::driver::{SimDriver, SimSocket};
use super::host::Slot;
use super::pair::{EndId, Holder};
use super::world::World;
use super::Act;
use crate::{Event, Token, BUFFER_SIZE};

impl SimDriver {
    /// What an end has to tell its holder now.
    fn tell(
        &mut self,
        world: &mut World,
        token: Token,
        id: EndId,
        events: &mut Vec<Event<SimSocket>>,
    ) {
        let socket = token;
        let mut taken = 1 + world.random.index(2 * BUFFER_SIZE).min(BUFFER_SIZE - 1);
        if world.random.one_in(2) {
            taken = BUFFER_SIZE;
        }
        let Some(pair) = world.pairs.get_mut(&id.pair) else {
            return;
        };
        let room = pair.room;
        let end = &mut pair.ends[id.side];
        if std::mem::take(&mut end.tell_connected) {
            events.push(Event::Connected { socket });
        }
        if let Some(error) = end.broken {
            // What had arrived before can still be read, as on Linux.
            if !end.told_broken && (!end.armed || end.inbox.is_empty()) {
                end.told_broken = true;
                let error = Some(error);
                events.push(Event::Closed { socket, error });
            }
            if end.told_broken {
                return;
            }
        }
        if pair.established {
            end.pump(room, &mut self.pool);
            if end.queue.is_empty() && std::mem::take(&mut end.tell_sent) {
                events.push(Event::Sent { socket });
            }
            if end.queue.is_empty() && end.detaching {
                return self.depart(world, token, id, events);
            }
        }
        if end.armed && !end.inbox.is_empty() {
            let taken = taken.min(end.inbox.len());
            let mut data = self.pool.take();
            data.vec_mut().extend(end.inbox.drain(..taken));
            let more = !end.inbox.is_empty() || end.eof || end.broken.is_some();
            world.see(self.host, id, || Act::Received(data.as_slice().to_vec()));
            events.push(Event::Received { socket, data });
            if more {
                world.mark(id);
            }
        } else if end.armed && end.eof && !end.told_eof {
            end.told_eof = true;
            let error = None;
            events.push(Event::Closed { socket, error });
        }
        world.hurry(id);
        world.hurry(id.peer());
    }

    fn depart(
        &self,
        world: &mut World,
        token: Token,
        id: EndId,
        events: &mut Vec<Event<SimSocket>>,
    ) {
        world.hurry(id);
        if let Some(pair) = world.pairs.get_mut(&id.pair) {
            let end = &mut pair.ends[id.side];
            end.holder = Holder::Nobody;
            end.detaching = false;
            end.armed = false;
        }
        let host = &mut world.hosts[self.host];
        if let Some(entry) = host.entries.get_mut(token.index as usize) {
            entry.1 = Slot::Departed;
        }
        host.departed.push(token);
        events.push(Event::Detached {
            socket: token,
            detached: self.detached(id),
        });
    }

    fn accept(
        &self,
        world: &mut World,
        listener: Token,
        at: SocketAddr,
        events: &mut Vec<Event<SimSocket>>,
    ) {
        while let Some(backlog) = world.backlogs.get_mut(&at) {
            let Some((end, peer)) = backlog.waiting.pop_front() else {
                return;
            };
            let socket = self.adopt(world, end);
            events.push(Event::Accepted {
                listener,
                socket,
                peer,
            });
        }
    }

    pub(super) fn adopt(&self, world: &mut World, id: EndId) -> Token {
        let token = world.hosts[self.host].insert(Slot::End(id));
        if let Some(pair) = world.pairs.get_mut(&id.pair) {
            pair.ends[id.side].holder = Holder::Host(self.host, token);
            // Whatever happened meanwhile is told here.
            pair.ends[id.side].told_eof = false;
            pair.ends[id.side].told_broken = false;
        }
        world.mark(id);
        token
    }

    pub(super) fn collect(&mut self, world: &mut World, events: &mut Vec<Event<SimSocket>>) {
        for token in std::mem::take(&mut world.hosts[self.host].departed) {
            world.hosts[self.host].remove(token);
        }
        let host = &mut world.hosts[self.host];
        if std::mem::take(&mut host.woken) {
            events.push(Event::Woken);
        }
        let mut dirty: Vec<u32> = std::mem::take(&mut host.dirty).into_iter().collect();
        world.random.shuffle(&mut dirty);
        for index in dirty {
            let entry = world.hosts[self.host].entries.get(index as usize);
            let Some((generation, slot)) = entry.copied() else {
                continue;
            };
            let token = Token { index, generation };
            match slot {
                Slot::Listener(at) => self.accept(world, token, at, events),
                Slot::End(end) => self.tell(world, token, end, events),
                Slot::Free | Slot::Departed => {}
            }
        }
    }
}
