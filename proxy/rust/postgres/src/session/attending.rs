//! A client that listens is told the end of an answer when it has heard everything that was said before;
//! see the engine's `listening`.
//!
//! It hears everything from one source as long as it listens: its own backend, which it keeps, or an ear.
//! Which, is decided when it listens to nothing yet. A LISTEN that is a request by itself ends with an
//! ear; anywhere else somebody may know of it before an ear listens, and it pins. From then on, what a
//! subscriber begins to listen to its ear is asked for before the server is, and what it ceases to
//! listen to is told up to its request.

use std::sync::Arc;

use dbproxy_engine::{Attention, Channels, KillReason, PinReason, Reader, Step, Steps};

use crate::channels::Change;
use crate::ear::said;
use crate::expect::{Expect, Injected};
use crate::link::{CopyIn, Leave, Link, Status};
use crate::message::{backend, build, frontend};
use crate::statement::{Act, Class, Effects, Script, State};

use super::forward::Verdict;
use super::judge;
use super::run::Run;
use super::{say, Session};

/// A session that listens to more channels does so itself.
const MOST: usize = 1024;
/// So much is kept of what its own backend says before it is decided whether that goes on to listen.
const MOST_KEPT: usize = 4 << 20;

/// What a session is about to be told, when it has attended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// The end of an answer.
    Answer,
    /// Nothing: it begins a request, or is amid one.
    Request,
    More,
}

/// Whether others may know of the request that ends as soon as the server has carried it out: it stood
/// in a transaction, or has changed something.
pub(super) fn is_hasty(link: &Link) -> bool {
    if !link.tunes {
        return false;
    }
    let front = link.expected.front().map_or(Effects::NONE, Expect::effects);
    let request = link.done.then(&front);
    link.status != Status::Idle || request.from(State::Idle).may_commit
}

/// NotificationResponse. A backend that is being cleaned may not know yet that it listens no more.
pub(super) fn notification(
    session: Option<&mut Session>,
    link: &mut Link,
    body: &[u8],
) -> judge::Verdict {
    let mut reader = Reader::new(body);
    let channel = reader.u32().and_then(|_pid| reader.cstr());
    let Ok(channel) = channel else {
        return judge::Verdict::Kill(KillReason::OutOfStep);
    };
    match session {
        Some(session) if session.hears_itself(channel) => return judge::Verdict::Pass,
        Some(session) if session.channels.is_empty() && link.changes.may_listen(channel) => {
            build::message(
                &mut session.undecided,
                backend::NOTIFICATION_RESPONSE,
                |out| {
                    out.extend_from_slice(body);
                },
            );
            if session.undecided.len() > MOST_KEPT {
                return judge::Verdict::Kill(KillReason::Ambiguous);
            }
        }
        _ if link.leave == Leave::Listening || link.resetting => {}
        _ => link.left(Leave::Dirty),
    }
    judge::Verdict::Drop
}

impl Session {
    /// Its client has one request at a time under way: it listens, or what is under way may make it.
    pub(super) fn goes_singly(&self, link: &Link) -> bool {
        (link.tunes || !self.channels.is_empty())
            && link.copy_in != CopyIn::Active
            && link.sending.is_none()
            && !link.unsynced
            && link.expected.requests() > 0
    }

    /// Whether a notification from its own backend is for the client: not what its ear tells it.
    fn hears_itself(&self, channel: &[u8]) -> bool {
        match self.channels.is_empty() {
            true => self.pins.any(),
            false => self.pins.listens() && !self.ear_hears(channel),
        }
    }

    fn ear_hears(&self, channel: &[u8]) -> bool {
        self.channels.contains(channel) || self.wider.contains(channel)
    }

