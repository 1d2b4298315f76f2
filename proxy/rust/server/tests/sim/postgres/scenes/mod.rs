//! Scenes: one rule each, played step by step where the seeds of a whole fleet would meet it too
//! rarely.

mod abroad;
mod batches;
mod bounds;
mod cancels;
mod caps;
mod counts;
mod deadlines;
mod doubts;
mod drains;
mod goodbyes;
mod limits;
mod listen;
mod moves;
mod opening;
mod person;
mod stage;
mod stock;
mod trade;
