//! The tests that every driver must pass: `driver_contract!(make)` in a test file turns them into
//! tests of the driver whose pairs `make` makes.
//!
//! Both drivers of a pair reach each other and are turned by the test's own thread.

mod bench;

use std::io::ErrorKind;

use crate::{Buffer, Driver, Duration, Event, Waker};
use bench::{Bench, Side};

/// Bytes come through in order, both ways.
pub fn bytes_come_through_in_order<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.near.driver.arm(near, true);
    bench.far.driver.arm(far, true);
    for word in ["one ", "two ", "three"] {
        bench.near.send(near, word.as_bytes());
        bench.far.send(far, word.as_bytes());
    }
    bench.until("all words", |bench| {
        bench.near.received(near) == b"one two three" && bench.far.received(far) == b"one two three"
    });
}

/// A disarmed socket is not read, an armed one gets what waited.
pub fn only_armed_sockets_receive<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.near.send(near, b"patience");
    for _ in 0..20 {
        bench.near.turn();
        bench.far.turn();
    }
    assert!(bench.far.received(far).is_empty());
    bench.far.driver.arm(far, true);
    bench.until("the bytes", |bench| bench.far.received(far) == b"patience");
    bench.far.driver.arm(far, false);
    bench.near.send(near, b"!");
    for _ in 0..20 {
        bench.near.turn();
        bench.far.turn();
    }
    assert_eq!(bench.far.received(far), b"patience");
}

/// What a slow reader leaves is queued, and `Sent` tells when it is gone.
pub fn a_slow_reader_makes_the_driver_queue<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    let sent = bench.stuff(near);
    assert!(bench.near.driver.queued(near) > 0);
    assert!(!bench.near.sent(near));
    bench.far.driver.arm(far, true);
    bench.until("everything", |bench| {
        bench.far.received(far).len() == sent.len()
    });
    assert!(bench.far.received(far) == sent, "bytes were mixed up");
    bench.until("Sent", |bench| bench.near.sent(near));
    assert_eq!(bench.near.driver.queued(near), 0);
}

/// `finish` closes one direction after what is queued; the other goes on.
pub fn finish_leaves_the_other_direction_open<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    let sent = bench.stuff(near);
    bench.near.driver.finish(near);
    bench.near.driver.arm(near, true);
    bench.far.driver.arm(far, true);
    bench.until("the end", |bench| bench.far.closed(far).is_some());
    assert_eq!(bench.far.closed(far), Some(None));
    assert_eq!(bench.far.received(far).len(), sent.len());
    bench.far.send(far, b"still here");
    bench.until("the answer", |bench| {
        bench.near.received(near) == b"still here"
    });
    bench.far.driver.close(far);
    bench.until("the other end", |bench| bench.near.closed(near).is_some());
}

/// A peer that closed its side gets all that is sent to it, also what has to be queued.
pub fn a_peer_that_closed_its_side_is_still_sent_to<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.near.driver.arm(near, true);
    bench.far.driver.finish(far);
    bench.until("its end", |bench| bench.near.closed(near).is_some());
    let sent = bench.stuff(near);
    bench.near.driver.arm(near, false);
    bench.near.driver.arm(near, true);
    bench.far.driver.arm(far, true);
    bench.until("everything", |bench| {
        bench.far.received(far).len() == sent.len()
    });
    bench.until("Sent", |bench| bench.near.sent(near));
    assert_eq!(bench.near.closed(near), None, "its end was told again");
}

/// A peer that closed its side and then left is told anew, once something is sent to it.
pub fn a_peer_that_closed_its_side_and_left_is_told<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.near.driver.arm(near, true);
    bench.far.driver.finish(far);
    bench.until("its end", |bench| bench.near.closed(near).is_some());
    assert_eq!(bench.near.closed(near), Some(None));
    bench.near.events.clear();
    bench.far.driver.close(far);
    bench.until("failure", |bench| {
        bench.near.send(near, b"anybody?");
        bench.near.closed(near).is_some_and(|error| error.is_some())
    });
}

/// Nobody listens: the connect fails, and says so once.
pub fn a_refused_connect_says_so<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (listener, address) = bench.far.listen();
    bench.far.driver.close(listener);
    let near = bench.near.driver.connect(address);
    bench.until("refusal", |bench| bench.near.closed(near).is_some());
    let refused = Some(Some(ErrorKind::ConnectionRefused));
    assert_eq!(bench.near.closed(near), refused);
    bench.near.events.clear();
    for _ in 0..20 {
        bench.near.turn();
    }
    assert!(bench.near.events.is_empty(), "{:?}", bench.near.events);
}

