"""Wiring: checks that the operator can work here, waits for its turn, then runs everything."""

import asyncio
import gc
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

import kopf
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from dbproxy_operator import handlers
from dbproxy_operator.act.apply import Performer
from dbproxy_operator.act.memory import Memory
from dbproxy_operator.decide.configuration import Defaults
from dbproxy_operator.desired.certificates import Material
from dbproxy_operator.desired.config import FLEET_SECRET_BYTES
from dbproxy_operator.desired.deployment import PodDefaults
from dbproxy_operator.errors import LeaseLostError, StartupError
from dbproxy_operator.kube import KINDS, Kube, KubeError, connect
from dbproxy_operator.observe.recall import Recall
from dbproxy_operator.observe.world import Key
from dbproxy_operator.reconcile import Reconciler
from dbproxy_operator.run import health, logs, rights, worker
from dbproxy_operator.run.health import Health
from dbproxy_operator.run.informer import KINDS as INFORMED
from dbproxy_operator.run.informer import Informer
from dbproxy_operator.run.lease import Elector, Place, lease_name
from dbproxy_operator.run.metrics import Metrics
from dbproxy_operator.run.queue import Queue
from dbproxy_operator.run.rights import Right
from dbproxy_operator.run.settings import Settings, from_environment, log_level
from dbproxy_operator.run.users import Users
from dbproxy_operator.tell.posting import Teller

log = logging.getLogger("dbproxy_operator")

WORKERS = 16
RETRY_START = 2.0


def main() -> int:
    logs.configure()
    try:
        logs.configure(log_level())
        # A pass makes thousands of objects that live as long as it does, and hardly a cycle.
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        return asyncio.run(run(from_environment()))
    except StartupError as error:
        log.error("cannot start", extra={"reason": str(error)})
        return 1


async def run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # The image starts the program with it held back: one that came before is delivered now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    queue = Queue(time.monotonic)
    metrics = Metrics(lambda: queue.age, lambda: queue.depth)
    alive = Health(time.monotonic)
    kube = await connect()
    kube.on_call = metrics.called
    server = await health.serve(alive, metrics, settings.http_port)
    try:
        place = Place(settings.pod_namespace, lease_name(settings.operator_class))
        lacking: dict[str, list[Right]] = {}
        if not await _unless(stop, _prepare(kube, settings, place, lacking)):
            return 0
        settings = _without(settings, lacking)
        metrics.unserved.set(len(settings.unserved))
        alive.ready = True
        # No pod runs two processes of us at a time: one that follows another that was killed goes
        # on at once, with the Lease of its pod.
        identity = settings.pod_name
        elector = Elector(kube, place, identity, time.monotonic, time.time)
        log.info("waiting for the lease", extra={"identity": identity})
        if not await _unless(stop, elector.acquire()):
            return 0
        log.info("leading", extra={"namespaces": settings.namespaces or "all"})
        alive.lead()
        metrics.leader.set(1)
        return await _lead(settings, kube, elector, queue, metrics, alive, stop)
    finally:
        await server.cleanup()
        await kube.close()


async def _prepare(
    kube: Kube, settings: Settings, place: Place, lacking: dict[str, list[Right]]
) -> None:
    """Waits for the three CRDs, then checks every right; StartupError names what is missing.

    `lacking` is told which namespaces can't be served, and why.
    """
    wanted = {kind.plural for kind in KINDS.values() if kind.group == "dbproxy.dev"}
    told: str | None = None
    while True:
        try:
            missing = wanted - await kube.served_plurals()
            if not missing:
                lacking.update(await rights.check(kube, settings.namespaces, place))
                return
            reason = f"these custom resources are not installed: {', '.join(sorted(missing))}"
        except KubeError as error:
            reason = error.message
        if reason != told:
            log.warning("waiting to start", extra={"reason": reason})
            told = reason
        await asyncio.sleep(RETRY_START)


