"""The demo's cluster, asked by kubectl."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cluster.node import binaries, paths
from tests.cluster.node.console import Command, note, run

NAMESPACE = "shop"


def command(*words: str | Path) -> Command:
    chosen: Command = ["--kubeconfig", paths.KUBECONFIG, "--namespace", NAMESPACE]
    return [binaries.find("kubectl"), *chosen, *words]


def kubectl(*words: str | Path, stdin: str | None = None) -> str:
    return run(command(*words), stdin=stdin)


def show(*words: str) -> None:
    print(f"\n$ kubectl {' '.join(words)}", flush=True)
    print(kubectl(*words), end="", flush=True)


def in_client(*words: str, stdin: str | None = None) -> str:
    keep: list[str] = ["--stdin"] if stdin is not None else []
    return kubectl("exec", *keep, "client", "--", *words, stdin=stdin)


def begin_in_client(*words: str) -> subprocess.Popen[str]:
    """A program that runs on in the client's pod; what it says comes out of its stdout."""
    return subprocess.Popen(
        [str(word) for word in command("exec", "client", "--", *words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def elected() -> tuple[str, str]:
    """The writer by the election, and the other target."""
    writer = json.loads(kubectl("get", "configmap", "orders-election", "--output=json"))["data"][
        "writer"
    ]
    return writer, {"db-0": "db-1", "db-1": "db-0"}[writer]


def elect(writer: str) -> None:
    """Name the writer under the next epoch, in one change."""
    election = json.loads(kubectl("get", "configmap", "orders-election", "--output=json"))["data"]
    data = {"writer": writer, "epoch": str(int(election["epoch"]) + 1)}
    patch = json.dumps({"data": data})
    kubectl("patch", "configmap", "orders-election", "--type=merge", "--patch", patch)
    note(f"orders-election now says writer={data['writer']}, epoch={data['epoch']}")
