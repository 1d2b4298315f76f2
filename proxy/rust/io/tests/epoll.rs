//! The epoll driver keeps the drivers' contract, on loopback sockets.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
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

#[test]
fn what_the_driver_knows_already_never_starves_what_the_kernel_knows() {
    let mut driver = pair().0;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = driver.listen(any).expect("a listener");
    let address = driver.listening_on(listener).expect("its address");
    let mut speaker = TcpStream::connect(address).expect("the backlog has room");
    let _other = TcpStream::connect(address).expect("the backlog has room");
    let deadline = driver.now().after(Duration::from_secs(20));
    let mut accepted = Vec::new();
    let mut events = Vec::new();
    while accepted.len() < 2 {
        driver.wait(Some(deadline), &mut events);
        let sockets = events.drain(..).filter_map(|event| match event {
            Event::Accepted { socket, .. } => Some(socket),
            _ => None,
        });
        accepted.extend(sockets);
    }
    for socket in &accepted {
        driver.arm(*socket, true);
    }
    // Each turn leaves something to tell: one of the two sockets goes and comes back.
    let mut wanderer = accepted[1];
    speaker.write_all(b"hello").expect("sent");
    for _ in 0..20 {
        driver.detach(wanderer);
        driver.wait(Some(deadline), &mut events);
        for event in events.drain(..) {
            match event {
                Event::Received { data, .. } => return assert_eq!(data.as_slice(), b"hello"),
                Event::Detached { detached, .. } => wanderer = driver.attach(detached),
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("the kernel's news starved");
}