    /// An answer ends, outside of a transaction. Its client is told when it has attended, if it listens.
    pub(super) fn ends_answer(
        &mut self,
        changes: &[Change],
        hasty: bool,
        link: &mut Link,
        out: &mut Steps,
    ) -> judge::Verdict {
        let mut channels = self.channels.clone();
        for change in changes {
            change.apply(&mut channels);
        }
        if self.channels.is_empty() {
            if channels.is_empty() {
                self.undecided.clear();
                return judge::Verdict::Ready(true);
            }
            let bound = self.pins.any() || hasty || link.cutting || self.is_foreign(link);
            if bound || channels.len() > MOST {
                self.pin(PinReason::Listen, link, out);
                say(std::mem::take(&mut self.undecided), out);
                return judge::Verdict::Ready(true);
            }
        } else if channels.iter().any(|channel| !self.ear_hears(channel)) {
            // Its ear wasn't asked for that.
            self.pin(PinReason::Listen, link, out);
            channels.retain(|channel| self.ear_hears(channel));
        }
        if link.expected.requests() > 0 || link.unsynced {
            return judge::Verdict::Kill(KillReason::Ambiguous);
        }
        if link.cutting {
            return judge::Verdict::Ready(true);
        }
        self.attends = Some((channels, Then::Answer));
        judge::Verdict::Attend
    }

    /// Ends an answer of the session's own outside of a transaction.
    pub(super) fn ends_own_answer(&mut self, mut bytes: Vec<u8>, out: &mut Steps) {
        if self.channels.is_empty() {
            build::ready(&mut bytes, b'I');
            return say(bytes, out);
        }
        say(bytes, out);
        self.attends = Some((self.channels.clone(), Then::Answer));
        let widened = !self.wider.is_empty();
        out.push(Step::Attend(Box::new(Attention {
            gone: self.wider.difference(&self.channels).cloned().collect(),
            channels: widened.then(|| self.channels.clone()),
            tells: true,
            foreign: None,
            may_tune: false,
        })));
    }

    /// What the server room is told, before an answer ends.
    pub(super) fn attention(&mut self, link: &Link) -> Step {
        let heard = std::mem::take(&mut self.heard);
        let empty = Channels::new();
        let next = self.attends.as_ref().map_or(&empty, |(next, _)| next);
        let before: Channels = self.channels.union(&self.wider).cloned().collect();
        // Of what it listened to before it has to hear what was said up to its request.
        let kept = |channel: &&Arc<[u8]>| !heard && self.channels.contains(*channel);
        let gone = before.difference(next).filter(|channel| !kept(channel));
        let gone = gone.cloned().collect();
        let tracked = !link.settings.is_lost() && !link.settings.is_strange();
        Step::Attend(Box::new(Attention {
            gone,
            channels: (*next != before).then(|| next.clone()),
            tells: true,
            foreign: Some(self.is_foreign(link)),
            may_tune: tracked && link.leave <= Leave::Listening && link.prepared.lent.is_none(),
        }))
    }

    /// It has attended. `whole`: its own backend goes on to listen for it.
    pub(super) fn has_attended(&mut self, whole: bool, out: &mut Steps) {
        let undecided = std::mem::take(&mut self.undecided);
        match self.attends.take() {
            Some((channels, Then::Answer)) => {
                self.channels = channels;
                self.wider.clear();
                let mut bytes = Vec::new();
                if whole {
                    bytes = undecided;
                }
                build::ready(&mut bytes, b'I');
                say(bytes, out);
            }
            Some((_, Then::Request)) => self.heard = true,
            Some((_, Then::More)) | None => {}
        }
    }

    /// Whether the end of an answer is kept back.
    pub(super) fn keeps_answer(&self) -> bool {
        matches!(self.attends, Some((_, Then::Answer)))
    }

