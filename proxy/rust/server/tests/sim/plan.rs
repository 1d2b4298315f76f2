//! What follows from a seed before anything runs.

use dbproxy_driver::sim::Random;

/// The size and the ways of one fleet.
pub struct Plan {
    pub workers: usize,
    pub clients: u64,
    /// The most sessions on each database; faults change it.
    pub budget: u32,
    pub init_query: bool,
    /// Idle connections stay, so that only a lowered limit closes any.
    pub keeps_idle: bool,
    /// Nothing goes wrong.
    pub calm: bool,
    /// The proxy leaves in the end.
    pub drains: bool,
}

impl Plan {
    pub fn draw(random: &mut Random) -> Self {
        Self {
            workers: random.between(1, 3) as usize,
            clients: random.between(2, 14),
            budget: random.between(1, 6) as u32,
            init_query: random.one_in(3),
            keeps_idle: random.one_in(2),
            calm: random.one_in(6),
            drains: random.one_in(5),
        }
    }
}