/// Bytes sent before the connection stands arrive after it does.
pub fn bytes_may_be_sent_before_the_connection_stands<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (_, address) = bench.far.listen();
    let near = bench.near.driver.connect(address);
    bench.near.send(near, b"early");
    bench.until("accept", |bench| bench.far.accepted().is_some());
    let far = bench.far.accepted().expect("accepted");
    bench.far.driver.arm(far, true);
    bench.until("the bytes", |bench| bench.far.received(far) == b"early");
    assert!(bench.near.connected(near));
}

/// A closed socket's peer is told; its own token is dead.
pub fn a_close_is_told_to_the_peer_only<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.far.driver.arm(far, true);
    bench.near.driver.arm(near, true);
    bench.near.send(near, b"last words");
    bench.near.driver.close(near);
    bench.until("the end", |bench| bench.far.closed(far).is_some());
    assert_eq!(bench.far.received(far), b"last words");
    assert_eq!(bench.far.closed(far), Some(None));
    assert!(bench.near.events.is_empty(), "{:?}", bench.near.events);
    let (again, _) = bench.connection();
    assert_ne!(again, near);
}

/// An aborted socket's peer is reset; its own token is dead.
pub fn an_abort_resets_the_peer<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.far.driver.arm(far, true);
    bench.near.driver.arm(near, true);
    bench.near.driver.abort(near);
    bench.until("the reset", |bench| bench.far.closed(far).is_some());
    let reset = Some(Some(ErrorKind::ConnectionReset));
    assert_eq!(bench.far.closed(far), reset);
    assert!(bench.near.events.is_empty(), "{:?}", bench.near.events);
    assert_eq!(bench.near.send(near, b"lost"), 0);
}

/// What an aborted socket had sent and its peer had no room for never arrives.
pub fn an_abort_takes_back_what_was_not_received<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    let sent = bench.stuff(near);
    bench.near.driver.abort(near);
    bench.far.driver.arm(far, true);
    bench.until("the reset", |bench| bench.far.closed(far).is_some());
    let reset = Some(Some(ErrorKind::ConnectionReset));
    assert_eq!(bench.far.closed(far), reset);
    assert!(bench.far.received(far).len() < sent.len());
}

/// A connect that is under way can be aborted: it never comes about.
pub fn a_connect_under_way_can_be_aborted<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (_, address) = bench.far.listen();
    let near = bench.near.driver.connect(address);
    bench.near.driver.abort(near);
    for _ in 0..20 {
        bench.near.turn();
    }
    assert!(bench.near.events.is_empty(), "{:?}", bench.near.events);
}

/// Sending to a peer that is gone ends in `Closed`.
pub fn sending_to_a_closed_peer_fails<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.far.driver.close(far);
    bench.until("failure", |bench| {
        bench.near.send(near, b"anybody?");
        bench.near.closed(near).is_some_and(|error| error.is_some())
    });
    assert_eq!(bench.near.driver.queued(near), 0);
    assert_eq!(bench.near.send(near, b"still nobody?"), 0);
}

/// A socket that is closed with bytes unread resets its peer.
pub fn unread_bytes_reset_the_peer<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.near.driver.arm(near, true);
    bench.near.send(near, b"nobody reads this");
    for _ in 0..50 {
        bench.near.turn();
        bench.far.turn();
    }
    bench.far.driver.close(far);
    bench.until("the reset", |bench| bench.near.closed(near).is_some());
    let reset = Some(Some(ErrorKind::ConnectionReset));
    assert_eq!(bench.near.closed(near), reset);
}

/// A detached socket takes its unread bytes to the driver that attaches it.
pub fn a_detached_socket_moves_without_loss<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.near.send(near, b"on the way");
    bench.far.driver.arm(far, false);
    bench.far.driver.detach(far);
    let mut moved = None;
    bench.until("the socket", |bench| {
        for event in bench.far.events.drain(..) {
            if let Event::Detached { socket, detached } = event {
                assert_eq!(socket, far);
                moved = Some(detached);
            }
        }
        moved.is_some()
    });
    // It now lives on the driver that also holds its other end.
    let here = bench.near.driver.attach(moved.expect("detached"));
    assert_ne!(here, near);
    bench.near.driver.arm(here, true);
    bench.until("the bytes", |bench| {
        bench.near.received(here) == b"on the way"
    });
    bench.near.driver.arm(near, true);
    bench.near.send(here, b"arrived");
    bench.until("the answer", |bench| {
        bench.near.received(near) == b"arrived"
    });
}

