//! The limits of a snapshot in Python's JSON: milliseconds, and `null` for none.

use std::time::Duration;

use dbproxy_server::Limits;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsJson {
    max_clients: u32,
    borrow_timeout_ms: u64,
    idle_client_timeout_ms: u64,
    idle_in_transaction_timeout_ms: Option<u64>,
}

impl From<LimitsJson> for Limits {
    fn from(json: LimitsJson) -> Self {
        let ms = Duration::from_millis;
        Self {
            max_clients: json.max_clients,
            borrow_timeout: ms(json.borrow_timeout_ms),
            idle_client_timeout: ms(json.idle_client_timeout_ms),
            idle_in_transaction_timeout: json.idle_in_transaction_timeout_ms.map(ms),
            ..Self::default()
        }
    }
}
