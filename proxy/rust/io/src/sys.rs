//! Opening sockets, and the options that all of them carry.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, sockopt, AddressFamily, SocketFlags, SocketType};
use rustix::time::{clock_gettime, ClockId};

use dbproxy_driver::{TcpOptions, Time};

/// Connections that wait to be accepted, per listener (the kernel caps it at `somaxconn`).
const BACKLOG: i32 = 4096;

/// A peer is given so many halves of its user timeout while more is queued for it than the kernel takes:
/// the kernel counts one with a full receive window as silent, and a COPY that waits for a lock or a
/// pager that waits for its reader is no fault.
const SLOW_HALVES: u32 = 5;

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
pub(crate) fn listen(address: SocketAddr, options: &TcpOptions) -> io::Result<OwnedFd> {
    match listen_at(address, options) {
        Err(error) if is_any(address) && has_no_ipv6(&error) => {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            listen_at(address, options)
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

fn listen_at(address: SocketAddr, options: &TcpOptions) -> io::Result<OwnedFd> {
    let fd = open(address, options)?;
    if is_any(address) {
        sockopt::set_ipv6_v6only(&fd, false)?;
    }
    sockopt::set_socket_reuseaddr(&fd, true)?;
    net::bind(&fd, &address)?;
    net::listen(&fd, BACKLOG)?;
    Ok(fd)
}

/// A socket that is about to connect.
pub(crate) fn open(address: SocketAddr, options: &TcpOptions) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let fd = net::socket_with(family, SocketType::STREAM, FLAGS, None)?;
    set_tcp(&fd, options)?;
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

/// Sets what a connection carries; those that a listener accepts have it from the listener.
pub(crate) fn set_tcp(fd: impl AsFd, options: &TcpOptions) -> rustix::io::Result<()> {
    sockopt::set_tcp_nodelay(&fd, true)?;
    sockopt::set_socket_keepalive(&fd, true)?;
    sockopt::set_tcp_keepidle(&fd, options.keepalive_idle)?;
    sockopt::set_tcp_keepintvl(&fd, options.keepalive_interval)?;
    sockopt::set_tcp_keepcnt(&fd, options.keepalive_count)?;
    let timeout = options.user_timeout.unwrap_or_default().as_millis();
    sockopt::set_tcp_user_timeout(&fd, u32::try_from(timeout).unwrap_or(u32::MAX))
}

/// More is queued for a peer than the kernel takes: it is given more time. Says what it had, in
/// milliseconds; it fails only for what is no TCP socket.
pub(crate) fn be_patient(fd: impl AsFd) -> rustix::io::Result<u32> {
    let usual = sockopt::tcp_user_timeout(&fd)?;
    sockopt::set_tcp_user_timeout(fd, (usual / 2).saturating_mul(SLOW_HALVES))?;
    Ok(usual)
}

/// All is with the kernel again: it has the time that it had.
pub(crate) fn be_usual(fd: impl AsFd, usual: u32) {
    // It fails only for what is no TCP socket; the longer time holds then.
    sockopt::set_tcp_user_timeout(fd, usual).ok();
}

#[cfg(test)]
mod tests {
    use dbproxy_driver::Duration;

    use super::*;

    fn options() -> TcpOptions {
        TcpOptions {
            keepalive_idle: Duration::from_secs(7),
            keepalive_interval: Duration::from_secs(3),
            keepalive_count: 4,
            user_timeout: Some(Duration::from_secs(20)),
        }
    }

    fn carries_all_options(fd: &OwnedFd) {
        assert!(sockopt::tcp_nodelay(fd).unwrap());
        assert!(sockopt::socket_keepalive(fd).unwrap());
        assert_eq!(sockopt::tcp_keepidle(fd).unwrap(), Duration::from_secs(7));
        assert_eq!(sockopt::tcp_keepintvl(fd).unwrap(), Duration::from_secs(3));
        assert_eq!(sockopt::tcp_keepcnt(fd).unwrap(), 4);
        assert_eq!(sockopt::tcp_user_timeout(fd).unwrap(), 20_000);
    }

    /// Both ends of a new connection to a listener: that which dialed, and that which was accepted.
    fn pair(listener: &OwnedFd, options: &TcpOptions) -> (OwnedFd, OwnedFd) {
        let address = bound_to(listener).unwrap();
        let near = open(address, options).unwrap();
        // A nonblocking connect to loopback is under way or done; both leave it to be accepted.
        net::connect(&near, &address).ok();
        let deadline = now().after(Duration::from_secs(5));
        loop {
            match accept(listener) {
                Ok((far, _)) => return (near, far),
                Err(_) => assert!(now() < deadline, "nothing to accept"),
            }
        }
    }

    #[test]
    fn accepted_and_connecting_sockets_carry_all_options() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &options()).unwrap();
        let (near, far) = pair(&listener, &options());
        carries_all_options(&near);
        carries_all_options(&far);
    }

    #[test]
    fn a_listener_that_is_open_passes_on_what_it_is_given_later() {
        let usual = TcpOptions::default();
        let listener = listen("127.0.0.1:0".parse().unwrap(), &usual).unwrap();
        let (_, before) = pair(&listener, &usual);
        set_tcp(&listener, &options()).unwrap();
        let (_, after) = pair(&listener, &usual);
        carries_all_options(&after);
        assert_eq!(sockopt::tcp_user_timeout(&before).unwrap(), 120_000);
    }

    #[test]
    fn without_a_user_timeout_the_system_has_its_own_way() {
        let user_timeout = None;
        let options = TcpOptions {
            user_timeout,
            ..options()
        };
        let fd = open("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        assert_eq!(be_patient(&fd).unwrap(), 0);
        assert_eq!(sockopt::tcp_user_timeout(&fd).unwrap(), 0);
    }

    #[test]
    fn a_slow_peer_is_given_more_time_until_it_is_slow_no_more() {
        let fd = open("127.0.0.1:0".parse().unwrap(), &options()).unwrap();
        let usual = be_patient(&fd).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&fd).unwrap(), 50_000);
        be_usual(&fd, usual);
        assert_eq!(sockopt::tcp_user_timeout(&fd).unwrap(), 20_000);
    }

    #[test]
    fn a_listener_on_any_address_takes_both_families_and_names_peers_plainly() {
        let listener = listen("[::]:0".parse().unwrap(), &options()).unwrap();
        let port = bound_to(&listener).unwrap().port();
        let mut hosts = vec!["127.0.0.1"];
        // A machine without IPv6 has the fall-back.
        if bound_to(&listener).unwrap().is_ipv6() {
            hosts.push("::1");
        }
        for host in hosts {
            let address = SocketAddr::new(host.parse().unwrap(), port);
            let near = open(address, &options()).unwrap();
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
