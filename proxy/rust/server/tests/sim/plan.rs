//! What follows from a seed before anything runs.

use dbproxy_driver::sim::Random;
use dbproxy_driver::Duration;
use dbproxy_server::Caps;

/// The size and the ways of one fleet.
pub struct Plan {
    pub workers: usize,
    pub clients: u64,
    /// Database servers: one writes, the others are readers.
    pub databases: usize,
    /// The most sessions on the first database; faults change it.
    pub budget: u32,
    /// The databases after the first may have other numbers of sessions.
    pub unequal: bool,
    /// A reader that refuses one of the two users; it is never the writer.
    pub refuses: Option<usize>,
    pub init_query: bool,
    /// Idle connections stay, so that only a lowered limit closes any.
    pub keeps_idle: bool,
    /// How long a client may be idle in a transaction.
    pub idle_in_transaction: Option<Duration>,
    /// How long a client may stay connected, and a connection be used.
    pub lifetime: Option<Duration>,
    /// The most connections of one user and to one database.
    pub caps: Caps,
    /// Sessions that are to be idle at all times.
    pub min_idle: u32,
    /// Nothing goes wrong.
    pub calm: bool,
    /// Nothing goes wrong but one thing: the writer is held for a long time.
    pub holds_writer: bool,
    /// The proxy leaves in the end.
    pub drains: bool,
}

impl Plan {
    /// Nobody is there, and nothing happens by itself.
    pub fn empty() -> Self {
        Self {
            workers: 1,
            clients: 0,
            databases: 2,
            budget: 2,
            unequal: false,
            refuses: None,
            init_query: false,
            keeps_idle: true,
            idle_in_transaction: None,
            lifetime: None,
            caps: Caps::default(),
            min_idle: 0,
            calm: true,
            holds_writer: false,
            drains: false,
        }
    }

    pub fn draw(random: &mut Random) -> Self {
        let databases = random.between(2, 4) as usize;
        let refuses = databases > 2 && random.one_in(2);
        Self {
            workers: random.between(1, 3) as usize,
            clients: random.between(2, 14),
            databases,
            budget: random.between(1, 6) as u32,
            unequal: random.one_in(2),
            refuses: refuses.then_some(databases - 1),
            init_query: random.one_in(3),
            keeps_idle: random.one_in(2),
            calm: random.one_in(6),
            holds_writer: random.one_in(8),
            drains: random.one_in(5),
            // Last, so that what a seed was before it still is.
            idle_in_transaction: random.one_in(3).then_some(Duration::from_secs(1)),
            lifetime: random.one_in(3).then_some(Duration::from_secs(2)),
            caps: Caps {
                of_user: random.one_in(3).then(|| random.between(1, 3) as u32),
                of_database: random.one_in(3).then(|| random.between(1, 3) as u32),
            },
            min_idle: random.between(0, 2) as u32,
        }
    }
}
