//! What a scripted client says and makes of what it hears, whatever the protocol: its script and its judge.

use std::fmt::Debug;

use dbproxy_driver::sim::Random;

use crate::witness::{Class, Witness};

/// One turn of a script.
pub struct Asked {
    pub bytes: Vec<u8>,
    /// As the trace has it.
    pub shown: String,
    /// It takes its time: it may be cancelled meanwhile.
    pub sleeps: bool,
}

/// What a message of a log-in, or to who brings a cancel, leads to.
pub enum LoggingIn {
    Waits,
    Says(Vec<u8>),
    Done,
}

/// A connection of its own that brings a cancel.
pub trait Canceller {
    /// What it says first; nothing where that is the server's part.
    fn hello(&self) -> Vec<u8>;

    /// Takes in a message.
    fn hear(&mut self, message: &[u8]) -> LoggingIn;
}

/// What is said where a database waits for a file.
pub struct File {
    pub bytes: Vec<u8>,
    /// The client goes in the middle of it.
    pub leaves: bool,
}

/// One client's part in the conversation, over all of its connections.
pub trait Speaker: Debug {
    type Canceller: Canceller;

    fn new(id: u64, class: Class) -> Self;

    /// A new connection of the same client.
    fn begin(&mut self);

    /// Takes the first whole message off a buffer.
    fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>>;

    /// A message as the trace shows it; `None`: there are too many such.
    fn readable(&self, message: &[u8]) -> Option<String>;

    /// What it says first on a connection; nothing where that is the server's part.
    fn hello(&self) -> Vec<u8>;

    /// Takes in a message of its log-in.
    fn log_in(&mut self, message: &[u8], witness: &mut Witness) -> LoggingIn;

    /// Its next request; `only_reads`: it does nothing else.
    fn ask(&mut self, random: &mut Random, only_reads: bool, witness: &Witness) -> Asked;

    /// Takes in a message; true when the database waits for a file.
    fn hear(&mut self, message: &[u8], witness: &mut Witness) -> bool;

    /// The file that it is asked for.
    fn file(&mut self, random: &mut Random, may_leave: bool) -> Option<File>;

    /// Answers that are owed.
    fn owed(&self) -> usize;

    /// It is in the middle of nothing.
    fn is_idle(&self) -> bool;

    /// Well-behaved last words.
    fn goodbye(&self) -> Vec<u8>;

    /// What brings a cancel, once a connection.
    fn take_cancel(&mut self) -> Option<Self::Canceller>;

    /// It has cancelled; that is over: it strikes nothing that is asked from here on.
    fn cancelled(&mut self);
    fn cancel_over(&mut self);

    /// Requests so small that many of them are a flood.
    fn small_requests(&self) -> Vec<Vec<u8>>;

    /// Makes of random bytes what can't be understood, and says it.
    fn garble(&mut self, bytes: &mut Vec<u8>);

    /// The connection ended without the client's doing.
    fn closed(&mut self, logged_in: bool, excused: bool, witness: &mut Witness);
}
