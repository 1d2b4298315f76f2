"""What docs/ says of reasons and what the programs can say: the same words, none missing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from tests.fix_contract import ROOT

from dbproxy.facts import HealthReason

TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
SOURCES = (
    *(ROOT / "operator/dbproxy_operator").glob("*.py"),
    *(ROOT / "operator/dbproxy_operator/act").glob("*.py"),
    *(ROOT / "operator/dbproxy_operator/decide").glob("*.py"),
    *(ROOT / "operator/dbproxy_operator/tell").glob("*.py"),
    *(ROOT / "proxy/dbproxy/decide").glob("*.py"),
    *(ROOT / "proxy/dbproxy/run").glob("*.py"),
)
WORD = re.compile(r"[A-Z][a-z]+(?:[A-Z][A-Za-z]*)*")
KINDS = (
    "ConfigMap ContainersReady DBProxy DBProxyEndpoint DBProxyTargetGroup Deployment Event Pod "
    "PodDisruptionBudget PodScheduled ReplicaSet Role RoleBinding Secret Service ServiceAccount"
)
CONDITIONS = (
    "CertificateExpiring Progressing Ready Reconciling ReplicaFailure Stalled TargetsAvailable "
    "UpgradeAvailable WriterKnown"
)
# Said of what is as it should be, or by Kubernetes itself of pods; other words that are no reasons.
GOOD = "AllAvailable Done NotStalled UpToDate Valid"
KUBERNETES = (
    "CrashLoopBackOff CreateContainerConfigError CreateContainerError ErrImageNeverPull "
    "ErrImagePull Failed ImagePullBackOff InvalidImageName RunContainerError Succeeded"
)
OTHER = "False Normal True Unknown Warning"
NO_REASONS = frozenset(" ".join((KINDS, CONDITIONS, GOOD, KUBERNETES, OTHER)).split())


def words_of(path: Path) -> Iterator[str]:
    """The words that stand alone in a text of the program, docstrings left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and WORD.fullmatch(text):
            yield text


def said() -> set[str]:
    return {word for path in SOURCES for word in words_of(path)} - NO_REASONS


def documented() -> set[str]:
    """The reasons in the first column of the tables."""
    text = TROUBLESHOOTING.read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for row in rows for word in re.findall(r"`([A-Za-z_]+)`", row)}


def test_every_reason_of_a_condition_has_its_row() -> None:
    assert sorted(said() - documented()) == []


def test_every_reason_of_a_target_has_its_row() -> None:
    assert sorted(set(get_args(HealthReason)) - {""} - documented()) == []


def test_no_row_is_of_a_reason_that_nobody_says() -> None:
    assert sorted(documented() - said() - set(get_args(HealthReason))) == []
