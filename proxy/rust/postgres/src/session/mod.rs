//! A logged-in client: its requests over backends that it holds for a transaction at a time.
//!
//! Driven by a worker through the [`Session`](dbproxy_engine::Session) trait. `alone` looks at the
//! client's bytes while it holds no backend, `forward` while it does, `replies` at the backend's,
//! `lost` decides what a client is told when its backend is gone. What the server still owes is
//! kept in the [`Link`], which outlives the client; here is what belongs to the client.

mod alone;
mod aside;
mod attending;
mod copies;
mod deeds;
mod extended;
mod forward;
mod judge;
mod lending;
mod lost;
mod missed;
mod named;
mod named_messages;
mod named_replies;
mod own_names;
mod parameters;
mod place;
mod replay;
mod replies;
mod reports;
mod run;
mod sequences;
mod survey;

use std::sync::Arc;

use dbproxy_engine::{
    Abandoned, CancelKey, Channels, CloseReason, Failure, KillReason, Killed, Leg, Note, Outcome,
    Payload, PinReason, Release, Rules, Step, Steps, Traces,
};

use crate::expect::Statement;
use crate::link::{CopyIn, Leave, Link};
use crate::message::error::Fault;
use crate::message::{backend, build};
use crate::params::Params;
use crate::pins::Pins;
use crate::prepared::{Change, Names, Now, Shared};
use crate::settings::Settings;
use crate::statement::{Acts, Memory};
use crate::{name, texts};

use attending::Then;
use missed::Missed;
use run::Until;

/// A transaction whose backend is gone, as the client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Virtual {
    /// There is none.
    No,
    /// The client doesn't know yet: its next statement gets 40001.
    Untold,
    /// It knows: 25P02 until it rolls back.
    Told,
}

/// How far the backend is prepared that was attached.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Replaying {
    No,
    /// Nothing is forwarded before the client's settings are there.
    Awaited,
    /// They can't be: the client's request is answered with this error.
    Failed(Box<[u8]>),
}

/// What the batch at hand did to the unnamed statement.
#[derive(Clone, Default, Debug)]
enum Touched {
    #[default]
    Not,
    /// Whatever of the batch is read behind it finds this one.
    Parsed(Arc<Statement>),
    Closed,
}

/// What the current batch of extended messages holds so far.
#[derive(Clone, Default, Debug)]
struct Batch {
    unnamed: Touched,
    /// What the session had set when it was parsed.
    under: Option<Arc<Settings>>,
    /// It used the unnamed statement that it parsed.
    used: bool,
    /// It used the one that the backend had.
    relies: bool,
    /// The unnamed portal was bound, and does this.
    bound: Option<Acts>,
    /// It was executed.
    executed: bool,
    /// One of its messages is broken: the server throws away what stands behind it.
    broken: bool,
    /// It parsed a ROLLBACK that ends the virtual transaction.
    rollback: bool,
    /// What it does to the client's names, in order.
    names: Vec<Change>,
    /// It may deallocate them all.
    forgets: bool,
    /// Something was executed behind the Parse of the unnamed statement.
    ran: bool,
    /// It had this one prepared, and the server made something else of it, or said this.
    tried: Option<(Arc<Shared>, Now)>,
    said: Option<Arc<[u8]>>,
}

