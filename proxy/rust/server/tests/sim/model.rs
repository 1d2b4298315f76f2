//! What a fleet needs of a protocol: who stands at both ends of a proxy of it, and how a conversation with a
//! worker is read by somebody who looks on. `postgres` and `mysql` are two of them.

use std::sync::Arc;

use dbproxy_engine::{Engine, Users};

use crate::order::Overheard;
use crate::peer::Peer;
use crate::speaker::Speaker;

pub trait Model: Engine + Clone {
    /// A connection to a model database.
    type Peer: Peer;
    /// A scripted client's part of a connection.
    type Speaker: Speaker;
    /// What a worker and a client say to each other.
    type Overheard: Overheard;
    /// What the databases say that they are, where they speak first.
    const VERSION: Option<&'static str>;
    /// What the proxy runs on each new session, in fleets that have such a thing.
    const INIT_QUERY: &'static str;
    /// A connection serves those of one database alone, for which there may be a limit.
    const KEYED_BY_DATABASE: bool;
    /// What of a [`Summary`](crate::summary::Summary) can't occur.
    const NEVER: &'static [&'static str];

    /// Those of `USERS`, by their one password.
    fn users() -> Arc<Users<Self::Credential>>;
}
