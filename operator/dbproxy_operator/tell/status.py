"""Conditions from facts, in the way that kstatus, `kubectl wait`, Argo CD and Flux read them.

- `Reconciling` and `Stalled` are never both True. A contradiction is Stalled at once; anything that
  may yet come is Reconciling for PATIENCE, then Stalled.
- `Ready` keeps its own observedGeneration: that moves only once every Ready pod has reported the
  settings of that generation. While a new generation is on its way to pods that serve, Ready stays
  True with the older observedGeneration, which `kubectl wait` does not take for an answer.
- `Reconciling.lastTransitionTime` also moves when its reason changes: it is the start of that wait.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.world import Object, generation, timestamp
from dbproxy_operator.observe.world import status as status_of

PATIENCE = 60.0
_MESSAGE = 2048


@dataclass(frozen=True)
class Extra:
    """A condition beside the three usual ones."""

    type: str
    holds: bool | None
    reason: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """How things stand with one object."""

    problem: Problem | None = None
    progress: Problem | None = None
    serving: bool = False
    current: bool = False
    ready_message: str = ""
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True)
class Judged:
    conditions: tuple[Object, ...]
    wake_at: float | None = None


def judge(obj: Object, verdict: Verdict, now: float) -> Judged:
    """The conditions of the object, and when time alone will change them."""
    before = conditions_of(obj)
    problem, progress = verdict.problem, verdict.progress
    wake_at: float | None = None
    reconciling: Problem | None = None
    stalled: Problem | None = None
    if problem is not None:
        since = _waiting_since(before, problem.reason, now)
        was_stalled = _is(before, "Stalled", problem.reason)
        if problem.contradiction or was_stalled or now >= since + PATIENCE:
            stalled = problem
        else:
            reconciling, wake_at = problem, since + PATIENCE
    elif progress is not None:
        reconciling = progress
    fault = problem or progress
    old_ready = before.get("Ready", {})
    stays = problem is None and verdict.serving and old_ready.get("status") == "True"
    if fault is None or stays:
        ready = Extra("Ready", True, "Ready", verdict.ready_message)
    else:
        ready = Extra("Ready", False, fault.reason, fault.message)
    seen = generation(obj)
    proven = seen if verdict.current else int(old_ready.get("observedGeneration", 0))
    conditions = [_condition(before, ready, proven, now)]
    idle = "Stalled" if stalled else "Done"
    conditions.append(_switch(before, "Reconciling", reconciling, idle, seen, now))
    conditions.append(_switch(before, "Stalled", stalled, "NotStalled", seen, now))
    conditions += [_condition(before, extra, seen, now) for extra in verdict.extras]
    return Judged(tuple(conditions), wake_at)


def begun(obj: Object, now: float) -> list[Object]:
    """The conditions at the moment at which a new generation is seen: work has begun."""
    before = conditions_of(obj)
    seen = generation(obj)
    started = Problem("NewGeneration", "acting on a change of the spec")
    conditions = [
        _switch(before, "Reconciling", started, "", seen, now),
        _switch(before, "Stalled", None, "NotStalled", seen, now),
    ]
    if "Ready" not in before:
        ready = Extra("Ready", False, "NewGeneration", "not yet acted upon")
        conditions.append(_condition(before, ready, 0, now))
    kept = [old for kind, old in before.items() if kind not in ("Reconciling", "Stalled")]
    return conditions + kept


def conditions_of(obj: Object) -> dict[str, Object]:
    found = status_of(obj).get("conditions")
    if not isinstance(found, list):
        return {}
    return {str(condition.get("type")): condition for condition in found}


def same(desired: Object, obj: Object) -> bool:
    """Whether the status says all of `desired` already, and nothing else that is ours."""
    now = {key: value for key, value in status_of(obj).items() if key != "proxies"}
    return _sorted(now) == _sorted(desired)


def announced(obj: Object, conditions: Sequence[Object]) -> list[Object]:
    """The conditions whose change people are told by an Event: each reason and message once."""
    before = conditions_of(obj)
    told: dict[tuple[str, str], Object] = {}
    for condition in conditions:
        kind = condition["type"]
        if kind in ("Reconciling", "Stalled") or condition["reason"] == "NewGeneration":
            continue
        old = before.get(kind, {})
        new = (condition["reason"], condition["message"])
        if (old.get("reason"), old.get("message")) != new and new[1]:
            told.setdefault(new, condition)
    return list(told.values())


def _switch(
    before: dict[str, Object],
    kind: str,
    problem: Problem | None,
    idle: str,
    seen: int,
    now: float,
) -> Object:
    if problem is None:
        return _condition(before, Extra(kind, False, idle, ""), seen, now)
    return _condition(before, Extra(kind, True, problem.reason, problem.message), seen, now)


def _condition(before: dict[str, Object], extra: Extra, seen: int, now: float) -> Object:
    text = "Unknown" if extra.holds is None else str(extra.holds)
    old = before.get(extra.type, {})
    kept = old.get("status") == text and old.get("lastTransitionTime")
    if extra.type == "Reconciling" and extra.holds and old.get("reason") != extra.reason:
        kept = None
    return {
        "type": extra.type,
        "status": text,
        "reason": extra.reason,
        "message": extra.message[:_MESSAGE],
        "observedGeneration": seen,
        "lastTransitionTime": kept or timestamp(now),
    }


def _waiting_since(before: dict[str, Object], reason: str, now: float) -> float:
    if not _is(before, "Reconciling", reason):
        return now
    try:
        moment = dt.datetime.fromisoformat(before["Reconciling"]["lastTransitionTime"])
    except (KeyError, TypeError, ValueError):
        return now
    return min(now, moment.timestamp())


def _is(before: dict[str, Object], kind: str, reason: str) -> bool:
    condition = before.get(kind, {})
    return condition.get("status") == "True" and condition.get("reason") == reason


def _sorted(body: Object) -> Object:
    ordered = sorted(body.get("conditions") or (), key=lambda condition: str(condition["type"]))
    return {**body, "conditions": ordered}
