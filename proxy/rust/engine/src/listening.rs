//! What the server room needs to know of sessions that listen: to which channels, and when a client may
//! be told that its request is over. Channels are names that mean nothing to it.
//!
//! A session runs what begins or ends its listening on the backend that it holds, like anything else. At
//! the end of that request, and of every other one of a client that listens, it says
//! [`Step::Attend`](crate::Step::Attend) and keeps the end of the answer back; also where it answers
//! by itself, and holds no backend. The server room answers with one of these:
//!
//! - the backend becomes an *ear*: it is lent to nobody and listens for that client, and for others that
//!   come later ([`Link::tune`](crate::Link::tune), then [`Session::attended`](crate::Session::attended));
//! - the client joins an ear that is there. It has attended when the ear has confirmed what it was asked
//!   after the request ([`Link::inquire`](crate::Link::inquire)): whatever was said before that, it has
//!   said by then;
//! - the session listens on its own backend ([`Session::listens_itself`](crate::Session::listens_itself)).

use std::collections::BTreeSet;
use std::sync::Arc;

/// The channels that somebody listens to.
pub type Channels = BTreeSet<Arc<[u8]>>;

/// What a session wants to have heard before it goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attention {
    /// The channels that an ear is to listen to for it from then on, all of them; `None`: as before.
    pub channels: Option<Channels>,
    /// Nothing more that is said on these is for it, nor what it wasn't told yet.
    pub gone: Channels,
    /// It is told then what it has heard: it isn't amid a request or a transaction.
    pub tells: bool,
    /// Whether its client reads texts otherwise than it did at its log-in; `None`: as before.
    pub foreign: Option<bool>,
    /// Nothing stands against its backend's becoming an ear.
    pub may_tune: bool,
}

/// What an ear has heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// The message for clients that listen to that channel. `plain`: it reads the same in any encoding.
    Said {
        /// Where it was said.
        channel: Arc<[u8]>,
        /// The whole message.
        message: Arc<[u8]>,
        /// It is of ASCII.
        plain: bool,
    },
    /// The end of what was inquired first.
    Confirmed,
}
