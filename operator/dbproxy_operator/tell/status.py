"""Conditions from facts, in the way that kstatus, `kubectl wait`, Argo CD and Flux read them.

- `Reconciling` and `Stalled` are never both True. A contradiction is Stalled at once; anything that
  may yet come is Reconciling for as long as its patience lasts, then Stalled, naming what it waits
  for. So no wait is endless.
- A problem keeps an object from being Ready. Progress is what lies between an object that serves
  and one that is as its spec wants it: Ready stays True meanwhile, also once that has Stalled.
- `Ready` keeps its own observedGeneration: that moves only once every Ready pod has reported the
  settings of that generation. While a new generation is on its way to pods that serve, Ready stays
  True with the older observedGeneration, which `kubectl wait` does not take for an answer.
- `Reconciling.lastTransitionTime` also moves when its reason changes, or the generation: it is the
  start of that wait.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from dbproxy_operator.errors import Problem
from dbproxy_operator.observe.world import Object, generation, timestamp
from dbproxy_operator.observe.world import status as status_of

LOOK_AGAIN = 15.0
LOOK_AGAIN_LAST = 300.0
SERVING = "clients are served; Reconciling or Stalled says what is still to come"
# Steps on the way to Ready that nobody has to act upon.
EXPECTED = frozenset(
    {
        "PodsNotReady",
        "RollingOut",
        "WaitingForAcknowledgement",
        "WaitingForPods",
        "WaitingForReports",
        "NoReport",
        "NotConfirmed",
        "Probing",
    }
)
_USUAL = ("Ready", "Reconciling", "Stalled")
# Without them nothing becomes Ready.
_GOOD_NEWS = ("TargetsAvailable", "WriterKnown")
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
    """How things stand with one object. `extras`: None leaves them as they were."""

    problem: Problem | None = None
    progress: Problem | None = None
    serving: bool = False
    current: bool = False
    ready_message: str = ""
    extras: tuple[Extra, ...] | None = ()


@dataclass(frozen=True)
class Judged:
    conditions: tuple[Object, ...]
    wake_at: float | None = None


def judge(obj: Object, verdict: Verdict, now: float) -> Judged:
    """The conditions of the object, and when time alone will change them."""
    before, seen = conditions_of(obj), generation(obj)
    fault = verdict.problem or verdict.progress
    wake_at: float | None = None
    reconciling: Problem | None = None
    stalled: Problem | None = None
    if fault is not None:
        since = _since(before, "Reconciling", fault.reason, seen, now)
        was_stalled = _is(before, "Stalled", fault.reason, seen)
        if fault.contradiction or was_stalled or now >= since + fault.patience:
            stalled = fault
        else:
            reconciling, wake_at = fault, since + fault.patience
    if fault is not None and fault.unwatched:
        # Ever more rarely: what lasts for hours is not worth a look every few seconds.
        age = now - _since(before, "Stalled", fault.reason, seen, now)
        look = now + min(LOOK_AGAIN_LAST, max(LOOK_AGAIN, age))
        wake_at = look if wake_at is None else min(wake_at, look)
    old_ready = before.get("Ready", {})
    stays = verdict.problem is None and verdict.serving and old_ready.get("status") == "True"
    if fault is None:
        ready = Extra("Ready", True, "Ready", verdict.ready_message)
    elif stays:
        ready = Extra("Ready", True, "Ready", SERVING)
    else:
        ready = Extra("Ready", False, fault.reason, fault.told)
    proven = seen if verdict.current else int(old_ready.get("observedGeneration", 0))
    conditions = [_condition(before, ready, proven, now)]
    idle = "Stalled" if stalled else "Done"
    conditions.append(_switch(before, "Reconciling", reconciling, idle, seen, now))
    conditions.append(_switch(before, "Stalled", stalled, "NotStalled", seen, now))
    if verdict.extras is None:
        conditions += [old for kind, old in before.items() if kind not in _USUAL]
    else:
        conditions += [_condition(before, extra, seen, now) for extra in verdict.extras]
    return Judged(tuple(conditions), wake_at)


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
    """The conditions whose change people are told by an Event: each reason and message once.

    A step on the way is told when it begins and when it has Stalled, not each time that the pods it
    names are others. On the way to the first Ready only what goes wrong is told, and the end of it:
    whoever made the object expects the rest.
    """
    before = conditions_of(obj)
    is_new = not before.get("Ready", {}).get("observedGeneration")
    told: dict[tuple[bool, str, str], Object] = {}
    for condition in conditions:
        kind, reason = condition["type"], condition["reason"]
        old = before.get(kind, {})
        stalls = condition["status"] == "True" and old.get("status") != "True"
        if kind == "Reconciling" or (kind == "Stalled" and not (stalls and reason in EXPECTED)):
            continue
        comes = reason in EXPECTED or (kind in _GOOD_NEWS and condition["status"] == "True")
        if is_new and kind != "Stalled" and comes:
            continue
        if (kind == "Ready" and condition["status"] == "True") or reason in EXPECTED:
            changed = (old.get("status"), old.get("reason")) != (condition["status"], reason)
        else:
            changed = (old.get("reason"), old.get("message")) != (reason, condition["message"])
        if changed and condition["message"]:
            told.setdefault((kind == "Stalled", reason, condition["message"]), condition)
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
    return _condition(before, Extra(kind, True, problem.reason, problem.told), seen, now)


def _condition(before: dict[str, Object], extra: Extra, seen: int, now: float) -> Object:
    text = "Unknown" if extra.holds is None else str(extra.holds)
    old = before.get(extra.type, {})
    kept = old.get("status") == text and old.get("lastTransitionTime")
    same = (old.get("reason"), old.get("observedGeneration")) == (extra.reason, seen)
    if extra.type == "Reconciling" and extra.holds and not same:
        kept = None
    return {
        "type": extra.type,
        "status": text,
        "reason": extra.reason,
        "message": extra.message[:_MESSAGE],
        "observedGeneration": seen,
        "lastTransitionTime": kept or timestamp(now),
    }


def _since(before: dict[str, Object], kind: str, reason: str, seen: int, now: float) -> float:
    """Since when the condition says so of this generation; `now` if it doesn't."""
    if not _is(before, kind, reason, seen):
        return now
    try:
        moment = dt.datetime.fromisoformat(before[kind]["lastTransitionTime"])
    except (KeyError, TypeError, ValueError):
        return now
    return min(now, moment.timestamp())


def _is(before: dict[str, Object], kind: str, reason: str, seen: int) -> bool:
    """Said of this generation: each one has its own patience."""
    condition = before.get(kind, {})
    said = condition.get("status"), condition.get("reason"), condition.get("observedGeneration")
    return said == ("True", reason, seen)


def _sorted(body: Object) -> Object:
    ordered = sorted(body.get("conditions") or (), key=lambda condition: str(condition["type"]))
    return {**body, "conditions": ordered}
