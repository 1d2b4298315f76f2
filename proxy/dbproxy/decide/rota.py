"""As which users this pod tries to log in: each user falls to one of the pods; pure, owned by the
agent.

The pods know of each other by `status.proxies[]`, and divide the users among them without a word:
a user falls to the pod whose hash together with it is the highest. A pod that comes or goes moves
no other users than its own. While pods don't know of the same ones, some users are tried twice, or
not before the next look (`tell.report`).

A user as whom the engine of this pod was refused is tried here, too, until it is let in.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from dbproxy.facts import Login


class Rota:
    """Who tries whom, as far as this pod knows."""

    def __init__(self, pod: str) -> None:
        self._pod = pod
        self._others: frozenset[str] = frozenset()
        self._mine: dict[str, bool] = {}
        self._doubted: set[str] = set()

    def learn_others(self, pods: frozenset[str]) -> None:
        """The other pods that are at work."""
        if pods != self._others:
            self._others = pods
            self._mine = {}

    def doubt(self, user: str) -> None:
        self._doubted.add(user)

    def learn_logins(self, logins: Iterable[Login]) -> None:
        self._doubted -= {login.user for login in logins if login.ok}

    def tries(self, user: str) -> bool:
        """Whether this pod is to try it."""
        if user not in self._mine:
            own = _weight(self._pod, user)
            self._mine[user] = all(own >= _weight(pod, user) for pod in self._others)
        return self._mine[user] or user in self._doubted


def _weight(pod: str, user: str) -> bytes:
    return blake2b(f"{pod}\0{user}".encode(), digest_size=8).digest()
