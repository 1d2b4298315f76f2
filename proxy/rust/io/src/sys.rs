//! Opening sockets, and the options that all of them carry.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, sockopt, AddressFamily, SocketFlags, SocketType};
use rustix::time::{clock_gettime, ClockId};

use dbproxy_driver::{Duration, Time};

/// Connections that wait to be accepted, per listener (the kernel caps it at `somaxconn`).
const BACKLOG: i32 = 4096;

/// When a quiet peer is asked whether it is still there, and how often from then on.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A peer that vanished is noticed after that time: with bytes in flight by their acknowledgement,
/// without by the first question that is unanswered then. (Where this is set, the kernel goes by it
/// and not by a number of questions.)
const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// The same while more is queued for a peer than the kernel takes: the kernel counts one with a full
/// receive window as silent, and a COPY that waits for a lock or a pager that waits for its reader is
/// no fault.
const SLOW_USER_TIMEOUT: Duration = Duration::from_secs(300);

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// A connection on its way from one thread's driver to another's; dropping it closes it.
#[derive(Debug)]
pub struct Socket(pub(crate) OwnedFd);

/// Monotonic time; the same for every thread.
pub fn now() -> Time {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    Time(seconds * 1_000_000_000 + nanoseconds)
}

/// Opens a listener. Accepted sockets inherit its options, which saves setting them on each. `::`
/// takes IPv4 too, and only that where the kernel has no IPv6.
pub(crate) fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    match listen_at(address) {
        Err(error) if is_any(address) && has_no_ipv6(&error) => {
            listen_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        outcome => outcome,
    }
}

fn is_any(address: SocketAddr) -> bool {
    address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED)
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn listen_at(address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = open(address)?;
    if is_any(address) {
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    sockopt::set_socket_reuseaddr(&fd, true)?;
    net::bind(&fd, &address)?;
    net::listen(&fd, BACKLOG)?;
    Ok(fd)
}

/// A socket that is about to connect.
pub(crate) fn open(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let fd = net::socket_with(family, SocketType::STREAM, FLAGS, None)?;
    set_options(&fd)?;
    Ok(fd)
}

/// The next connection of a listener, with its peer.
pub(crate) fn accept(listener: &OwnedFd) -> rustix::io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (fd, peer) = net::acceptfrom_with(listener, FLAGS)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((fd, peer.map(plain)))
}

/// An IPv4 peer of a listener for both families is told as what it is.
fn plain(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

/// Where a socket is bound.
pub(crate) fn bound_to(fd: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(net::getsockname(fd).ok()?).ok()
}

fn set_options(fd: impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(&fd, true)?;
    sockopt::set_socket_keepalive(&fd, true)?;
    sockopt::set_tcp_keepidle(&fd, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&fd, KEEPALIVE_INTERVAL)?;
    set_user_timeout(fd, USER_TIMEOUT)?;
    Ok(())
}

/// More is queued for a peer than the kernel takes, or all is with the kernel again.
pub(crate) fn set_slow(fd: impl AsFd, slow: bool) {
    let timeout = if slow {
        SLOW_USER_TIMEOUT
    } else {
        USER_TIMEOUT
    };
    // It fails only for what is no TCP socket; the other value holds then.
    set_user_timeout(fd, timeout).ok();
}

fn set_user_timeout(fd: impl AsFd, timeout: Duration) -> rustix::io::Result<()> {
    let milliseconds = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(fd, milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carries_all_options(fd: &OwnedFd) {
        assert!(sockopt::tcp_nodelay(fd).unwrap());
        assert!(sockopt::socket_keepalive(fd).unwrap());
        assert_eq!(sockopt::tcp_keepidle(fd).unwrap(), KEEPALIVE_IDLE);
        assert_eq!(sockopt::tcp_keepintvl(fd).unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(sockopt::tcp_user_timeout(fd).unwrap(), 120_000);
    }

    #[test]
    fn accepted_and_connecting_sockets_carry_all_options() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound_to(&listener).unwrap();
        let near = open(address).unwrap();
        // A nonblocking connect to loopback is under way or done; both leave it to be accepted.
        net::connect(&near, &address).ok();
        let deadline = now().after(Duration::from_secs(5));
        let far = loop {
            match accept(&listener) {
                Ok((far, _)) => break far,
                Err(_) => assert!(now() < deadline, "nothing to accept"),
            }
        };
        carries_all_options(&near);
        carries_all_options(&far);
    }

    #[test]
    fn a_slow_peer_is_given_more_time_until_it_is_slow_no_more() {
        let fd = open("127.0.0.1:0".parse().unwrap()).unwrap();
        set_slow(&fd, true);
        assert_eq!(sockopt::tcp_user_timeout(&fd).unwrap(), 300_000);
        set_slow(&fd, false);
        assert_eq!(sockopt::tcp_user_timeout(&fd).unwrap(), 120_000);
    }

    #[test]
    fn a_listener_on_any_address_takes_both_families_and_names_peers_plainly() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = bound_to(&listener).unwrap().port();
        let mut hosts = vec!["127.0.0.1"];
        // A machine without IPv6 has the fall-back.
        if bound_to(&listener).unwrap().is_ipv6() {
            hosts.push("::1");
        }
        for host in hosts {
            let address = SocketAddr::new(host.parse().unwrap(), port);
            let near = open(address).unwrap();
            net::connect(&near, &address).ok();
            let deadline = now().after(Duration::from_secs(5));
            let peer = loop {
                match accept(&listener) {
                    Ok((_, peer)) => break peer.unwrap(),
                    Err(_) => assert!(now() < deadline, "nothing to accept from {host}"),
                }
            };
            assert_eq!(peer.ip().to_string(), host);
        }
    }
}
