"""The other pods of the fleet, as the engine is told them: it passes them the cancels of their
clients.

They are those that the settings' host names resolve to, asked again and again. A name that can't
be resolved changes nothing: a pod that is gone doesn't answer, which costs a cancel and no more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from dbproxy.dataplane import Dataplane
from dbproxy.logs import Log
from dbproxy.settings import Config
from dbproxy.tasks import Tasks

# A pod is in the name for some seconds before clients reach it.
RESOLVE_EVERY = 3.0

log = Log(__name__)


@dataclass(frozen=True)
class Fleet:
    """Where its pods are looked for, and by what they know each other."""

    hosts: tuple[str, ...]
    port: int
    secret: str


class Peers:
    """One look-out; `pod_address`: where other pods find this one, None if none can."""

    def __init__(self, pod_address: str | None, tasks: Tasks) -> None:
        self._own = pod_address
        self._tasks = tasks
        self._fleet: Fleet | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, config: Config, dataplane: Dataplane) -> None:
        """From now on by this configuration."""
        peers = config.settings.peers
        if peers is None or self._own is None:
            return
        fleet = Fleet(peers.hosts, peers.port, config.credentials.file.fleet_secret)
        if fleet != self._fleet:
            self._fleet = fleet
            if self._task is not None:
                self._task.cancel()
            self._task = self._tasks.spawn(self._look_out(fleet, self._own, dataplane), "peers")

    async def _look_out(self, fleet: Fleet, own: str, dataplane: Dataplane) -> None:
        met: frozenset[str] | None = None
        while True:
            try:
                others = frozenset(await _addresses(fleet.hosts)) - {own}
            except OSError as error:
                log.warning("peers_unknown", hosts=list(fleet.hosts), error=str(error))
            else:
                if others != met:
                    dataplane.meet(fleet.secret, fleet.port, sorted(others))
                    met = others
                    log.info("peers", addresses=sorted(others))
            await asyncio.sleep(RESOLVE_EVERY)


async def _addresses(hosts: tuple[str, ...]) -> set[str]:
    loop = asyncio.get_running_loop()
    asked = (loop.getaddrinfo(host, None, type=socket.SOCK_STREAM) for host in hosts)
    answers = await asyncio.gather(*asked)
    return {str(ipaddress.ip_address(found[4][0])) for answer in answers for found in answer}