/// A logged-in client.
#[derive(Debug)]
pub struct Session {
    id: CancelKey,
    application_name: Arc<str>,
    /// The reports that the client knows.
    told: Arc<Params>,
    pins: Pins,
    /// It has made a temporary object, so its search path begins with those.
    shadows: bool,
    failed: Virtual,
    /// Extended messages are thrown away up to the next Sync.
    skipping: bool,
    /// It was told to go; nothing more is looked at.
    closed: bool,
    /// What the client has set, outside of the transaction that it may be in.
    settings: Arc<Settings>,
    /// The custom settings that exist for it.
    traces: Traces,
    replaying: Replaying,
    /// A backend was attached and nothing was forwarded to it yet.
    fresh: bool,
    /// It had its settings reset; for the server that means no name.
    nameless: bool,
    /// The client is in the middle of a request.
    begun: bool,
    waits: Until,
    /// Bytes of the input that are known to be whole messages of an unfinished request.
    scanned: usize,
    /// Bytes of a message that are still to be forwarded, or thrown away.
    streaming: usize,
    swallowing: usize,
    /// A portal of this transaction would commit, or deallocate all statements.
    portal_acts: bool,
    batch: Batch,
    /// The unnamed statement that the client has, as far as that is answered.
    unnamed: Option<Arc<Statement>>,
    /// Its shared statements, as far as that is answered; the unnamed one too, if it outlives its
    /// batch. A batch before the one at hand changes them: `renaming`.
    names: Names,
    renaming: bool,
    /// Those that a text speaks of and that couldn't be made for it.
    missed: Vec<Missed>,
    /// What its statements on its own backend do to settings, by their names; `None` where that isn't
    /// certain.
    own: Vec<(Arc<[u8]>, Option<Acts>)>,
    /// The channels that an ear listens to for its client.
    channels: Channels,
    /// Those that it was asked for besides, for a transaction that may be undone.
    wider: Channels,
    /// Nothing more is taken until the client has attended; what follows, and its channels then.
    attends: Option<(Channels, Then)>,
    /// It has attended before the transaction or request at hand.
    heard: bool,
    /// What its own backend says while it isn't decided who listens for it.
    undecided: Vec<u8>,
    /// The backend at hand listens to them too: it is to say so.
    shown: bool,
}

impl Session {
    pub(crate) fn welcome(
        name: Option<&[u8]>,
        params: &Arc<Params>,
        key: CancelKey,
        out: &mut Vec<u8>,
    ) -> Self {
        let application_name: Arc<str> = match name {
            Some(name) => name::clean(name, params).into(),
            None => params.own_name().into(),
        };
        build::parameter(out, "application_name", application_name.as_bytes());
        for (name, value) in params.iter() {
            build::parameter(out, name, value);
        }
        build::message(out, backend::BACKEND_KEY_DATA, |body| {
            body.extend_from_slice(&key.id.to_be_bytes());
            body.extend_from_slice(key.secret.as_bytes());
        });
        build::ready(out, b'I');
        Self {
            id: key,
            application_name,
            told: Arc::clone(params),
            pins: Pins::default(),
            failed: Virtual::No,
            skipping: false,
            closed: false,
            settings: Settings::none(),
            traces: [].into(),
            replaying: Replaying::No,
            fresh: false,
            nameless: false,
            begun: false,
            waits: Until::Now,
            scanned: 0,
            streaming: 0,
            swallowing: 0,
            portal_acts: false,
            batch: Batch::default(),
            unnamed: None,
            names: Names::default(),
            renaming: false,
            shadows: false,
            missed: Vec::new(),
            own: Vec::new(),
            channels: Channels::new(),
            wider: Channels::new(),
            attends: None,
            undecided: Vec::new(),
            heard: false,
            shown: false,
        }
    }

    fn close(&mut self, reason: CloseReason, out: &mut Steps) {
        self.closed = true;
        out.push(Step::Close(reason));
    }

    /// The client broke the protocol. `mid_reply`: it is in the middle of a message to it.
    fn violation(&mut self, mid_reply: bool, out: &mut Steps) {
        if !mid_reply {
            let mut bytes = Vec::new();
            texts::failure(Failure::ProtocolViolation, true, &mut bytes);
            say(bytes, out);
        }
        self.close(CloseReason::ProtocolViolation, out);
    }

    fn pin(&mut self, reason: PinReason, link: &mut Link, out: &mut Steps) {
        link.left(Leave::Dirty);
        if self.pins.add(reason) {
            out.push(Step::Note(Note::Pinned(reason, Box::default())));
        }
    }

