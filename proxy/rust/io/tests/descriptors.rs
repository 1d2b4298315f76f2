//! A process that runs out of descriptors: alone in its file, as the limit is the process's.

use std::net::{SocketAddr, TcpStream};

use dbproxy_driver::{Driver, Duration, Event};
use dbproxy_io::Epoll;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

fn allow(descriptors: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = descriptors.or(maximum);
    let limit = Rlimit { current, maximum };
    setrlimit(Resource::Nofile, limit).expect("the limit");
}

#[test]
fn a_listener_out_of_descriptors_rests_and_then_goes_on() {
    let mut driver = Epoll::new().expect("an epoll instance");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = driver.listen(any).expect("a listener");
    let address = driver.listening_on(listener).expect("its address");
    let _clients: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(address).expect("the backlog has room"))
        .collect();
    allow(Some(0));
    let mut events = Vec::new();
    let start = driver.now();
    let mut turns = 0;
    while driver.now().since(start) < Duration::from_millis(350) {
        let end = driver.now().after(Duration::from_secs(1));
        driver.wait(Some(end), &mut events);
        turns += 1;
    }
    // A socket that it can't have is seen in time, and not as a panic.
    let refused = driver.connect(address);
    driver.wait(Some(driver.now()), &mut events);
    allow(None);
    assert!(turns <= 10, "{turns} turns: it spins");
    let closed =
        |event: &Event<_>| matches!(event, Event::Closed { socket, .. } if *socket == refused);
    assert!(events.iter().all(closed), "{events:?}");
    assert_eq!(events.len(), 1);
    events.clear();
    let deadline = driver.now().after(Duration::from_secs(5));
    while events.len() < 3 {
        assert!(driver.now() < deadline, "it never accepts again");
        driver.wait(Some(deadline), &mut events);
    }
    let accepted = |event: &Event<_>| matches!(event, Event::Accepted { .. });
    assert!(events.iter().all(accepted), "{events:?}");
}
