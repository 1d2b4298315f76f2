"""Each program as its image starts it, alone in a namespace of processes, as a container is.

The kernel drops a signal that the first process of a namespace doesn't handle: one that came while
Python still starts would be lost, and the pod killed only when its grace period is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]


def command_of(program: str) -> list[str]:
    """What the image runs, up to the name of the program, on this Python."""
    text = (ROOT / "images" / program / "Dockerfile").read_text()
    wrapped = re.search(r"\\nexec (.*) \"\$@\"\\n", text)
    words = shlex.split(wrapped[1]) if wrapped else json.loads(text.partition("ENTRYPOINT ")[2])
    return [sys.executable if word == "python3" else word for word in words]


@contextlib.contextmanager
def as_container(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    paths = os.pathsep.join(str(ROOT / name) for name in ("proxy", "operator"))
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--", *command],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def python_in(process: subprocess.Popen[bytes]) -> int:
    """The first process of the namespace, once it is Python; 0 before."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        if Path(f"/proc/{child}/cmdline").read_bytes().startswith(sys.executable.encode()):
            return int(child)
    return 0


def stopped_at_once(process: subprocess.Popen[bytes]) -> None:
    wait_until(lambda: python_in(process), "Python starts")
    os.kill(python_in(process), signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_proxy_that_is_told_to_stop_while_python_starts_stops(tmp_path: Path) -> None:
    command = [*command_of("proxy"), "--config-dir", str(tmp_path), "--http-port", "0"]
    with as_container(command) as process:
        stopped_at_once(process)


def test_an_operator_that_is_told_to_stop_while_python_starts_stops(silent_cluster: Path) -> None:
    environment = {
        "KUBECONFIG": str(silent_cluster),
        "PROXY_IMAGE": "proxy",
        "POD_NAMESPACE": "system",
        "POD_NAME": "operator-0",
        "HTTP_PORT": "0",
    }
    with as_container(command_of("operator"), **environment) as process:
        stopped_at_once(process)
