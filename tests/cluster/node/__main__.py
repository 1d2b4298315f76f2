"""Command line of the local cluster: `python3 -m tests.cluster.node COMMAND`."""

from __future__ import annotations

import argparse
import sys

from . import console, kind, local, packages

COMMANDS = {
    "up": "start the cluster, or find it running",
    "down": "stop it and clear away what it left, images excepted",
    "status": "say which of its processes run",
    "stop-apiserver": "take the API server away (a fault for tests)",
    "start-apiserver": "and bring it back",
    "inside": "run a command in the node's network, where pods and Services are reachable",
    "require": "name what is missing on this machine for: build, cluster, database",
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
    if arguments.command == "require":
        packages.require(arguments.words)
        return
    if arguments.command == "install":
        packages.install(packages.DATABASE)
        return
    cluster = kind if packages.docker_with_kind() else local
    if arguments.command == "inside":
        sys.exit(cluster.inside(arguments.words))
    actions = {
        "up": cluster.up,
        "down": cluster.down,
        "status": cluster.status,
        "stop-apiserver": cluster.stop_apiserver,
        "start-apiserver": cluster.start_apiserver,
    }
    actions[arguments.command]()


if __name__ == "__main__":
    sys.exit(console.ends_well(main))
