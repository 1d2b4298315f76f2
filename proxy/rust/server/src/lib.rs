//! Workers, clients, backends and the pool: events in, actions out.
//!
//! A fleet is one [`Front`] and some [`Worker`]s around one [`Shared`]. Each turns on a thread of
//! its own with a real driver (the bindings), or all in one thread under a seed (the simulation).
//! No socket, clock, randomness, environment or thread here: they come in through the driver and
//! as arguments.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod book;
mod caps;
mod ears;
mod front;
mod gauge;
mod ids;
mod limits;
mod mailbox;
mod notice;
mod origin;
mod peers;
mod reign;
mod shared;
mod signs;
mod slab;
mod snapshot;
mod stats;
mod templates;
#[cfg(test)]
mod test_support;
mod tls;
mod warrant;
mod wire;
mod worker;

pub use caps::Caps;
pub use front::Front;
pub use limits::Limits;
pub use notice::{Field, Notice, Notices};
pub use peers::Peers;
pub use shared::Shared;
pub use signs::TargetSigns;
pub use snapshot::{Listener, Role, Snapshot, Target, TargetId, Writer};
pub use stats::{EndpointSum, HistogramSum, TargetSum, BOUNDS_US};
pub use tls::{end_point_hash, BackendTls, ClientTls, TlsMode};
pub use worker::Worker;

/// Fills a buffer with random bytes; a real source in production, a seeded one in the simulation.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;
