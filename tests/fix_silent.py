"""An API server that never answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def silent_cluster(tmp_path: Path) -> Iterator[Path]:
    """Its kubeconfig."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = {"server": f"http://127.0.0.1:{server.getsockname()[1]}"}
        config = tmp_path / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": where}],
            "users": [{"name": "u", "user": {}}],
        }
        config.write_text(json.dumps(document))
        yield config
