"""A target asked by one standing connection, whatever its engine: opened again when it is lost,
replaced when new credentials work, dropped at once on an abort.

A missed deadline drops the connection instead of cancelling the query: a cancel would open another
connection, and the target may be one that must not hear from us any more.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from dbproxy.facts import Login, Probe, ServerFacts
from dbproxy.probe.engines.base import Attempt, Failure, ProbeSpec

CONNECT_DEADLINE = 3.0
QUERY_DEADLINE = 2.0
# Between two tries of new credentials while the connection by the former ones stands.
RENEW_AGAIN = 10.0


class Session(Protocol):
    """What there is of an engine's session here."""

    address: str

    def abort(self) -> None: ...
    async def leave(self) -> None: ...


S = TypeVar("S", bound=Session)
# Logs a session in at an address.
OpenAt = Callable[[S, str], Awaitable[None]]


class StandingProbe(ABC, Generic[S]):
    """Implements `base.TargetProbe`; an engine says how it enters, asks, and reads errors."""

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec
        self._standing: S | None = None
        # Whatever has a socket, log-in trials too: an abort ends them all.
        self._sessions: set[S] = set()
        self._aborts = 0
        # Besides the standing connection there is one more at a time (planner.PROBES_PER_POD).
        self._second = asyncio.Lock()
        self._renew_at: float | None = None
        self._note = ""

    # --- what an engine says ------------------------------------------------------------------

    @abstractmethod
    def _make_session(self) -> S:
        """A session that is not opened yet."""

    @abstractmethod
    async def _enter(self, addresses: Sequence[str], password: str) -> S:
        """A session of the monitor's."""

    @abstractmethod
    async def _enter_as(self, addresses: Sequence[str], attempt: Attempt, password: str) -> S:
        """A session of the user to be tried."""

    @abstractmethod
    async def _query(self, session: S) -> ServerFacts:
        """What the server says of itself."""

    @abstractmethod
    def _failure(self, error: BaseException) -> Failure:
        """What an error says about the target."""

    @abstractmethod
    def _is_full(self, error: BaseException) -> bool:
        """Whether the server has no connection left for us."""

    def _took_password(self, error: BaseException) -> bool:
        """Whether the user is known to the server by this password, though it can't enter here."""
        return False

    # --- what is called -----------------------------------------------------------------------

    async def ask(self, addresses: Sequence[str]) -> Probe:
        asked_at = asyncio.get_running_loop().time()
        began = time.perf_counter()
        try:
            server = await self._ask(addresses)
        except Exception as error:
            failure = self._failure(error)
            self._drop()
            return Probe(
                target=self._spec.name,
                state="LOCAL" if failure.local else "FAILED",
                asked_at=asked_at,
                took=time.perf_counter() - began,
                reason=failure.reason,
                decisive=failure.decisive,
                message=failure.message,
            )
        took = time.perf_counter() - began
        return Probe(self._spec.name, "OK", asked_at, took, server=server, message=self._note)

    def renew(self, spec: ProbeSpec) -> None:
        self._spec = spec
        if self._standing is not None:
            self._renew_at = asyncio.get_running_loop().time()

    def abort(self) -> None:
        self._aborts += 1
        self._standing = None
        for session in list(self._sessions):
            session.abort()

    async def close(self) -> None:
        session, self._standing = self._standing, None
        if session is not None:
            await self._leave(session)
        self.abort()

    async def try_login(self, attempt: Attempt, addresses: Sequence[str]) -> Login:
        async with self._second:
            return await self._try_login(attempt, addresses)

    # --- inside -------------------------------------------------------------------------------

    async def _try_login(self, attempt: Attempt, addresses: Sequence[str]) -> Login:
        user, target = attempt.user, self._spec.name
        refused = Login(user, target, ok=False, reason="UNREACHABLE")
        for number, password in enumerate(attempt.passwords):
            note = "" if number == 0 else "with the previous password"
            try:
                session = await self._enter_as(addresses, attempt, password)
            except Exception as error:
                if self._took_password(error):
                    return Login(user, target, ok=True, message=note)
                if self._is_full(error):
                    return Login(user, target, False, "TOO_MANY_CONNECTIONS", str(error))
                failure = self._failure(error)
                refused = Login(user, target, False, failure.reason, failure.message)
                if failure.reason != "AUTH_FAILURE":
                    return refused
            else:
                await self._leave(session)
                return Login(user, target, ok=True, message=note)
        return refused

    async def _ask(self, addresses: Sequence[str]) -> ServerFacts:
        aborts = self._aborts
        if self._standing is not None and self._standing.address not in addresses:
            self._drop()
        if self._standing is not None:
            try:
                facts = await self._query_in_time(self._standing)
                await self._try_renewal(self._standing, addresses)
                return facts
            except TimeoutError:
                raise
            except Exception:
                # An old connection that broke says little: whether a new one can be had, counts.
                if self._aborts != aborts:
                    raise
                self._drop()
        self._standing = await self._enter_by_any(addresses)
        return await self._query_in_time(self._standing)

    async def _query_in_time(self, session: S) -> ServerFacts:
        async with asyncio.timeout(QUERY_DEADLINE):
            return await self._query(session)

    async def _try_renewal(self, standing: S, addresses: Sequence[str]) -> None:
        """Replace the connection that stands if the newest password works."""
        now = asyncio.get_running_loop().time()
        if self._renew_at is None or now < self._renew_at or self._second.locked():
            return
        aborts = self._aborts
        async with self._second:
            try:
                session = await self._enter(addresses, self._spec.passwords[0])
            except Exception as error:
                if self._aborts != aborts:
                    raise
                self._renew_at = now + RENEW_AGAIN
                self._note = f"the monitor's new password does not work: {error}"
                return
        self._standing, self._renew_at, self._note = session, None, ""
        await self._leave(standing)

    async def _enter_by_any(self, addresses: Sequence[str]) -> S:
        """By the newest password that works."""
        self._renew_at, self._note = None, ""
        refused: Exception | None = None
        for password in self._spec.passwords:
            try:
                session = await self._enter(addresses, password)
            except Exception as error:
                if self._failure(error).reason != "AUTH_FAILURE":
                    raise
                refused = refused or error
                continue
            if refused is not None:
                self._renew_at = asyncio.get_running_loop().time() + RENEW_AGAIN
                self._note = f"the monitor's new password does not work: {refused}"
            return session
        raise refused or ValueError("the monitor has no password")

    async def _open_any(self, addresses: Sequence[str], open_at: OpenAt[S]) -> S:
        """At the first address that answers; a silent one leaves time for those behind it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + CONNECT_DEADLINE
        aborts = self._aborts
        error: Exception = OSError("it has no address")
        for number, address in enumerate(addresses):
            share = (until - loop.time()) / (len(addresses) - number)
            try:
                async with asyncio.timeout(share):
                    return await self._open(address, open_at)
            except OSError as problem:
                if self._aborts != aborts:
                    raise
                error = problem
        raise error

    async def _open(self, address: str, open_at: OpenAt[S]) -> S:
        session = self._make_session()
        self._sessions.add(session)
        try:
            await open_at(session, address)
        except BaseException:
            self._sessions.discard(session)
            raise
        return session

    def _drop(self) -> None:
        session, self._standing = self._standing, None
        if session is not None:
            self._sessions.discard(session)
            session.abort()

    async def _leave(self, session: S) -> None:
        try:
            await session.leave()
        finally:
            self._sessions.discard(session)
