//! The real drivers: what the server room's requests become on a Linux kernel.
//!
//! `bindings` makes one driver per thread and hands it to the server room, which knows only the
//! [`dbproxy_driver::Driver`] trait. Sockets, clock and syscalls stay in this crate.
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod connection;
mod epoll;
mod slots;
mod sys;
mod thread;
mod waker;

pub use epoll::Epoll;
pub use sys::{now, Socket};
pub use thread::vital;
pub use waker::EventfdWaker;
