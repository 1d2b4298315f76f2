"""The operator's own metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_PREFIX = "dbproxy_operator"


class Metrics:
    def __init__(self, queue_age: Callable[[], float], queue_depth: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.reconcile_seconds = Histogram(
            f"{_PREFIX}_reconcile_seconds",
            "How long a reconcile took.",
            registry=self._registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self.reconcile_errors = Counter(
            f"{_PREFIX}_reconcile_errors",
            "Reconciles that failed and are tried again, by what failed.",
            ["reason"],
            registry=self._registry,
        )
        self.api_calls = Counter(
            f"{_PREFIX}_api_calls",
            "Calls to the API server.",
            ["verb", "kind"],
            registry=self._registry,
        )
        self.wakes = Counter(
            f"{_PREFIX}_wakes",
            "What woke a reconcile.",
            ["source"],
            registry=self._registry,
        )
        self.leader = Gauge(
            f"{_PREFIX}_leader",
            "1 while this operator holds the lease.",
            registry=self._registry,
        )
        self.unserved = Gauge(
            f"{_PREFIX}_unserved_namespaces",
            "Namespaces of watchNamespaces that are not served: the operator lacks rights in them.",
            registry=self._registry,
        )
        age = Gauge(
            f"{_PREFIX}_queue_age_seconds",
            "How long the oldest proxy that is due has waited.",
            registry=self._registry,
        )
        age.set_function(queue_age)
        depth = Gauge(
            f"{_PREFIX}_queue_depth",
            "Proxies that wait or are being reconciled.",
            registry=self._registry,
        )
        depth.set_function(lambda: float(queue_depth()))

    def called(self, verb: str, kind: str) -> None:
        self.api_calls.labels(verb=verb, kind=kind).inc()

    def render(self) -> bytes:
        return generate_latest(self._registry)
