"""Kopf's part: it watches and wakes, nothing else.

Only `on.event`, `index`, `login`, `startup` and `cleanup` are used: whatever else Kopf offers adds
finalizers or annotations to the objects. Indices only choose what to wake; a relist may leave
vanished objects in them.
"""

from collections.abc import Callable

import kopf

from dbproxy_operator.handlers import children, endpoints, pods, proxies, secrets, target_groups
from dbproxy_operator.handlers.activities import register as register_activities
from dbproxy_operator.handlers.wakes import Wakes
from dbproxy_operator.run.queue import Queue

__all__ = ["registry"]


def registry(
    queue: Queue, on_wake: Callable[[str], None], on_change: Callable[[bool], None]
) -> kopf.OperatorRegistry:
    """All handlers; `on_change` is told when Kopf has started and when it ends."""
    made = kopf.OperatorRegistry()
    wakes = Wakes(queue, on_wake)
    register_activities(made, on_change)
    for module in (proxies, target_groups, endpoints, children, pods, secrets):
        module.register(made, wakes)
    return made
