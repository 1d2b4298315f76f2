"""Command line of the local cluster: `python3 -m tests.cluster.node COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from . import (
    binaries,
    console,
    databases,
    images,
    kind,
    local,
    mysql,
    mysql_versions,
    packages,
    paths,
    peers,
    python,
)

COMMANDS = {
    "up": "start the cluster, or find it running",
    "down": "stop it and clear away what it left, images excepted",
    "binaries": "build kubectl, helm and the node's components",
    "images": "build what changed and put it into the cluster (all, or those named)",
    "venv": "make the Python environment for tests and lint",
    "core": "build the engine and link it into proxy/dbproxy",
    "peers": "fetch a PgBouncer that knows prepared statements, where that can be had",
    "databases": "fetch PostgreSQL servers of other majors (all, or those named)",
    "mysql": "fetch the servers of MySQL and MariaDB (and those of other versions that are named)",
    "status": "say which of its processes run",
    "stop-apiserver": "take the API server away (a fault for tests)",
    "start-apiserver": "and bring it back",
    "inside": "run a command in the node's network, where pods and Services are reachable",
    "require": "name what this machine lacks for: build, images, cluster, database",
    "install": "install the Debian packages that tests need, where allowed",
}


def main() -> None:
    lines = "\n".join(f"  {name:18}{text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.cluster.node",
        description=f"A Kubernetes on this machine.\n\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    cluster = kind if packages.docker_with_kind() else local
    words = arguments.words
    changes: dict[str, Callable[[], None]] = {
        "up": cluster.up,
        "down": cluster.down,
        "binaries": binaries.ensure,
        "images": lambda: images.make(words),
        "venv": python.venv,
        "core": python.core,
        "peers": peers.ensure,
        "databases": lambda: databases.ensure(words),
        "mysql": lambda: fetch_mysql(words),
        "install": lambda: packages.install(packages.TESTS),
    }
    if arguments.command in changes:
        with console.alone(paths.CACHE / "lock"):
            changes[arguments.command]()
        return
    others: dict[str, Callable[[], None]] = {
        "status": cluster.status,
        "stop-apiserver": cluster.stop_apiserver,
        "start-apiserver": cluster.start_apiserver,
        "inside": lambda: sys.exit(cluster.inside(words)),
        "require": lambda: packages.require(words),
    }
    others[arguments.command]()


def fetch_mysql(versions: list[str]) -> None:
    mysql.ensure()
    mysql_versions.ensure(versions)


if __name__ == "__main__":
    sys.exit(console.ends_well(main))
