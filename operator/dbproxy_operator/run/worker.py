"""The loops that work while this process leads: reconciling what is due, and the resync."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable

from dbproxy_operator.kube import ConflictError, Kube, KubeError
from dbproxy_operator.observe.reading import all_keys
from dbproxy_operator.observe.world import Key
from dbproxy_operator.run.health import Health
from dbproxy_operator.run.metrics import Metrics
from dbproxy_operator.run.queue import Queue

log = logging.getLogger(__name__)

RESYNC_EVERY = 300.0
# However many proxies there are, the resync asks the API server for no more than one of them in
# this time: such a pass reads some 20 objects.
PACE = 2.0

Reconcile = Callable[[Key], Awaitable[float | None]]


async def work(queue: Queue, reconcile: Reconcile, metrics: Metrics, health: Health) -> None:
    """One worker: takes a key, brings it where it should be, for ever."""
    while True:
        key = await queue.next()
        started = time.monotonic()
        fault = await _attempt(key, queue, reconcile)
        metrics.reconcile_seconds.observe(time.monotonic() - started)
        if fault is not None:
            metrics.reconcile_errors.labels(reason=fault).inc()
        health.tick()


async def _attempt(key: Key, queue: Queue, reconcile: Reconcile) -> str | None:
    """Returns in a word what failed; whatever it is, the key comes again."""
    fields: dict[str, object] = {"namespace": key.namespace, "proxy": key.name}
    try:
        again_in = await reconcile(key)
    except ConflictError:
        # Somebody wrote meanwhile: that is what the next pass is for.
        queue.succeeded(key, 0.0)
        return "conflict"
    except KubeError as error:
        rest = queue.failed(key)
        fields.update(status=error.status, reason=error.message, retry_in=rest)
        log.warning("reconcile failed", extra=fields)
        return "api"
    except TimeoutError:
        rest = queue.failed(key)
        log.warning("reconcile failed", extra={**fields, "reason": "timeout", "retry_in": rest})
        return "timeout"
    except Exception:
        rest = queue.failed(key)
        log.exception("reconcile failed", extra={**fields, "retry_in": rest})
        return "bug"
    queue.succeeded(key, again_in)
    return None


async def resync(queue: Queue, kube: Kube, namespaces: Iterable[str], health: Health) -> None:
    """Wakes every proxy now and then, one after the other, in case an event was lost."""
    namespaces = tuple(namespaces)
    keys: list[Key] = []
    while True:
        pause = pace(len(keys))
        for key in keys:
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))
            queue.wake(key)
            health.tick()
        if not keys:
            await asyncio.sleep(RESYNC_EVERY)
        try:
            keys = sorted(await all_keys(kube, namespaces))
            random.shuffle(keys)
        except KubeError as error:
            log.warning("resync failed", extra={"reason": error.message})
        health.tick()


def pace(proxies: int) -> float:
    """Seconds between two of them: all within RESYNC_EVERY, if that is not too fast."""
    return max(PACE, RESYNC_EVERY / max(1, proxies))
