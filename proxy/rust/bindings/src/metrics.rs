//! The engine's counters as metric families, in the JSON that `metrics.py` turns into Prometheus'.

use dbproxy_server::{EndpointSum, HistogramSum, TargetSum, BOUNDS_US};
use serde_json::{json, Value};

type Endpoints = Vec<(String, EndpointSum)>;
/// Name, sums, and connections open and allowed.
pub type Targets = Vec<(String, TargetSum, (u32, u32))>;

/// All families.
pub fn families(endpoints: &Endpoints, targets: &Targets, driver: &str) -> Vec<u8> {
    let mut all = endpoint_families(endpoints);
    all.extend(target_families(targets));
    all.push(family(
        "io_driver_info",
        "gauge",
        "Which driver moves the bytes",
        vec![json!({"labels": {"driver": driver}, "value": 1})],
    ));
    json!({ "metrics": all }).to_string().into_bytes()
}

fn endpoint_families(endpoints: &Endpoints) -> Vec<Value> {
    type Pick = fn(&EndpointSum) -> u64;
    let numbers: [(&str, &str, &str, Pick); 11] = [
        (
            "client_connections_received",
            "counter",
            "Connections accepted",
            |s| s.received,
        ),
        (
            "client_connections_setup_succeeded",
            "counter",
            "Log-ins that succeeded",
            |s| s.admitted,
        ),
        (
            "client_connections_setup_failed_auth",
            "counter",
            "Log-ins with a wrong password or an unknown user",
            |s| s.auth_failed,
        ),
        (
            "client_connections",
            "gauge",
            "Clients connected now",
            |s| s.clients,
        ),
        (
            "client_connections_tls",
            "gauge",
            "Clients connected now over TLS",
            |s| s.clients_tls,
        ),
        ("query_requests", "counter", "Requests answered", |s| {
            s.queries
        }),
        (
            "query_requests_tls",
            "counter",
            "Requests answered over TLS",
            |s| s.queries_tls,
        ),
        (
            "borrow_timeouts",
            "counter",
            "Requests that found no connection within the borrow timeout",
            |s| s.borrow_timeouts,
        ),
        (
            "clients_waiting",
            "gauge",
            "Clients waiting for a connection now",
            |s| s.waiting,
        ),
        ("sessions_pinned", "gauge", "Sessions pinned now", |s| {
            s.pinned
        }),
        (
            "cancel_requests",
            "counter",
            "Cancel requests passed to a database",
            |s| s.cancels,
        ),
    ];
    let mut all: Vec<Value> = numbers
        .iter()
        .map(|(name, kind, help, pick)| {
            let samples = endpoints.iter().map(
                |(endpoint, sum)| json!({"labels": {"endpoint": endpoint}, "value": pick(sum)}),
            );
            family(name, kind, help, samples.collect())
        })
        .collect();
    let by_reason = |pick: fn(&EndpointSum) -> Vec<(&'static str, u64)>| {
        let each = endpoints.iter().flat_map(move |(endpoint, sum)| {
            pick(sum).into_iter().map(move |(reason, value)| {
                json!({"labels": {"endpoint": endpoint, "reason": reason}, "value": value})
            })
        });
        each.collect::<Vec<Value>>()
    };
    all.push(family(
        "client_connections_closed",
        "counter",
        "Clients closed, by reason",
        by_reason(|s| s.closed.iter().map(|(k, v)| (*k, *v)).collect()),
    ));
    all.push(family(
        "session_pins",
        "counter",
        "Sessions pinned, by reason",
        by_reason(|s| s.pins.iter().map(|(k, v)| (*k, *v)).collect()),
    ));
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
    for (name, help, pick) in histograms {
        let samples = endpoints
            .iter()
            .map(|(endpoint, sum)| histogram(endpoint, pick(sum)));
        all.push(family(name, "histogram", help, samples.collect()));
    }
    all
}

fn target_families(targets: &Targets) -> Vec<Value> {
    type Pick = fn(&TargetSum, (u32, u32)) -> u64;
    let numbers: [(&str, &str, &str, Pick); 7] = [
        (
            "database_connections",
            "gauge",
            "Database connections open now",
            |s, _| s.connections,
        ),
        (
            "database_connections_currently_borrowed",
            "gauge",
            "Database connections lent to a client now",
            |s, _| s.borrowed,
        ),
        (
            "database_connections_with_tls",
            "gauge",
            "Database connections open now over TLS",
            |s, _| s.connections_tls,
        ),
        (
            "database_connections_setup_succeeded",
            "counter",
            "Database log-ins that succeeded",
            |s, _| s.opened,
        ),
        (
            "database_connections_setup_failed",
            "counter",
            "Database log-ins that failed",
            |s, _| s.failed,
        ),
        (
            "database_connection_requests",
            "counter",
            "Check-outs",
            |s, _| s.borrows,
        ),
        (
            "max_database_connections_allowed",
            "gauge",
            "This pod's share of the target's connections",
            |_, (_, limit)| u64::from(limit),
        ),
    ];
    let mut all: Vec<Value> = numbers
        .iter()
        .map(|(name, kind, help, pick)| {
            let samples = targets.iter().map(|(target, sum, usage)| {
                json!({"labels": {"target": target}, "value": pick(sum, *usage)})
            });
            family(name, kind, help, samples.collect())
        })
        .collect();
    let killed = targets.iter().flat_map(|(target, sum, _)| {
        sum.killed.iter().map(move |(reason, value)| {
            json!({"labels": {"target": target, "reason": reason}, "value": value})
        })
    });
    all.push(family(
        "database_connections_closed",
        "counter",
        "Database connections closed by the proxy, by reason",
        killed.collect(),
    ));
    all
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
