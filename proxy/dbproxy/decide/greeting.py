"""As what the proxy greets clients in a protocol in which the server speaks first; called by the
planner.

Drivers decide by the version in a greeting what they may ask for, so it is that of a server which
is there: of several the lowest, which whichever of them a client comes to can keep to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dbproxy.facts import ServerFacts

# MariaDB puts it before its own version, for replicas that knew no 10.
DISGUISE = "5.5.5-"


def lowest_version(servers: Iterable[ServerFacts | None]) -> str | None:
    """The lowest of what these servers' own greetings say; None if none has said anything."""
    said = (server.version for server in servers if server is not None)
    return min(filter(None, said), key=_numbers, default=None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.removeprefix(DISGUISE))[:3])