    /// The client has this as its unnamed statement now.
    fn has_unnamed(&mut self, statement: Option<Arc<Statement>>) {
        self.unnamed = statement;
        self.names.remove_unnamed();
    }
}

/// Sends bytes of our own to the client.
fn say(bytes: Vec<u8>, out: &mut Steps) {
    out.push(Step::Send(Leg::Client, Payload::Bytes(bytes)));
}

/// Sends bytes of our own to the server.
fn tell(bytes: Vec<u8>, out: &mut Steps) {
    out.push(Step::Send(Leg::Server, Payload::Bytes(bytes)));
}

fn fault(fault: &Fault<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    fault.write(&mut bytes);
    bytes
}

impl dbproxy_engine::Session for Session {
    type Link = Link;
    type Memory = Memory;

    fn rule(memory: &mut Memory, rules: Rules) {
        memory.rules = rules;
    }

    fn feed_client(
        &mut self,
        input: &[u8],
        link: Option<&mut Link>,
        memory: &mut Memory,
        request_limit: usize,
        out: &mut Steps,
    ) -> usize {
        if self.closed {
            return input.len();
        }
        if self.attends.is_some() {
            return 0;
        }
        let used = match link {
            Some(link) => self.forward(link, input, memory, request_limit, out),
            None => self.alone(input, request_limit, out),
        };
        self.begun = used < input.len() || self.swallowing > 0;
        used
    }

    fn attach(&mut self, link: &mut Link, out: &mut Steps) {
        self.fresh = true;
        self.shown = false;
        self.waits = Until::Now;
        self.batch = Batch::default();
        self.missed.clear();
        if !self.replay(link, out) {
            self.tell_params(link, out);
        }
        self.introduce(link, out);
    }

    fn feed_server(
        session: Option<&mut Self>,
        link: &mut Link,
        input: &[u8],
        out: &mut Steps,
    ) -> usize {
        replies::replies(session, link, input, out)
    }

    fn abandon(&mut self, link: &mut Link) -> Abandoned {
        self.closed = true;
        if self.pins.any() {
            link.left(Leave::Dirty);
        }
        if link.closing {
            return Abandoned::Free(Release::Kill(KillReason::ServerClosed));
        }
        let open = link.sending.is_some() || link.unsynced || link.copy_in == CopyIn::Active;
        if open || (link.expected.is_empty() && link.partial.is_some()) {
            return Abandoned::Free(Release::Kill(KillReason::ClientLost));
        }
        if link.settled() {
            Abandoned::Free(link.release())
        } else {
            Abandoned::Running
        }
    }

    fn lost(&mut self, link: &mut Link, out: &mut Steps) -> Outcome {
        lost::lost(self, link, out)
    }

    fn refuse(&mut self, failure: Failure, input: &[u8], out: &mut Steps) -> usize {
        let used = self.refuse_request(failure, input, out);
        self.begun = used < input.len() || self.swallowing > 0;
        used
    }

    // This protocol's cancels come on connections of their own: no session says `Kill`, so none is told of its end.

    fn killed(&mut self, _: Killed, _: &mut Steps) {}

    fn attended(&mut self, whole: bool, out: &mut Steps) {
        self.has_attended(whole, out);
    }

    fn listens_itself(&mut self, link: &mut Link, out: &mut Steps) {
        self.pin(PinReason::Listen, link, out);
        self.attends = Some((Channels::new(), Then::Answer));
        self.has_attended(true, out);
    }

    fn farewell(&self, failure: Failure, out: &mut Vec<u8>) {
        texts::failure(failure, true, out);
    }

    fn at_boundary(&self) -> bool {
        self.failed == Virtual::No && !self.begun && !self.skipping && self.attends.is_none()
    }

    fn is_held(&self) -> bool {
        self.waits == Until::All || self.replaying == Replaying::Awaited
    }

    fn pinned(&self) -> bool {
        self.pins.any()
    }

    fn traces(&self) -> &Traces {
        &self.traces
    }
}
