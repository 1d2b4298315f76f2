"""How the database's connections are divided over the pods, so that they never exceed it together.

Every pod takes one `divisor`-th of the budget. The divisor counts all pods that may hold
connections now or soon: those wanted, or those alive if they are more (a terminating pod is alive
until it is gone), and one more for the surge of a rollout. So it rises before the Deployment grows,
and that waits until every Ready pod has acknowledged it; it falls only when pods are gone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.reports import Report
from dbproxy_operator.spec import DBProxyTargetGroupSpec

SURGE = 1


@dataclass(frozen=True)
class Growth:
    """How many replicas to ask for now, and on which pods the rest waits."""

    replicas: int
    waiting_for: tuple[str, ...] = ()


def divisor(replicas: int, alive: int) -> int:
    return max(replicas, alive) + SURGE


def growth(
    wanted: int, current: int | None, ready: Iterable[str], reports: Mapping[str, Report]
) -> Growth:
    """`current`: what the Deployment asks for; None if there is none yet."""
    if current is None or wanted <= current:
        return Growth(wanted)
    late = tuple(
        sorted(
            pod for pod in ready if pod not in reports or reports[pod].divisor < divisor(wanted, 0)
        )
    )
    return Growth(current, late) if late else Growth(wanted)


def share_problem(
    spec: DBProxyTargetGroupSpec, max_connections: Mapping[str, int], parts: int
) -> Problem | None:
    """Less than one connection for each pod: such a pod could serve nobody."""
    percent = spec.connection_pool_config.max_connections_percent
    short: Sequence[str] = [
        name for name, most in sorted(max_connections.items()) if most * percent // 100 < parts
    ]
    if not short:
        return None
    first = short[0]
    return Problem(
        "Budget",
        f"{percent} % of the {max_connections[first]} connections of the target {first}, divided "
        f"by {parts} (the proxy's pods and one more for rollouts), is less than one for each: "
        "raise maxConnectionsPercent or the server's max_connections, "
        "or lower the proxy's replicas",
        contradiction=True,
    )
