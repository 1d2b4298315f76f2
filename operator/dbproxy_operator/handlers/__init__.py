"""Kopf's part: it watches and wakes, nothing else.

Only `on.event`, `login`, `startup` and `cleanup` are used: whatever else Kopf offers adds
finalizers or annotations to the objects. All other kinds are watched by `run.informer`, which costs
less.
"""

from collections.abc import Callable

import kopf

from dbproxy_operator.handlers import endpoints, proxies, target_groups
from dbproxy_operator.handlers.activities import register as register_activities
from dbproxy_operator.handlers.wakes import Wakes
from dbproxy_operator.run.queue import Queue
from dbproxy_operator.run.users import Users

__all__ = ["registry"]


def registry(
    queue: Queue,
    users: Users,
    on_wake: Callable[[str], None],
    on_change: Callable[[bool], None],
) -> kopf.OperatorRegistry:
    """All handlers. They teach `users` who refers to what; `on_change` is told of Kopf's start
    and end.
    """
    made = kopf.OperatorRegistry()
    wakes = Wakes(queue, users, on_wake)
    register_activities(made, on_change)
    for module in (proxies, target_groups, endpoints):
        module.register(made, wakes)
    return made
