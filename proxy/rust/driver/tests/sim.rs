//! The simulated driver keeps the drivers' contract, and the same seed gives the same run.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use dbproxy_driver::sim::{Network, SimDriver};
use dbproxy_driver::{driver_contract, Driver, Duration, Event};

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn pair() -> (SimDriver, SimDriver) {
    static SEED: AtomicU64 = AtomicU64::new(0);
    let network = Network::new(SEED.fetch_add(1, Ordering::Relaxed));
    let near = network.host("near", ip(1)).1;
    let far = network.host("far", ip(2)).1;
    (near, far)
}

driver_contract!(pair);

/// An echo over a scheduled network; what happened, when, in which pieces.
fn run(seed: u64) -> Vec<String> {
    let network = Network::new(seed);
    let (near_id, mut near) = network.host("near", ip(1));
    let (far_id, mut far) = network.host("far", ip(2));
    let address = SocketAddr::new(ip(2), 5432);
    far.listen(address).expect("a listener");
    let socket = near.connect(address);
    let mut log = Vec::new();
    let mut events = Vec::new();
    let end = network.now().after(Duration::from_secs(5));
    near.send(socket, dbproxy_driver::Buffer::from_vec(vec![7; 100_000]));
    near.arm(socket, true);
    while let Some(turn) = network.next_turn() {
        if network.now() > end {
            break;
        }
        let driver = if turn == near_id { &mut near } else { &mut far };
        let tick = driver.now().after(Duration::from_secs(1));
        driver.wait(Some(tick), &mut events);
        for event in events.drain(..) {
            log.push(format!("{:?} {turn:?} {}", network.now(), name(&event)));
            match event {
                Event::Accepted { socket, .. } => far.arm(socket, true),
                Event::Received { socket, data } if turn == far_id => {
                    far.send(socket, data);
                }
                _ => {}
            }
        }
    }
    log
}

fn name<S>(event: &Event<S>) -> String {
    match event {
        Event::Received { data, .. } => format!("received {}", data.len()),
        Event::Accepted { .. } => "accepted".into(),
        Event::Connected { .. } => "connected".into(),
        Event::Sent { .. } => "sent".into(),
        Event::Closed { error, .. } => format!("closed {error:?}"),
        Event::Detached { .. } => "detached".into(),
        Event::Woken => "woken".into(),
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1), run(2));
}

#[test]
fn a_muted_host_answers_again_when_it_is_unmuted() {
    let network = Network::new(3);
    let mut near = network.host("near", ip(1)).1;
    let (far_id, mut far) = network.host("far", ip(2));
    let address = SocketAddr::new(ip(2), 5432);
    far.listen(address).expect("a listener");
    network.mute(far_id, true);
    near.connect(address);
    let mut events = Vec::new();
    near.wait(Some(near.now().after(Duration::from_secs(9))), &mut events);
    assert!(events.is_empty(), "{events:?}");
    network.mute(far_id, false);
    near.wait(Some(near.now().after(Duration::from_secs(9))), &mut events);
    assert!(matches!(events.as_slice(), [Event::Connected { .. }]));
}

#[test]
fn a_stalled_host_gets_no_turn() {
    let network = Network::new(4);
    let (id, mut host) = network.host("host", ip(1));
    let until = network.now().after(Duration::from_secs(3));
    network.stall(id, Duration::from_secs(3));
    assert_eq!(network.next_turn(), Some(id));
    assert!(network.now() >= until);
    host.wait(None, &mut Vec::new());
    assert_eq!(network.next_turn(), None);
}
