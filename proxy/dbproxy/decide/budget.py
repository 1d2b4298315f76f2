"""How a target's connections are divided over the pods, in numbers; pure, called by the planner.

The operator has the same arithmetic in its own `decide/budget.py`; the contract tests hold the two
together. `usable` is the server's max_connections less what it reserves for superusers, `percent`
what the target group allows of it.
"""

from __future__ import annotations

# What each pod itself holds open on a target: the standing probe, and one log-in being tried.
PROBES_PER_POD = 2


def share(usable: int, percent: int, divisor: int) -> int:
    """The connections of a pod that has one `divisor`-th, after the probes of so many pods."""
    return max(0, usable - PROBES_PER_POD * divisor) * percent // 100 // divisor


def largest_divisor(usable: int, percent: int, connections: int = 1) -> int:
    """The largest divisor whose share is at least so many connections; 0 if there is none."""
    return max(0, usable) * percent // (100 * connections + PROBES_PER_POD * percent)
