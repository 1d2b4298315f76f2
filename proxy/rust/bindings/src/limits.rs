//! The limits of a snapshot in Python's JSON: milliseconds, and `null` for none.

use std::time::Duration;

use dbproxy_driver::TcpOptions;
use dbproxy_server::{Caps, Limits};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsJson {
    max_clients: u32,
    max_clients_of_user: Option<u32>,
    connection_rate: Option<u32>,
    login_rate: Option<u32>,
    max_connections_of_user: Option<u32>,
    max_connections_of_database: Option<u32>,
    borrow_timeout_ms: u64,
    idle_client_timeout_ms: u64,
    idle_in_transaction_timeout_ms: Option<u64>,
    client_lifetime_ms: Option<u64>,
    backend_lifetime_ms: Option<u64>,
    client_tcp: TcpJson,
    backend_tcp: TcpJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TcpJson {
    keepalive_idle_ms: u64,
    keepalive_interval_ms: u64,
    keepalive_count: u32,
    user_timeout_ms: Option<u64>,
}

impl From<LimitsJson> for Limits {
    fn from(json: LimitsJson) -> Self {
        let ms = Duration::from_millis;
        Self {
            max_clients: json.max_clients,
            max_clients_of_user: json.max_clients_of_user,
            connection_rate: json.connection_rate,
            login_rate: json.login_rate,
            caps: Caps {
                of_user: json.max_connections_of_user,
                of_database: json.max_connections_of_database,
            },
            borrow_timeout: ms(json.borrow_timeout_ms),
            idle_client_timeout: ms(json.idle_client_timeout_ms),
            idle_in_transaction_timeout: json.idle_in_transaction_timeout_ms.map(ms),
            client_lifetime: json.client_lifetime_ms.map(ms),
            backend_lifetime: json.backend_lifetime_ms.map(ms),
            client_tcp: json.client_tcp.into(),
            backend_tcp: json.backend_tcp.into(),
            ..Self::default()
        }
    }
}

impl From<TcpJson> for TcpOptions {
    fn from(json: TcpJson) -> Self {
        let ms = Duration::from_millis;
        Self {
            keepalive_idle: ms(json.keepalive_idle_ms),
            keepalive_interval: ms(json.keepalive_interval_ms),
            keepalive_count: json.keepalive_count,
            user_timeout: json.user_timeout_ms.map(ms),
        }
    }
}
