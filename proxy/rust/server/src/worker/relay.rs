//! Carrying out what the session machines say: moving bytes, notes, releases.

use dbproxy_driver::Driver;
use dbproxy_engine::{
    Attention, CloseReason, Engine, Kill, KillReason, Leg, Link, Note, Release, Session, Step,
    Steps,
};

use crate::notice::Notice;
use crate::slab::Key;
use crate::snapshot::Role;
use crate::stats::{count_pin, move_pinned};
use crate::wire::HIGH_WATER;

use super::clients::LAST_ANSWERS;
use super::ends::Ends;
use super::places::BackendPlace;
use super::state::ClientPlace;
use super::{Todo, Worker};

/// A request that is larger than this is forwarded before it is complete.
pub const REQUEST_LIMIT: usize = 256 * 1024;

/// What a list of steps asks for besides moving bytes.
#[derive(Default)]
pub(super) struct Asked {
    backend: bool,
    release: Option<Release>,
    close: Option<CloseReason>,
    attention: Option<Box<Attention>>,
    kill: Option<Kill>,
    login: bool,
    /// A leg's TLS failed while sending.
    broken: Option<Leg>,
}

impl<E: Engine, D: Driver> Worker<E, D> {
    /// Lets a client's session look at what it sent, as far as that goes: of a request that isn't
    /// complete, what is larger than `limit`.
    pub(super) fn pump_client_from(&mut self, key: Key, mut limit: usize) {
        let mut steps = std::mem::take(&mut self.steps);
        while self.pump_client_once(key, limit, &mut steps) {
            limit = REQUEST_LIMIT;
        }
        steps.clear();
        self.steps = steps;
        self.tell_kept(key);
        let client = self.clients.get(key);
        if client.is_some_and(|client| client.hearing.deaf) {
            self.leave_at_boundary(key);
        }
        self.leave_if_answered(key);
    }

    /// Says whether the client's input shall be looked at again: it got a backend, or some of what
    /// needs none was answered.
    fn pump_client_once(&mut self, key: Key, limit: usize, steps: &mut Steps) -> bool {
        let client = self
            .clients
            .get(key)
            .filter(|client| client.session.is_some());
        let Some(client) = client else {
            return false;
        };
        let holding = match client.place {
            ClientPlace::Idle => None,
            ClientPlace::Holding(backend) => Some(backend),
            ClientPlace::Waiting | ClientPlace::Leaving => {
                self.regulate(key);
                return false;
            }
        };
        // Who doesn't read its answers gets no more of them.
        let slow = self.driver.queued(client.wire.token) > HIGH_WATER;
        if slow || client.wire.input().is_empty() {
            self.regulate(key);
            return false;
        }
        steps.clear();
        let wanted = holding.is_some_and(|backend| self.is_wanted(backend));
        let Some(client) = self.clients.get_mut(key) else {
            return false;
        };
        let Some(session) = client.session.as_mut() else {
            return false;
        };
        let backend = holding.and_then(|backend| self.backends.get_mut(backend));
        let (input, memory) = (client.wire.input(), &mut self.memory);
        let consumed = match backend {
            Some(backend) => {
                let Some(link) = backend.link.as_mut() else {
                    return false;
                };
                if backend.cut {
                    self.regulate(key);
                    return false;
                }
                let busy = link.outstanding() > 0;
                // With others waiting, a client that pipelines without end yields at a Sync.
                link.is_wanted(wanted);
                let consumed = session.feed_client(input, Some(link), memory, limit, steps);
                if !busy && link.outstanding() > 0 {
                    client.asked_at = self.driver.now();
                }
                consumed
            }
            None => session.feed_client(input, None, memory, limit, steps),
        };
        let asked = self.carry_out(Leg::Client, Some(key), holding, consumed, steps);
        self.regulate(key);
        let (wants, answered) = (asked.backend, holding.is_none() && consumed > 0);
        self.follow_up(Some(key), holding, asked);
        if let Some(backend) = holding {
            self.resume_cancel(backend);
        }
        (wants && self.check_out(key)) || answered
    }

