//! What operators limit: how many clients and connections there may be, and for how long each may
//! live, wait or rest. A part of the snapshot; `front` obeys what concerns those who come, the
//! workers the rest.

use dbproxy_driver::Duration;

/// All limits. `None`: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Clients at once, over all listeners.
    pub max_clients: u32,
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
}

impl Default for Limits {
    /// As they are where nobody sets any.
    fn default() -> Self {
        Self {
            max_clients: u32::MAX,
            borrow_timeout: Duration::from_secs(120),
            idle_client_timeout: Duration::from_secs(1800),
            idle_in_transaction_timeout: None,
            client_write_timeout: Duration::from_secs(30),
            // RDS Proxy counts a connection as idle after 5 minutes.
            idle_backend_timeout: Duration::from_secs(300),
        }
    }
}