/// A detached socket that nobody attaches closes its connection.
pub fn dropping_a_detached_socket_closes_it<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.near.driver.arm(near, true);
    bench.far.driver.detach(far);
    bench.until("the end", |bench| {
        bench.far.events.clear();
        bench.near.closed(near).is_some()
    });
}

/// A wake from another thread ends the next wait; many may become one.
pub fn a_wake_is_never_lost<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let waker = bench.near.driver.waker();
    let woken = |side: &mut Side<D>| {
        let far_off = side.driver.now().after(Duration::from_secs(20));
        side.driver.wait(Some(far_off), &mut side.events);
        let events: Vec<_> = side.events.drain(..).collect();
        assert!(side.driver.now() < far_off, "slept through");
        events.iter().any(|event| matches!(event, Event::Woken))
    };
    waker.wake();
    waker.wake();
    assert!(woken(&mut bench.near));
    for _ in 0..100 {
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        thread.join().expect("the waking thread");
        assert!(woken(&mut bench.near));
    }
}

/// A wait with nothing to tell ends at its deadline.
pub fn a_wait_ends_at_its_deadline<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let before = bench.near.driver.now();
    let deadline = before.after(Duration::from_millis(30));
    for _ in 0..1000 {
        bench
            .near
            .driver
            .wait(Some(deadline), &mut bench.near.events);
        if bench.near.driver.now() >= deadline {
            break;
        }
    }
    let waited = bench.near.driver.now().since(before);
    assert!(waited >= Duration::from_millis(30), "{waited:?}");
    assert!(bench.near.events.is_empty());
}

/// Dead tokens are harmless.
pub fn dead_tokens_do_nothing<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, _) = bench.connection();
    bench.near.driver.close(near);
    bench.near.driver.arm(near, true);
    assert_eq!(bench.near.send(near, b"lost"), 0);
    assert_eq!(bench.near.driver.queued(near), 0);
    bench.near.driver.finish(near);
    bench.near.driver.detach(near);
    bench.near.driver.close(near);
    bench.near.driver.abort(near);
    assert!(bench.near.driver.listening_on(near).is_none());
    for _ in 0..10 {
        bench.near.turn();
    }
    assert!(bench.near.events.is_empty(), "{:?}", bench.near.events);
}

/// An empty buffer moves nothing and breaks nothing.
pub fn an_empty_send_is_no_send<D: Driver>(pair: (D, D)) {
    let mut bench = Bench::new(pair);
    let (near, far) = bench.connection();
    bench.far.driver.arm(far, true);
    assert_eq!(bench.near.driver.send(near, Buffer::default()), 0);
    bench.near.send(near, b"x");
    bench.until("the byte", |bench| bench.far.received(far) == b"x");
}

/// Makes a test of each of them for the driver whose pairs `$make` makes.
#[macro_export]
macro_rules! driver_contract {
    ($make:expr) => {
        $crate::driver_contract!($make;
            bytes_come_through_in_order
            only_armed_sockets_receive
            a_slow_reader_makes_the_driver_queue
            finish_leaves_the_other_direction_open
            a_peer_that_closed_its_side_is_still_sent_to
            a_peer_that_closed_its_side_and_left_is_told
            a_refused_connect_says_so
            bytes_may_be_sent_before_the_connection_stands
            a_close_is_told_to_the_peer_only
            an_abort_resets_the_peer
            an_abort_takes_back_what_was_not_received
            a_connect_under_way_can_be_aborted
            sending_to_a_closed_peer_fails
            unread_bytes_reset_the_peer
            a_detached_socket_moves_without_loss
            dropping_a_detached_socket_closes_it
            a_wake_is_never_lost
            a_wait_ends_at_its_deadline
            dead_tokens_do_nothing
            an_empty_send_is_no_send
        );
    };
    ($make:expr; $($name:ident)+) => {
        $(#[test]
        fn $name() {
            $crate::contract::$name($make());
        })+
    };
}
