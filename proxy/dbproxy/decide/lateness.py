"""Whether a replica is too late to be read from; pure, called by the planner."""

from __future__ import annotations

from dbproxy.probe.views import View


def lateness(view: View, limit: int | None) -> str:
    """Why nothing is to be read from a replica that lags, if so. The text stays the same while it
    does: each change of it is written to the status."""
    if limit is None or not view.reads:
        return ""
    if all(lag is None for lag in view.lags):
        told = f"its lag isn't known, and maxReplicaLag is {limit} s"
        return f"{told}: {view.message}" if view.message else told
    if all(lag is None or lag > limit for lag in view.lags):
        return f"it lags behind by more than maxReplicaLag, {limit} s"
    return ""
