"""The pod's metrics: the engine's own, read in one call per scrape, and the agent's.

Every series of the agent that can be named beforehand starts at zero, so that a rate over it is
right from the first event on. Names are the same whatever the databases are; the label `engine` of
all of them tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from dbproxy import __version__
from dbproxy.dataplane import Dataplane
from dbproxy.families import EngineFamily

STATES = ("REGISTERING", "AVAILABLE", "UNAVAILABLE")
PROBE_RESULTS = ("OK", "FAILED", "LOCAL")
APPLY_RESULTS = ("applied", "refused", "listener_unavailable")
PROBE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

FAMILIES: dict[str, type[Metric]] = {
    "histogram": HistogramMetricFamily,
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}


def engine_families(metrics: list[dict[str, Any]]) -> Iterator[Metric]:
    """The engine's metrics in the form of prometheus-client."""
    for metric in metrics:
        samples = metric["samples"]
        names = sorted(samples[0]["labels"]) if samples else []
        make: Any = FAMILIES[metric["type"]]
        family = make(f"dbproxy_{metric['name']}", metric["help"], labels=names)
        for sample in samples:
            values = [str(sample["labels"][name]) for name in names]
            if metric["type"] == "histogram":
                buckets = [(str(float(edge)), count) for edge, count in sample["buckets"]]
                buckets.append(("+Inf", sample["count"]))
                family.add_metric(values, buckets, sum_value=sample["sum"])
            else:
                family.add_metric(values, sample["value"])
        yield family


class EngineCollector:
    """Asks the engine at each scrape; there is nothing to tell before it runs."""

    def __init__(self, engine: Callable[[], Dataplane | None]) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        dataplane = self._engine()
        if dataplane is not None:
            yield from engine_families(dataplane.stats())


class EngineLabel:
    """Every series of this product's in a registry, with `engine`; no such label is empty.

    Those of the process itself stay as all programs have them.
    """

    def __init__(self, registry: CollectorRegistry, family: Callable[[], str | None]) -> None:
        self._registry = registry
        self._family = family

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for metric in self._registry.collect():
            if family is not None and metric.name.startswith("dbproxy_"):
                engine = {"engine": family.lower()}
                metric.samples = [
                    sample._replace(labels=engine | sample.labels) for sample in metric.samples
                ]
            yield metric


class AgentMetrics:
    """The agent's own series, in a registry of their own: two agents fit in one test.

    `family`: the engine family, None until the first settings have said it.
    """

    def __init__(
        self, engine: Callable[[], Dataplane | None], family: Callable[[], EngineFamily | None]
    ) -> None:
        self.registry = registry = CollectorRegistry()
        self._told = CollectorRegistry()
        self._told.register(EngineLabel(registry, family))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(EngineCollector(engine))
        build = Gauge("dbproxy_build_info", "Version of the agent.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self.probes = Counter(
            "dbproxy_probes", "Probes of targets.", ["target", "result"], registry=registry
        )
        self.probe_seconds = Histogram(
            "dbproxy_probe_duration_seconds",
            "Time of a probe.",
            ["target"],
            registry=registry,
            buckets=PROBE_BUCKETS,
        )
        self.target_state = Gauge(
            "dbproxy_target_state",
            "1 for the state that the target is in.",
            ["target", "state"],
            registry=registry,
        )
        self.replay_lag = Gauge(
            "dbproxy_target_replay_lag_seconds",
            "How far a replica's replay is behind; NaN where that isn't known, 0 of a writer.",
            ["target"],
            registry=registry,
        )
        self.writer_epoch = Gauge(
            "dbproxy_writer_epoch", "Epoch of the writer that is obeyed.", registry=registry
        )
        self.writer_open = Gauge(
            "dbproxy_writer_open", "1 while work is given to the writer.", registry=registry
        )
        self.acknowledged_epoch = Gauge(
            "dbproxy_writer_acknowledged_epoch",
            "Epoch since which no connection to an earlier writer is left.",
            registry=registry,
        )
        self.revision = Gauge(
            "dbproxy_settings_revision", "Revision of the settings in force.", registry=registry
        )
        self.applies = Counter(
            "dbproxy_snapshots", "Snapshots handed to the engine.", ["result"], registry=registry
        )
        for result in APPLY_RESULTS:
            self.applies.labels(result)
        self.config_problem = Gauge(
            "dbproxy_config_problem",
            "1 while the newest configuration can't be applied.",
            registry=registry,
        )
        self.events_lost = Counter(
            "dbproxy_engine_events_lost", "Events that the engine had to drop.", registry=registry
        )

    def follow_targets(self, targets: list[str], gone: set[str]) -> None:
        """Begin the series of new targets at zero, and end those of targets that are gone."""
        for target in gone:
            for result in PROBE_RESULTS:
                self.probes.remove(target, result)
            for state in STATES:
                self.target_state.remove(target, state)
            self.probe_seconds.remove(target)
            self.replay_lag.remove(target)
        for target in targets:
            for result in PROBE_RESULTS:
                self.probes.labels(target, result)
            for state in STATES:
                self.target_state.labels(target, state)
            self.probe_seconds.labels(target)
            self.replay_lag.labels(target)

    def render(self) -> tuple[bytes, str]:
        return generate_latest(self._told), CONTENT_TYPE_LATEST
