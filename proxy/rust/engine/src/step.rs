//! What a session machine tells the server room to do with the bytes it was shown.

use std::ops::Range;

use crate::{Attention, CloseReason, Kill, KillReason, PinReason};

/// The two sides of the proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leg {
    /// Towards the application.
    Client,
    /// Towards the database.
    Server,
}

/// What is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// A part of the input that the machine was just shown, unchanged.
    Range(Range<usize>),
    /// Bytes that the proxy itself made.
    Bytes(Vec<u8>),
}

/// How a backend comes back from a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    /// As it was: ready for anybody with the same pool key.
    Clean,
    /// Its session state must be discarded first ([`crate::Link::reset`]).
    Reset,
    /// It can't be trusted or used any more: close it.
    Kill(KillReason),
}

/// Something worth counting or telling, which moves no bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// The session is bound to its backend from here on, by this statement: without its values, and
    /// empty if that isn't known.
    Pinned(PinReason, Box<str>),
    /// What it was pinned for is gone; it is pinned for this, if anything is left.
    Unpinned(Option<PinReason>),
    /// The database said that it is no writer (where no setting of the client's can be why) or
    /// that it is going down.
    WriterDoubted,
}

/// One instruction. The server room carries out a list of them in order; all `Send`s to one leg
/// that one receive causes leave in one write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A request is complete and needs a backend: check one out, [`crate::Session::attach`] it and
    /// feed the same input again. Nothing of the request was consumed. Ends the list.
    NeedBackend,
    /// Send these bytes.
    Send(Leg, Payload),
    /// The backend is the pool's again; the session no longer holds it.
    Release(Release),
    /// Its client listens, and the end of its answer is kept back until it has heard everything that was
    /// said before. Until that is over the session takes nothing more. A `Release` in
    /// front of this is that of a backend which may also go on to listen.
    Attend(Box<Attention>),
    /// Its client ends another one, or what that runs. Until it is told what became of that
    /// ([`crate::Session::killed`]), the session takes nothing more.
    Kill(Kill),
    /// Its client logs in again, which the rest of the input begins with: the session is over, and so is what
    /// it holds ([`crate::Engine::login_again`]). Ends the list.
    LogInAgain,
    /// Count and log this.
    Note(Note),
    /// Flush what was sent to the client, then close it. If a backend is attached, the server room
    /// calls [`crate::Session::abandon`].
    Close(CloseReason),
}

/// What an operator has decided about binding sessions to their backends.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Rules {
    /// A statement of more bytes binds its session; `None`: however long it is.
    pub longest_statement: Option<usize>,
    /// A setting that can't be followed doesn't bind: it is gone after the transaction.
    pub excludes_settings: bool,
}

/// The list that a machine appends to; the caller reuses its memory.
pub type Steps = Vec<Step>;
