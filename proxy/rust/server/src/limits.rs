//! What operators limit: how many clients and connections there may be, and for how long each may
//! live, wait or rest. A part of the snapshot; `front` obeys what concerns those who come, the
//! workers the rest.

use dbproxy_driver::{Duration, TcpOptions, Time};

use crate::caps::Caps;

/// All limits. `None`: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at once, over all listeners.
    pub max_clients: u32,
    /// Of them, those of one user.
    pub max_clients_of_user: Option<u32>,
    /// New connections in a second.
    pub connection_rate: Option<u32>,
    /// Log-ins of one user in a second, of those that proved who they are.
    pub login_rate: Option<u32>,
    /// Connections to a target at once, of one user and to one database.
    pub caps: Caps,
    /// How long a request waits for a connection.
    pub borrow_timeout: Duration,
    /// How long a client may be idle.
    pub idle_client_timeout: Duration,
    /// How long a client may be idle in a transaction.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// How long a client that doesn't read may hold a backend that others wait for.
    pub client_write_timeout: Duration,
    /// How long an idle backend beyond `max_idle` is kept.
    pub idle_backend_timeout: Duration,
    /// How long a client may stay connected.
    pub client_lifetime: Option<Duration>,
    /// How long a connection to a database may be used.
    pub backend_lifetime: Option<Duration>,
    /// How clients that vanish are noticed.
    pub client_tcp: TcpOptions,
    /// How databases that vanish are noticed.
    pub backend_tcp: TcpOptions,
}

impl Default for Limits {
    /// As they are where nobody sets any.
    fn default() -> Self {
        Self {
            max_clients: u32::MAX,
            max_clients_of_user: None,
            connection_rate: None,
            login_rate: None,
            caps: Caps::default(),
            borrow_timeout: Duration::from_secs(120),
            idle_client_timeout: Duration::from_secs(1800),
            idle_in_transaction_timeout: None,
            client_write_timeout: Duration::from_secs(30),
            // RDS Proxy counts a connection as idle after 5 minutes.
            idle_backend_timeout: Duration::from_secs(300),
            client_lifetime: None,
            backend_lifetime: None,
            client_tcp: TcpOptions::default(),
            backend_tcp: TcpOptions::default(),
        }
    }
}

/// The last part of a lifetime, one of so many, is left to chance: what began together doesn't end
/// together.
const CHANCE: u64 = 5;
/// Of all that live, one of so many ends in a second at most (one at least), also where a limit is
/// new and all are older than it allows.
const HERD: usize = 16;

/// How long something has lived, and its luck.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life {
    born: Time,
    luck: u16,
}

impl Life {
    /// Begins now; `random` decides how long it may last.
    pub fn new(born: Time, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut luck = [0; 2];
        random(&mut luck);
        Self {
            born,
            luck: u16::from_ne_bytes(luck),
        }
    }

    /// When it began.
    pub fn born(&self) -> Time {
        self.born
    }

    /// Whether it has lasted for as long as it may.
    pub fn is_over(&self, most: Option<Duration>, now: Time) -> bool {
        let Some(most) = most else {
            return false;
        };
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let early = most / CHANCE * u64::from(self.luck) / (1 << 16);
        now.since(self.born) >= Duration::from_millis(most - early)
    }
}

/// How many lives may be ended before the next second.
#[derive(Default, Debug)]
pub struct Allowance(usize);

impl Allowance {
    /// A second has gone by; so many live.
    pub fn renew(&mut self, living: usize) {
        self.0 = (living / HERD).max(1);
    }

    /// Whether one more may be ended; then it counts.
    pub fn take(&mut self) -> bool {
        let left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        left
    }
}

/// What comes often is worth so much, to take parts of it.
const WHOLE: u128 = 1_000_000_000;

/// A token bucket: so many may come in a second, and as many at once after a quiet one.
#[derive(Default, Debug)]
pub struct Bucket {
    /// What was taken, in parts of one, as of then; it runs off.
    taken: u128,
    then: Time,
}

impl Bucket {
    /// Whether one more may come; then it counts.
    pub fn take(&mut self, rate: u32, now: Time) -> bool {
        self.run_off(rate, now);
        let room = self.taken + WHOLE <= u128::from(rate) * WHOLE;
        self.taken += if room { WHOLE } else { 0 };
        room
    }

    /// Whether it is as if nobody had ever come.
    pub fn is_full(&mut self, rate: u32, now: Time) -> bool {
        self.run_off(rate, now);
        self.taken == 0
    }

    fn run_off(&mut self, rate: u32, now: Time) {
        // A nanosecond's worth at a rate of one is one part.
        let since = now.since(self.then).as_nanos() * u128::from(rate);
        self.taken = self.taken.saturating_sub(since);
        self.then = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::default().after(Duration::from_secs(seconds))
    }

    fn lucky(luck: u16) -> Life {
        Life::new(at(1000), &mut |bytes| {
            bytes.copy_from_slice(&luck.to_ne_bytes())
        })
    }

    #[test]
    fn a_life_ends_in_the_last_fifth_of_what_it_may_last() {
        let most = Some(Duration::from_secs(100));
        for luck in [0, 1 << 15, u16::MAX] {
            let life = lucky(luck);
            assert!(!life.is_over(most, at(1079)));
            assert!(life.is_over(most, at(1100)));
        }
        let middle = lucky(1 << 15);
        assert!(!middle.is_over(most, at(1089)) && middle.is_over(most, at(1090)));
        assert!(!middle.is_over(None, at(1_000_000)));
    }

    #[test]
    fn so_many_come_in_a_second_and_as_many_at_once_after_a_quiet_one() {
        let mut bucket = Bucket::default();
        let mut come = |rate, at| (0..10).filter(|_| bucket.take(rate, at)).count();
        assert_eq!(come(4, at(1000)), 4);
        let half = at(1000).after(Duration::from_millis(500));
        assert_eq!(come(4, half), 2);
        assert_eq!(come(4, at(1001)), 2);
        assert_eq!(come(4, at(1060)), 4);
        // Another limit counts at once.
        assert_eq!(come(6, at(1060)), 2);
        assert!(!bucket.is_full(6, at(1060)) && bucket.is_full(6, at(1061)));
    }

    #[test]
    fn what_is_over_ends_a_few_at_a_time() {
        let mut allowance = Allowance::default();
        assert!(!allowance.take());
        allowance.renew(3);
        assert!(allowance.take() && !allowance.take());
        allowance.renew(64);
        assert_eq!((0..10).filter(|_| allowance.take()).count(), 4);
    }
}