def _without(settings: Settings, lacking: Mapping[str, Sequence[Right]]) -> Settings:
    for namespace, missing in lacking.items():
        log.error(
            "namespace not served", extra={"namespace": namespace, "missing": rights.told(missing)}
        )
    served = tuple(name for name in settings.namespaces if name not in lacking)
    return replace(settings, namespaces=served, unserved=tuple(lacking))


async def _lead(
    settings: Settings,
    kube: Kube,
    elector: Elector,
    queue: Queue,
    metrics: Metrics,
    alive: Health,
    stop: asyncio.Event,
) -> int:
    recall = Recall(time.monotonic)
    reconciler = Reconciler(
        kube,
        _defaults(settings),
        time.time,
        Performer(kube, Memory(time.monotonic), recall),
        Teller(kube, time.time, settings.pod_name),
        settings.operator_class,
    )
    ours: list[asyncio.Task[Any]] = [
        asyncio.create_task(elector.hold(), name="lease"),
        asyncio.create_task(worker.resync(queue, kube, settings.namespaces, alive), name="resync"),
        *(
            asyncio.create_task(
                worker.work(queue, reconciler, metrics, alive), name=f"worker {number}"
            )
            for number in range(WORKERS)
        ),
    ]
    if settings.unserved:
        # What Kopf watches is fixed at its start: this process ends, and the next serves it too.
        again = rights.regained(kube, settings.unserved)
        ours.append(asyncio.create_task(again, name="rights"))
    users = Users()
    ours += _informers(settings, kube, recall, queue, users, metrics)
    # Kopf takes the signals over, and ends on them and on `stop`, which those before have set; on
    # its end it cancels tasks begun after it.
    watching = asyncio.create_task(_watch(settings, queue, users, metrics, stop), name="kopf")
    done, _ = await asyncio.wait([watching, *ours], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        error = task.exception()
        if isinstance(error, LeaseLostError):
            _end_at_once(str(error))
        if error is not None:
            log.error("ended", extra={"task": task.get_name(), "reason": repr(error)})
        elif task is not watching:
            log.info("starting anew", extra={"namespace": task.result()})
    for task in ours:
        task.cancel()
    await asyncio.gather(*ours, return_exceptions=True)
    if done != {watching} or watching.exception() is not None:
        return 1
    await _release(elector)
    log.info("stopped")
    return 0


def _informers(
    settings: Settings, kube: Kube, recall: Recall, queue: Queue, users: Users, metrics: Metrics
) -> list[asyncio.Task[None]]:
    def wake(kind: str, key: Key) -> None:
        metrics.wakes.labels(source=kind).inc()
        queue.wake(key)

    return [
        asyncio.create_task(
            Informer(kind, users, recall, wake).run(kube, namespace),
            name=f"{kind} {namespace or ''}",
        )
        for kind in INFORMED
        for namespace in settings.namespaces or (None,)
    ]


async def _watch(
    settings: Settings, queue: Queue, users: Users, metrics: Metrics, stop: asyncio.Event
) -> None:
    def on_wake(source: str) -> None:
        metrics.wakes.labels(source=source).inc()

    def on_change(started: bool) -> None:
        log.info("watching" if started else "no longer watching")

    await kopf.operator(
        registry=handlers.registry(queue, users, on_wake, on_change),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        stop_flag=stop,
    )


async def _release(elector: Elector) -> None:
    try:
        await elector.release()
    except KubeError as error:
        log.warning("lease not released", extra={"reason": error.message})


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Whether the work was done before the stop."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return False
    await working
    return True


def _defaults(settings: Settings) -> Callable[[], Defaults]:
    material = Material(lambda: ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number)
    pods = PodDefaults(settings.proxy_image, settings.pod_defaults)
    domain = settings.cluster_domain
    return lambda: Defaults(pods, material, secrets.token_bytes(FLEET_SECRET_BYTES), domain)


def _end_at_once(reason: str) -> None:
    """Another operator may be at work in a moment: not one more write from here."""
    log.error("lease lost", extra={"reason": reason})
    sys.stdout.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
