"""`dbproxy`: parses arguments, starts the tasks, and leaves in good order when told to.

It decides nothing: what is served, `planner` says; how the pod leaves, `leaving` does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from dbproxy import __version__, logs
from dbproxy.errors import ConfigError, KubeError
from dbproxy.settings import load_directory

MAX_CLIENTS = 20_000
CHECK_FAILED = 2

log = logs.Log("dbproxy")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dbproxy", description="A database proxy's pod.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--config-dir", type=Path, required=True, help="settings.json, credentials.json, tls.*"
    )
    parser.add_argument(
        "--check", action="store_true", help="say what is wrong with the configuration and exit"
    )
    parser.add_argument(
        "--kubernetes", action="store_true", help="watch and report through the API server"
    )
    parser.add_argument(
        "--election-dir", type=Path, help="development: the election ConfigMap's keys as files"
    )
    parser.add_argument("--http-port", type=int, default=8080, help="probes and metrics; 0: none")
    parser.add_argument(
        "--listen-address", default="::", help="for clients and probes; `::` is IPv4 and IPv6"
    )
    parser.add_argument(
        "--workers",
        type=positive,
        help="threads that serve clients; by default one for each CPU but one, and no more than a"
        " quarter of a target's connections",
    )
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING"])
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def check(directory: Path) -> int:
    """Print every fault on a line of its own."""
    try:
        load_directory(directory)
    except ConfigError as error:
        for fault in error.faults:
            print(fault)
        return CHECK_FAILED
    return 0


def raise_descriptor_limit() -> int:
    """Take all descriptors that we may have; says how many clients fit into them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return MAX_CLIENTS
    return max(16, min(MAX_CLIENTS, hard - max(256, hard // 4)))


async def serve(arguments: argparse.Namespace) -> int:
    """Run until told to leave, or until something breaks that must not."""
    # Imported here: `--check` answers without them.
    from dbproxy.dataplane import start_engine
    from dbproxy.run.agent import Agent
    from dbproxy.run.leaving import Leaving
    from dbproxy.run.options import Options
    from dbproxy.tasks import Tasks
    from dbproxy.tell.health import Health
    from dbproxy.tell.health import serve as serve_http

    kube = None
    if arguments.kubernetes:
        from dbproxy.kube import Kube, in_cluster

        kube = Kube(in_cluster())
    tasks = Tasks()
    health = Health()
    options = Options(
        config_dir=arguments.config_dir,
        election_dir=arguments.election_dir,
        listen_address=arguments.listen_address,
        max_clients=raise_descriptor_limit(),
        workers=arguments.workers,
        pod=os.environ.get("POD_NAME", "local"),
        pod_address=os.environ.get("DBPROXY_POD_IP") or None,
        kube=kube,
        start_engine=start_engine,
    )
    agent = Agent(options, health, tasks)
    leaving = Leaving(agent, health, in_kubernetes=arguments.kubernetes)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.told)
    # The image starts the program with it held back: one that came before is delivered now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    http = None
    if arguments.http_port:
        address, port = arguments.listen_address, arguments.http_port
        http = await serve_http(health, agent.metrics.render, address, port)
    tasks.spawn(agent.run(), "agent")
    log.info("started", version=__version__, kubernetes=arguments.kubernetes)
    crash = await leaving.done(tasks)
    await tasks.close()
    if http is not None:
        await http.cleanup()
    if kube is not None:
        await kube.close()
    if crash is not None:
        log.error("crashed", error=repr(crash))
        return 1
    log.info("stopped")
    return 0


def main() -> int:
    arguments = parse_arguments()
    if arguments.check:
        return check(arguments.config_dir)
    logs.configure(arguments.log_level)
    try:
        return asyncio.run(serve(arguments))
    except (OSError, KubeError) as error:
        log.error("start_failed", error=str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
