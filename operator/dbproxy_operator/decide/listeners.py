"""Which ports the pods listen on: allocated once per endpoint, given up only after its Service.

A port is recorded in the endpoint's status. When an endpoint is deleted, Kubernetes collects its
Service; the listener stays until that is gone and every kube-proxy has heard of it. The moment at
which its endpoint was found missing is noted in the settings, so that a restart forgets nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dbproxy_operator.desired.config import Listener
from dbproxy_operator.observe.names import DEFAULT_LISTENER_PORT
from dbproxy_operator.observe.world import Object, name, status

FIRST_PORT = 15433
LAST_PORT = 15532
MOST_ENDPOINTS = 20
LINGER_SECONDS = 10


@dataclass(frozen=True)
class Listeners:
    all: tuple[Listener, ...]
    ports: Mapping[str, int]
    wake_at: float | None


def allocate(
    proxy: str,
    endpoints: Sequence[tuple[Object, str]],
    former: Iterable[Listener],
    services: Collection[str],
    now: float,
) -> Listeners:
    """`endpoints`: those to be served, the oldest first, each with its role; `services`: the names
    of those that are there."""
    before = {listener.name: listener for listener in former if listener.name != proxy}
    ports: dict[str, int] = {}
    taken: set[int] = set()
    for endpoint, _role in endpoints:
        port = _recorded(endpoint)
        if port is not None and port not in taken:
            ports[name(endpoint)] = port
            taken.add(port)
    for endpoint, _role in endpoints:
        old = before.get(name(endpoint))
        if name(endpoint) not in ports and old and _in_range(old.port) and old.port not in taken:
            ports[name(endpoint)] = old.port
            taken.add(old.port)
    retiring, wake_at = _retiring(before, ports, taken, services, now)
    taken |= {listener.port for listener in retiring}
    free = (port for port in range(FIRST_PORT, LAST_PORT + 1) if port not in taken)
    for endpoint, _role in endpoints:
        if name(endpoint) not in ports and (port := next(free, None)) is not None:
            ports[name(endpoint)] = port
    listeners = [Listener(proxy, DEFAULT_LISTENER_PORT, "READ_WRITE")]
    listeners += [
        Listener(name(endpoint), ports[name(endpoint)], role)
        for endpoint, role in endpoints
        if name(endpoint) in ports
    ]
    listeners += retiring
    listeners.sort(key=lambda listener: listener.port)
    return Listeners(tuple(listeners), ports, wake_at)


def _retiring(
    before: Mapping[str, Listener],
    ports: Mapping[str, int],
    taken: set[int],
    services: Collection[str],
    now: float,
) -> tuple[list[Listener], float | None]:
    kept: list[Listener] = []
    wake_at: float | None = None
    for listener in before.values():
        if listener.name in ports or listener.port in taken or not _in_range(listener.port):
            continue
        since = listener.retiring_since if listener.retiring_since is not None else int(now)
        due = since + LINGER_SECONDS
        if listener.name in services or now < due:
            kept.append(replace(listener, retiring_since=since))
        # Once only its Service is waited for, the deletion of that wakes.
        if now < due:
            wake_at = due if wake_at is None else min(wake_at, due)
    return kept, wake_at


def _recorded(endpoint: Object) -> int | None:
    port = status(endpoint).get("port")
    return port if isinstance(port, int) and _in_range(port) else None


def _in_range(port: int) -> bool:
    return FIRST_PORT <= port <= LAST_PORT
