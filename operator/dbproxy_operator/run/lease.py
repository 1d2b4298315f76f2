"""One operator works at a time: whoever holds the Lease.

Another's Lease counts as expired once it has not changed for its whole duration *by our own
monotonic clock*; clocks of other machines are never compared. The holder stops by itself well
before others may take over: after RENEW_WITHIN without a renewal it must end its process.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass

from dbproxy_operator.errors import LeaseLostError
from dbproxy_operator.kube import ConflictError, Kube, KubeError
from dbproxy_operator.observe.world import Object

log = logging.getLogger(__name__)

_NAME = "dbproxy-operator"
DURATION = 30
RENEW_WITHIN = 20.0
EVERY = 2.0


def lease_name(operator_class: str) -> str:
    """Operators of different classes don't wait for each other."""
    return f"{_NAME}.{operator_class}" if operator_class else _NAME


@dataclass(frozen=True)
class Place:
    """The Lease's namespace and name."""

    namespace: str
    name: str


@dataclass(frozen=True)
class _Seen:
    version: str
    at: float


class Elector:
    def __init__(
        self,
        kube: Kube,
        place: Place,
        identity: str,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._kube = kube
        self._place = place
        self._identity = identity
        self._monotonic = monotonic
        self._wall = wall
        self._seen: _Seen | None = None

    async def acquire(self) -> None:
        """Returns once this process holds the Lease."""
        while True:
            try:
                if await self.try_once():
                    return
            except KubeError as error:
                log.warning("lease not reached", extra={"reason": error.message})
            await asyncio.sleep(EVERY)

    async def hold(self) -> None:
        """Renews for ever; raises LeaseLostError as soon as it can't be sure to hold it."""
        renewed = self._monotonic()
        while True:
            await asyncio.sleep(EVERY)
            left = RENEW_WITHIN - (self._monotonic() - renewed)
            try:
                if left <= 0:
                    raise TimeoutError
                async with asyncio.timeout(left):
                    begun = self._monotonic()
                    if not await self.try_once():
                        raise LeaseLostError("another operator holds the lease")
                    renewed = begun
            except KubeError as error:
                log.warning("lease not renewed", extra={"reason": error.message})
            except TimeoutError:
                raise LeaseLostError("the lease could not be renewed in time") from None

    async def try_once(self) -> bool:
        """Takes or renews the Lease if that is possible now; a renewal may raise ConflictError."""
        lease = await self._kube.get("Lease", self._place.namespace, self._place.name)
        spec = (lease or {}).get("spec") or {}
        transitions = int(spec.get("leaseTransitions") or 0)
        if lease is not None and spec.get("holderIdentity") == self._identity:
            # A conflict says that somebody touched the Lease, not who holds it: read it again.
            await self._kube.update(self._body(lease, transitions, acquired=False))
            return True
        try:
            if lease is None:
                await self._kube.create(self._body({}, transitions=0, acquired=True))
                return True
            if not self._is_free(lease):
                return False
            await self._kube.update(self._body(lease, transitions + 1, acquired=True))
        except ConflictError:
            return False
        return True

    async def release(self) -> None:
        """Lets the next one take over at once; only after all work has ended."""
        lease = await self._kube.get("Lease", self._place.namespace, self._place.name)
        spec = (lease or {}).get("spec") or {}
        if lease is None or spec.get("holderIdentity") != self._identity:
            return
        await self._kube.update({**lease, "spec": {**spec, "holderIdentity": ""}})

    def _is_free(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity"):
            return True
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, self._monotonic())
            return False
        duration = float(spec.get("leaseDurationSeconds") or DURATION)
        return self._monotonic() - self._seen.at >= duration

    def _body(self, lease: Object, transitions: int, *, acquired: bool) -> Object:
        moment = dt.datetime.fromtimestamp(self._wall(), dt.UTC)
        now = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict(lease.get("spec") or {})
        spec["holderIdentity"] = self._identity
        spec["leaseDurationSeconds"] = DURATION
        spec["renewTime"] = now
        spec["leaseTransitions"] = transitions
        if acquired:
            spec["acquireTime"] = now
        metadata = lease.get("metadata") or asdict(self._place)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }
