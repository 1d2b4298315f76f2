"""Argo CD's health of the three kinds: the script of docs/gitops.md, run by Lua itself."""

import json
import subprocess
from typing import Any

import pytest
from tests.fix_contract import ROOT, Object

from dbproxy_operator.errors import Problem
from dbproxy_operator.tell.status import Verdict, judge

SCRIPT = ROOT / "examples" / "argocd-health.lua"
NOW = 1_700_000_000.0
MISSING = Problem("SecretNotFound", "the Secret app does not exist: create it")


def lua(value: Any) -> str:
    """A JSON value as a Lua expression."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{lua(key)}]={lua(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(lua(item) for item in value) + "}"
    return "nil" if value is None else json.dumps(value)


def health(obj: Object) -> tuple[str, str]:
    program = (
        f"local obj = {lua(obj)}\n"
        f"local function judge() {SCRIPT.read_text()} end\n"
        "local found = judge()\nprint(found.status)\nprint(found.message)"
    )
    done = subprocess.run(
        ["lua5.4", "-"], input=program, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    status, _, message = done.stdout.strip().partition("\n")
    return status, message


def judged(verdict: Verdict, seen: int = 3, before: Object | None = None) -> Object:
    """An object of generation 3 with what the operator says of that verdict."""
    obj: Object = {"metadata": {"generation": 3}, "status": before or {}}
    conditions = list(judge(obj, verdict, NOW).conditions)
    return {**obj, "status": {"observedGeneration": seen, "conditions": conditions}}


READY = Verdict(serving=True, current=True, ready_message="all is well")


def test_what_works_is_healthy() -> None:
    assert health(judged(READY)) == ("Healthy", "all is well")


def test_what_nobody_has_seen_is_progressing() -> None:
    assert health({"metadata": {"generation": 3}})[0] == "Progressing"
    assert health(judged(READY, seen=2))[0] == "Progressing"


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict(problem=MISSING), "Progressing"),
        (Verdict(problem=Problem("NameTaken", "rename it", contradiction=True)), "Degraded"),
        (Verdict(progress=Problem("PodsNotReady", "waiting for pods")), "Progressing"),
    ],
)
def test_a_wait_is_progressing_and_what_waiting_cannot_help_is_degraded(
    verdict: Verdict, expected: str
) -> None:
    status, message = health(judged(verdict))
    fault = verdict.problem or verdict.progress
    assert fault is not None
    assert (status, message) == (expected, f"{fault.reason}: {fault.message}")


def test_a_new_generation_on_its_way_is_progressing() -> None:
    serving = judged(READY)["status"]
    for condition in serving["conditions"]:
        condition["observedGeneration"] = 2
    late = Verdict(
        progress=Problem("WaitingForPods", "pods apply it"), serving=True, ready_message="all"
    )
    assert health(judged(late, before=serving))[0] == "Progressing"
