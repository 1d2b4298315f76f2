//! The epoll driver keeps the drivers' contract, on loopback sockets.

use std::sync::mpsc;

use dbproxy_driver::{driver_contract, Driver, Duration, Event, Waker};
use dbproxy_io::Epoll;

fn pair() -> (Epoll, Epoll) {
    let make = || Epoll::new().expect("an epoll instance");
    (make(), make())
}

driver_contract!(pair);

#[test]
fn a_wake_ends_a_sleep_that_has_begun() {
    let mut driver = pair().0;
    let waker = driver.waker();
    let (turns, heard) = mpsc::channel::<()>();
    // Wakes again only after it was heard, at whatever point of the next wait that may be.
    let thread = std::thread::spawn(move || {
        for _ in 0..2000 {
            waker.wake();
            heard.recv().expect("the waiting side");
        }
    });
    let mut events = Vec::new();
    for _ in 0..2000 {
        let far_off = driver.now().after(Duration::from_secs(20));
        while events.is_empty() {
            driver.wait(Some(far_off), &mut events);
            assert!(driver.now() < far_off, "slept through");
        }
        assert!(matches!(events.as_slice(), [Event::Woken]), "{events:?}");
        events.clear();
        turns.send(()).expect("the waking side");
    }
    thread.join().expect("the waking thread");
}
