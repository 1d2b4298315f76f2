"""The stub of the native module says what the module has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "proxy"


def test_the_stub_agrees_with_the_binary(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "dbproxy._core"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PACKAGE), "MYPYPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
