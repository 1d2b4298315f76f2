"""The ports of the servers that tests start: two runs at once share none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.servers import free_port

PROGRAM = "from tests.servers import free_port; print(free_port())"


def test_another_runs_process_of_the_same_number_has_other_ports() -> None:
    own = free_port()
    command = [sys.executable, "-c", PROGRAM]
    top = Path(__file__).parents[3]
    done = subprocess.run(
        command, cwd=top, env=os.environ, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) // 1_000 != own // 1_000