    /// Lets the session (or only the link) look at what the backend sent.
    pub(super) fn pump_backend(&mut self, key: Key) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let holder = match backend.place {
            BackendPlace::Lent(client) => Some(client),
            BackendPlace::Orphaned | BackendPlace::Resetting => None,
            BackendPlace::Ear(_) => return self.hear(key),
            _ => return self.spoke_out_of_turn(key),
        };
        let client = holder.and_then(|client| self.clients.get_mut(client));
        let Some(link) = backend.link.as_mut() else {
            return;
        };
        let mut steps = std::mem::take(&mut self.steps);
        steps.clear();
        let before = link.answered();
        let input = backend.wire.input();
        let consumed = match client {
            Some(client) => {
                let consumed =
                    E::Session::feed_server(client.session.as_mut(), link, input, &mut steps);
                let answered = link.answered() - before;
                let now = self.driver.now();
                client.kept_until = client.kept_until.map(|_| now.after(LAST_ANSWERS));
                if answered > 0 {
                    client.stats.queries.add(answered);
                    if client.wire.is_tls() {
                        client.stats.queries_tls.add(answered);
                    }
                    client.stats.response.observe(now.since(client.asked_at));
                    client.asked_at = now;
                }
                consumed
            }
            None => E::Session::feed_server(None, link, input, &mut steps),
        };
        let orphaned = matches!(backend.place, BackendPlace::Orphaned);
        let cancel_now = orphaned && backend.discards(consumed);
        let asked = self.carry_out(Leg::Server, holder, Some(key), consumed, &mut steps);
        steps.clear();
        self.steps = steps;
        if cancel_now {
            self.start_cancel(key);
        }
        self.resume_cancel(key);
        let released = asked.release;
        self.follow_up(holder, Some(key), asked);
        if let (Some(client), None) = (holder, released) {
            self.after_answer(client, key);
        }
    }

    /// A lent backend answered but was not released: its client may go on, or the cut is ripe.
    fn after_answer(&mut self, client: Key, key: Key) {
        self.regulate(client);
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        let quiet = backend.link.as_ref().is_some_and(|l| l.outstanding() == 0);
        if backend.cut && quiet {
            self.lose(key, KillReason::WriterLost);
        } else {
            self.settle_client(client);
        }
    }

    /// Moves bytes and takes notes; returns what else the steps ask for.
    fn carry_out(
        &mut self,
        from: Leg,
        client: Option<Key>,
        backend: Option<Key>,
        consumed: usize,
        steps: &mut Steps,
    ) -> Asked {
        let mut asked = Asked::default();
        // Counted before anybody can read an answer, and then the counters.
        for step in steps.iter() {
            if let Step::Note(note) = step {
                self.take_note(note.clone(), client, backend);
            }
        }
        let driver = &mut self.driver;
        let mut ends = Ends {
            from,
            client: client
                .and_then(|key| self.clients.get_mut(key))
                .map(|c| &mut c.wire),
            backend: backend
                .and_then(|key| self.backends.get_mut(key))
                .map(|b| &mut b.wire),
            consumed,
            moved: false,
        };
        for step in steps.drain(..) {
            match step {
                Step::Send(to, payload) => ends.send(driver, to, payload),
                Step::NeedBackend => asked.backend = true,
                Step::Release(release) => asked.release = Some(release),
                Step::Note(_) => {}
                Step::Close(reason) => asked.close = Some(reason),
                Step::Kill(kill) => asked.kill = Some(kill),
                Step::LogInAgain => asked.login = true,
                Step::Attend(attention) => asked.attention = Some(attention),
            }
        }
        asked.broken = ends.finish(driver);
        asked
    }

    pub(super) fn take_note(&mut self, note: Note, client: Option<Key>, backend: Option<Key>) {
        match note {
            Note::Pinned(reason, statement) => {
                let Some(client) = client.and_then(|key| self.clients.get_mut(key)) else {
                    return;
                };
                count_pin(&client.stats, reason);
                let before = client.pinned.replace(reason);
                move_pinned(&client.stats, before, client.pinned);
                let user = self
                    .lanes
                    .all
                    .get(client.lane)
                    .map(|l| l.identity.user.clone());
                let notice = Notice::new("session_pinned")
                    .text("endpoint", &*client.listener.name)
                    .text("user", user.as_deref().unwrap_or_default())
                    .text("reason", reason.label())
                    .text("statement", statement);
                self.shared.notices.push(notice);
            }
            Note::Unpinned(left) => {
                let Some(client) = client.and_then(|key| self.clients.get_mut(key)) else {
                    return;
                };
                let before = std::mem::replace(&mut client.pinned, left);
                move_pinned(&client.stats, before, left);
            }
            // A reader's client that tries to write says nothing about the writer.
            Note::WriterDoubted if self.reads_only(client) => {}
            Note::WriterDoubted => {
                if let Some(backend) = backend.and_then(|key| self.backends.get(key)) {
                    let name = backend.target.name.clone();
                    self.doubt(&name, "the database refused to write or is going down");
                }
            }
        }
    }

    fn reads_only(&self, client: Option<Key>) -> bool {
        let client = client.and_then(|key| self.clients.get(key));
        client.is_some_and(|client| client.role() == Role::ReadOnly)
    }

    /// Releases and closes, after the bytes have moved.
    fn follow_up(&mut self, client: Option<Key>, backend: Option<Key>, asked: Asked) {
        match (asked.attention, asked.release, client, backend) {
            (Some(attention), release, Some(client), Some(key)) => {
                self.attend(client, key, *attention, release);
            }
            (Some(attention), _, Some(client), None) => self.attend_by_itself(client, *attention),
            (_, Some(release), client, Some(key)) => self.released(client, key, release),
            _ => {}
        }
        if let (Some(kill), Some(key)) = (asked.kill, client) {
            self.ask_for_kill(key, kill);
        }
        if let (true, Some(key)) = (asked.login, client) {
            self.log_in_again(key);
        }
        if let (Some(reason), Some(key)) = (asked.close, client) {
            self.close_client(key, reason, None);
        }
        match asked.broken {
            Some(Leg::Client) => {
                if let Some(key) = client {
                    self.close_client(key, CloseReason::TlsFailed, None);
                }
            }
            Some(Leg::Server) => {
                if let Some(key) = backend {
                    self.lose(key, KillReason::ServerClosed);
                }
            }
            None => {}
        }
    }

    /// A session gave its backend back (or it must be killed).
    pub(super) fn released(&mut self, client: Option<Key>, key: Key, release: Release) {
        if let Release::Kill(reason) = release {
            return self.lose(key, reason);
        }
        self.part(client, key);
        self.reuse(key, release);
        if let Some(client) = client {
            self.settle_client(client);
        }
    }

    /// After a request: the client is idle; in a drain it goes, with more input it goes on.
    pub(super) fn settle_client(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else {
            return;
        };
        let more = !client.wire.input().is_empty();
        if more {
            self.todo.push_back(Todo::Pump(key));
        }
        self.tell_kept(key);
        self.leave_at_boundary(key);
        self.regulate(key);
        if !more {
            self.leave_if_answered(key);
        }
    }

    /// Applies back-pressure to a client and its backend: who doesn't read is neither read for nor
    /// read from.
    pub(super) fn regulate(&mut self, key: Key) {
        let now = self.driver.now();
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.place == ClientPlace::Leaving {
            return;
        }
        let slow_client = self.driver.queued(client.wire.token) > HIGH_WATER;
        if !slow_client {
            client.stalled_since = None;
        } else if client.stalled_since.is_none() {
            client.stalled_since = Some(now);
        }
        let mut slow_backend = false;
        if let ClientPlace::Holding(backend) = client.place {
            if let Some(backend) = self.backends.get_mut(backend) {
                slow_backend = self.driver.queued(backend.wire.token) > HIGH_WATER;
                backend.wire.arm(&mut self.driver, !slow_client);
            }
        }
        let room = client.wire.input().len() < REQUEST_LIMIT;
        let here = client.login.is_none();
        client.wire.arm(
            &mut self.driver,
            room && here && !slow_backend && !slow_client,
        );
    }

    /// Carries out steps that a machine made outside of the two pumps.
    pub(super) fn play(
        &mut self,
        client: Key,
        backend: Option<Key>,
        consumed: usize,
        mut steps: Steps,
    ) {
        let asked = self.carry_out(Leg::Client, Some(client), backend, consumed, &mut steps);
        self.follow_up(Some(client), backend, asked);
    }
}