    /// A text is about to be forwarded. What begins to listen, of a client that an ear doesn't listen for, pins
    /// unless it is a request by itself. Otherwise its ear is asked first: for what the text begins to listen
    /// to, and for what was said before a transaction, or before what changes its listening.
    pub(super) fn turns_to(
        &mut self,
        link: &mut Link,
        class: &Class,
        run: &Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        let acts = class.acts.iter().flat_map(|script| &script.acts);
        let begun = acts.filter_map(|(_, act)| match act {
            Act::Listen(channel) => Some(channel),
            _ => None,
        });
        let begun: Channels = begun.cloned().collect();
        let apart = link.status == Status::Idle && !self.batch.ran;
        if self.channels.is_empty() {
            let among = link.leave == Leave::Listening && link.unsynced && !is_plain(class);
            if among || !(begun.is_empty() || apart && is_plain(class)) {
                self.pin(PinReason::Listen, link, out);
            }
            return None;
        }
        let first = link.status == Status::Idle && !link.unsynced && link.expected.requests() == 0;
        let tunes = class.acts.iter().any(|script| script.any(Act::tunes));
        let hears = tunes || class.effects.steers() || (first && speaks_of_it(run.rest));
        let hears = hears && first && !self.heard;
        let missing = begun.iter().any(|channel| !self.ear_hears(channel));
        let many = self.channels.len() + self.wider.len() + begun.len() > MOST;
        if missing && many {
            self.pin(PinReason::Listen, link, out);
        }
        let widens = missing && !many;
        if !hears && !widens {
            return None;
        }
        if widens {
            self.wider.extend(begun);
        }
        let channels = self.channels.union(&self.wider).cloned().collect();
        let then = if hears { Then::Request } else { Then::More };
        self.attends = Some((self.channels.clone(), then));
        out.push(Step::Attend(Box::new(Attention {
            channels: widens.then_some(channels),
            gone: Channels::new(),
            tells: hears,
            foreign: Some(self.is_foreign(link)),
            may_tune: false,
        })));
        Some(Verdict::Wait)
    }

    /// A text that may ask to which channels the session listens finds its backend listening to all of
    /// them. In a transaction it is shown what was so before, and so is one that is begun; a session that
    /// keeps its backend is shown it from the start.
    pub(super) fn shows_channels(
        &mut self,
        link: &mut Link,
        class: &Class,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) -> Option<Verdict> {
        if !self.has_channels_to_show(link) {
            return None;
        }
        let opens = !link.unsynced && may_ask(run.rest);
        if !(class.channels || class.effects.steers() || self.pins.any() || opens) {
            return None;
        }
        let spared = self.spares_unnamed(link, run);
        let at = self.before_batch(link, run).filter(|_| spared);
        let Some(at) = at.filter(|_| link.reads_next()) else {
            return class.channels.then_some(Verdict::GiveUp);
        };
        self.shows_channels_at(at, link, run, out);
        None
    }

    /// Whether the backend doesn't listen to what its session does.
    pub(super) fn has_channels_to_show(&self, link: &Link) -> bool {
        !self.channels.is_empty() && !self.shown && link.status == Status::Idle
    }

    pub(super) fn shows_channels_at(
        &mut self,
        at: usize,
        link: &mut Link,
        run: &mut Run<'_>,
        out: &mut Steps,
    ) {
        self.shown = true;
        link.left(Leave::Listening);
        let sql = said("LISTEN", &self.channels);
        self.inject_at(at, (Injected::Channels, &sql), link, run, out);
    }

    fn is_foreign(&self, link: &Link) -> bool {
        let encoding = "client_encoding";
        link.params.value(encoding) != link.own.value(encoding)
    }
}

/// Whether a text does nothing but change to which channels its session listens.
fn is_plain(class: &Class) -> bool {
    let script = class.acts.as_ref();
    let all = |script: &Arc<Script>| {
        let tunes = script.acts.iter().filter(|(_, act)| act.tunes()).count();
        tunes == usize::from(script.statements)
    };
    class.pins.is_empty() && script.is_some_and(all)
}

/// Whether a batch may end what its client listens to, behind its first message.
fn speaks_of_it(batch: &[u8]) -> bool {
    is_batch(batch) && (has_word(batch, b"listen") || has_word(batch, b"discard"))
}

/// Whether it may ask for that, or begin a transaction, in which that may be asked.
fn may_ask(batch: &[u8]) -> bool {
    let words: [&[u8]; 3] = [b"begin", b"start", b"listening"];
    is_batch(batch) && words.iter().any(|word| has_word(batch, word))
}

fn is_batch(batch: &[u8]) -> bool {
    matches!(batch.first(), Some(&frontend::PARSE | &frontend::BIND))
}

fn has_word(batch: &[u8], word: &[u8]) -> bool {
    let mut parts = batch.windows(word.len());
    parts.any(|part| part.eq_ignore_ascii_case(word))
}
