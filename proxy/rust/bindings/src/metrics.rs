//! The engine's counters as metric families, in the JSON that `metrics.py` turns into Prometheus'.

use std::sync::Arc;

use dbproxy_server::{EndpointSum, HistogramSum, TargetSum, BOUNDS_US};
use serde_json::{json, Value};

/// A target's counters, and the connections that it allows this pod.
pub struct TargetRow {
    pub sum: TargetSum,
    pub limit: u32,
}

/// What is counted for each endpoint, or for each target, by their names.
pub type Rows<R> = [(Arc<str>, R)];

/// Name, kind, help, and where a row has the number.
type Number<R> = (&'static str, &'static str, &'static str, fn(&R) -> u64);

const ENDPOINT_NUMBERS: [Number<EndpointSum>; 14] = [
    (
        "client_connections_received",
        "counter",
        "Connections accepted",
        |row| row.received,
    ),
    (
        "client_connections_setup_succeeded",
        "counter",
        "Log-ins that succeeded",
        |row| row.admitted,
    ),
    (
        "client_connections_setup_failed_auth",
        "counter",
        "Log-ins with a wrong password or an unknown user",
        |row| row.auth_failed,
    ),
    (
        "client_connections",
        "gauge",
        "Clients connected now",
        |row| row.clients,
    ),
    (
        "client_connections_tls",
        "gauge",
        "Clients connected now over TLS",
        |row| row.clients_tls,
    ),
    ("query_requests", "counter", "Requests answered", |row| {
        row.queries
    }),
    (
        "query_requests_tls",
        "counter",
        "Requests answered over TLS",
        |row| row.queries_tls,
    ),
    (
        "borrow_timeouts",
        "counter",
        "Requests that found no connection within the borrow timeout",
        |row| row.borrow_timeouts,
    ),
    (
        "clients_waiting",
        "gauge",
        "Clients waiting for a connection now",
        |row| row.waiting,
    ),
    (
        "listening_clients",
        "gauge",
        "Clients for which a shared database connection listens now",
        |row| row.listening,
    ),
    (
        "cancel_requests",
        "counter",
        "Cancel requests passed to a database",
        |row| row.cancels,
    ),
    (
        "cancel_requests_unknown",
        "counter",
        "Cancel requests with a key that no client of any pod has",
        |row| row.cancels_unknown,
    ),
    (
        "cancel_requests_forwarded",
        "counter",
        "Cancel requests passed on to the pod whose client they are for",
        |row| row.cancels_forwarded,
    ),
    (
        "cancel_requests_undelivered",
        "counter",
        "Cancel requests for other pods' clients that could not be passed on",
        |row| row.cancels_undelivered,
    ),
];

const TARGET_NUMBERS: [Number<TargetRow>; 9] = [
    (
        "database_connections",
        "gauge",
        "Database connections open now",
        |row| row.sum.connections,
    ),
    (
        "database_connections_currently_borrowed",
        "gauge",
        "Database connections lent to a client now",
        |row| row.sum.borrowed,
    ),
    (
        "database_connections_with_tls",
        "gauge",
        "Database connections open now over TLS",
        |row| row.sum.connections_tls,
    ),
    (
        "database_connections_orphaned",
        "gauge",
        "Database connections that finish what a client left behind",
        |row| row.sum.orphaned,
    ),
    (
        "listening_connections",
        "gauge",
        "Database connections that listen for clients now",
        |row| row.sum.listening,
    ),
    (
        "database_connections_setup_succeeded",
        "counter",
        "Database log-ins that succeeded",
        |row| row.sum.opened,
    ),
    (
        "database_connections_setup_failed",
        "counter",
        "Database log-ins that failed",
        |row| row.sum.failed,
    ),
    (
        "database_connection_requests",
        "counter",
        "Check-outs",
        |row| row.sum.borrows,
    ),
    (
        "max_database_connections_allowed",
        "gauge",
        "This pod's share of the target's connections",
        |row| u64::from(row.limit),
    ),
];

/// All families.
pub fn families(endpoints: &Rows<EndpointSum>, targets: &Rows<TargetRow>, driver: &str) -> Vec<u8> {
    let mut all = numbers("endpoint", endpoints, &ENDPOINT_NUMBERS);
    all.push(by_reason(
        ("client_connections_closed", "counter"),
        "Clients closed, by reason",
        ("endpoint", endpoints),
        |row| row.closed.iter().map(|(k, v)| (*k, *v)).collect(),
    ));
    all.push(by_reason(
        ("session_pins", "counter"),
        "Sessions pinned, by reason",
        ("endpoint", endpoints),
        |row| row.pins.iter().map(|(k, v)| (*k, *v)).collect(),
    ));
    all.push(by_reason(
        ("sessions_pinned", "gauge"),
        "Sessions pinned now, by reason",
        ("endpoint", endpoints),
        |row| row.pinned.iter().map(|(k, v)| (*k, *v)).collect(),
    ));
    all.extend(histograms(endpoints));
    all.extend(numbers("target", targets, &TARGET_NUMBERS));
    all.push(by_reason(
        ("database_connections_closed", "counter"),
        "Database connections closed by the proxy, by reason",
        ("target", targets),
        |row| row.sum.killed.iter().map(|(k, v)| (*k, *v)).collect(),
    ));
    all.push(by_reason(
        ("database_cancels_failed", "counter"),
        "Cancels that were not delivered to the database, by reason",
        ("target", targets),
        |row| {
            let failed = row.sum.cancels_failed.iter();
            failed.map(|(k, v)| (*k, *v)).collect()
        },
    ));
    all.push(family(
        "io_driver_info",
        "gauge",
        "Which driver moves the bytes",
        vec![json!({"labels": {"driver": driver}, "value": 1})],
    ));
    json!({ "metrics": all }).to_string().into_bytes()
}

fn numbers<R>(label: &str, rows: &Rows<R>, numbers: &[Number<R>]) -> Vec<Value> {
    let each = numbers.iter().map(|(name, kind, help, pick)| {
        let samples = rows
            .iter()
            .map(|(of, row)| json!({"labels": {label: **of}, "value": pick(row)}));
        family(name, kind, help, samples.collect())
    });
    each.collect()
}

/// A family with a series for each reason.
fn by_reason<R>(
    (name, kind): (&str, &str),
    help: &str,
    (label, rows): (&str, &Rows<R>),
    pick: fn(&R) -> Vec<(&'static str, u64)>,
) -> Value {
    let samples = rows.iter().flat_map(|(of, row)| {
        let reasons = pick(row).into_iter();
        reasons.map(move |(reason, value)| {
            json!({"labels": {label: **of, "reason": reason}, "value": value})
        })
    });
    family(name, kind, help, samples.collect())
}

fn histograms(endpoints: &Rows<EndpointSum>) -> Vec<Value> {
    type PickHistogram = fn(&EndpointSum) -> &HistogramSum;
    let histograms: [(&str, &str, PickHistogram); 2] = [
        (
            "borrow_latency_seconds",
            "Time from asking for a database connection to having it",
            |s| &s.borrow,
        ),
        (
            "query_response_latency_seconds",
            "Time from forwarding a request to the end of its answer",
            |s| &s.response,
        ),
    ];
    let each = histograms.iter().map(|(name, help, pick)| {
        let samples = endpoints.iter().map(|(of, row)| histogram(of, pick(row)));
        family(name, "histogram", help, samples.collect())
    });
    each.collect()
}

fn family(name: &str, kind: &str, help: &str, samples: Vec<Value>) -> Value {
    json!({"name": name, "type": kind, "help": help, "samples": samples})
}

fn histogram(endpoint: &str, sum: &HistogramSum) -> Value {
    let seconds = |us: u64| us as f64 / 1e6;
    let bounds = BOUNDS_US.iter().zip(sum.cumulative);
    let buckets: Vec<Value> = bounds
        .map(|(le, count)| json!([seconds(*le), count]))
        .collect();
    json!({
        "labels": {"endpoint": endpoint},
        "buckets": buckets,
        "sum": seconds(sum.sum_us),
        "count": sum.count,
    })
}
