//! A connection to a model database as that sees it, whatever the protocol.

use dbproxy_driver::sim::Random;
use dbproxy_driver::Time;

use crate::notes::Note;
use crate::witness::Witness;

/// Whose session it is, in the database of that name.
#[derive(Clone)]
pub struct Who {
    pub user: String,
    pub name: String,
}

/// What a connection begins with.
pub struct Greeting<'a> {
    /// Its number among this server's.
    pub number: u32,
    pub tls: bool,
    pub random: &'a mut Random,
}

/// What is around a connection while it reads.
pub struct Around<'a> {
    pub now: Time,
    pub read_only: bool,
    /// Which of two ways of logging in the server has.
    pub way: bool,
    pub tls: bool,
    /// A user that may not log in here, or a database's name that nobody may, and what they are told.
    pub refuses: Option<&'static str>,
    pub refusal: &'static str,
    pub witness: &'a mut Witness,
    pub out: Vec<u8>,
    /// Whose statements are to end, by number and secret.
    pub cancels: Vec<(u32, u32)>,
}

impl Around<'_> {
    /// Whether this one may not log in.
    pub fn refuses(&self, who: &Who) -> bool {
        self.refuses
            .is_some_and(|one| one == who.user || one == who.name)
    }
}

/// A session that begins.
pub struct Seat {
    /// The server's number, and through which of its doors it was reached.
    pub place: (usize, usize),
    pub number: u64,
    pub secret: u32,
    pub read_only: bool,
}

/// What becomes of a connection that has read.
pub enum Next {
    GoesOn,
    StartTls,
    /// It has proved who it is.
    Admit(Who),
    Over,
}

/// One connection to a model database.
pub trait Peer: Sized {
    /// The channels on which somebody notifies who isn't a client.
    const CHANNELS: Option<[&'static str; 2]>;
    /// The code of who may not log in.
    const REFUSAL: &'static str;

    /// A new one, and what it is told before it has said anything.
    fn greet(greeting: Greeting<'_>, out: &mut Vec<u8>) -> Self;

    /// Takes in bytes and time.
    fn feed(&mut self, bytes: &[u8], around: &mut Around<'_>) -> Next;

    /// It is let in; what it is told.
    fn admit(&mut self, who: Who, seat: Seat) -> Vec<u8>;

    /// The server is full; what it is told.
    fn turn_away(&self) -> Vec<u8>;

    /// Whose it is once that is let in.
    fn who(&self) -> Option<&Who>;

    /// Whether it is one of those for whose number there are limits.
    fn counts(&self) -> bool {
        self.who().is_some()
    }

    /// Until when its statement takes its time.
    fn busy_until(&self) -> Option<Time>;

    /// Whether a cancel of that number and secret is for it.
    fn is(&self, number: u32, secret: u32) -> bool;

    /// Ends what it runs; says whether something was running.
    fn cancel(&mut self) -> bool;

    /// What it is told when an administrator ends it.
    fn goodbye(&self) -> Vec<u8>;

    /// Sends rows until it is cancelled, and which come next.
    fn is_endless(&self) -> bool {
        false
    }

    fn more_rows(&self) -> Vec<u8> {
        Vec::new()
    }

    /// What it has notified since it was asked last, and by which process.
    fn published(&mut self) -> Vec<(u32, Note)> {
        Vec::new()
    }

    /// What it is told of that.
    fn hear(&mut self, _notes: &[(u32, Note)]) -> Vec<u8> {
        Vec::new()
    }

    /// A notification as it hears them; nothing where it doesn't listen.
    fn notification(&self) -> Vec<u8> {
        Vec::new()
    }
}
