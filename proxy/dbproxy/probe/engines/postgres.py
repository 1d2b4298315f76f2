"""PostgreSQL asked for its health and role, by one standing connection per target.

A missed deadline drops the connection instead of cancelling the query: a cancel would open another
connection, and the target may be one that must not hear from us any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dbproxy.facts import Login, Probe, ServerFacts
from dbproxy.probe.engines.base import Attempt, Failure, ProbeSpec, failure_of
from dbproxy.probe.engines.postgres_session import Entry, MakeLogin, ServerError, Session

CONNECT_DEADLINE = 3.0
QUERY_DEADLINE = 2.0
# Between two tries of new credentials while the connection by the former ones stands.
RENEW_AGAIN = 10.0
# The first that exists is used: none of them must.
DATABASES = ("postgres", "template1")
# SQLSTATEs (PostgreSQL, appendix A).
NO_ROOM = "53300"
NOT_THAT_DATABASE = ("3D000", "42501")
NOT_AUTHORIZED = "28"
# Of connections; PostgreSQL itself has less (MAX_BACKENDS in postmaster.h).
LARGEST = 2**31 - 1

# The WAL file's name begins with the timeline; unlike pg_control_checkpoint() it is of this moment,
# not of the last checkpoint, and open to every role. `defaults` stands for what a session begins
# with now: the settings of roles and databases, and who may log in under which name.
ASK = """
SELECT pg_is_in_recovery() AS in_recovery,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int
       + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
       CASE WHEN NOT pg_is_in_recovery()
            THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline,
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END::float8 AS lag,
       (SELECT coalesce(sum(hashtext(setting::text)), 0) FROM pg_db_role_setting AS setting)::text
       || ':' ||
       (SELECT coalesce(sum(hashtext(format('%s %s %s', oid, rolname, rolvaliduntil))), 0)
        FROM pg_roles WHERE rolcanlogin)::text AS defaults
"""


def postgres_failure(error: BaseException) -> Failure:
    """What an error says about a target; PostgreSQL's own errors by their SQLSTATE."""
    if not isinstance(error, ServerError):
        return failure_of(error)
    message = str(error)
    if error.sqlstate.startswith(NOT_AUTHORIZED):
        return Failure("AUTH_FAILURE", decisive=True, message=message)
    # A server that is full is not gone.
    return Failure("CONNECTION_FAILED", decisive=error.sqlstate != NO_ROOM, message=message)


class PostgresProbe:
    """Implements `base.TargetProbe`."""

    def __init__(self, spec: ProbeSpec, make_login: MakeLogin) -> None:
        self._spec = spec
        self._make_login = make_login
        self._standing: Session | None = None
        # Whatever has a socket, log-in trials too: an abort ends them all.
        self._sessions: set[Session] = set()
        self._aborts = 0
        # Besides the standing connection there is one more at a time (planner.PROBES_PER_POD).
        self._second = asyncio.Lock()
        self._renew_at: float | None = None
        self._note = ""

    async def ask(self, addresses: Sequence[str]) -> Probe:
        asked_at = asyncio.get_running_loop().time()
        began = time.perf_counter()
        try:
            server = await self._ask(addresses)
        except Exception as error:
            failure = postgres_failure(error)
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

    async def _try_login(self, attempt: Attempt, addresses: Sequence[str]) -> Login:
        user = attempt.user
        refused = Login(user, self._spec.name, ok=False, reason="UNREACHABLE")
        for number, password in enumerate(attempt.passwords):
            note = "" if number == 0 else "with the previous password"
            try:
                session = await self._open_any(
                    addresses, Entry("", user, password, DATABASES[0], attempt.scram_only)
                )
            except Exception as error:
                if isinstance(error, ServerError) and error.sqlstate in NOT_THAT_DATABASE:
                    # The password was taken; only that database is not for this user.
                    return Login(user, self._spec.name, ok=True, message=note)
                if isinstance(error, ServerError) and error.sqlstate == NO_ROOM:
                    return Login(user, self._spec.name, False, "TOO_MANY_CONNECTIONS", str(error))
                failure = postgres_failure(error)
                refused = Login(user, self._spec.name, False, failure.reason, failure.message)
                if failure.reason != "AUTH_FAILURE":
                    return refused
            else:
                await self._leave(session)
                return Login(user, self._spec.name, ok=True, message=note)
        return refused

    async def _ask(self, addresses: Sequence[str]) -> ServerFacts:
        aborts = self._aborts
        if self._standing is not None and self._standing.address not in addresses:
            self._drop()
        if self._standing is not None:
            try:
                facts = await self._query(self._standing)
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
        return await self._query(self._standing)

    async def _try_renewal(self, standing: Session, addresses: Sequence[str]) -> None:
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

    async def _enter_by_any(self, addresses: Sequence[str]) -> Session:
        """By the newest password that works."""
        self._renew_at, self._note = None, ""
        newest, *older = self._spec.passwords
        try:
            return await self._enter(addresses, newest)
        except ServerError as error:
            if not error.sqlstate.startswith(NOT_AUTHORIZED):
                raise
            refused = error
        for password in older:
            try:
                session = await self._enter(addresses, password)
            except ServerError as error:
                if not error.sqlstate.startswith(NOT_AUTHORIZED):
                    raise
            else:
                self._renew_at = asyncio.get_running_loop().time() + RENEW_AGAIN
                self._note = f"the monitor's new password does not work: {refused}"
                return session
        raise refused

    async def _query(self, session: Session) -> ServerFacts:
        async with asyncio.timeout(QUERY_DEADLINE):
            row = await session.row(ASK)
        try:
            return _facts(row)
        except (KeyError, ValueError) as error:
            raise ConnectionError(
                "the server answered with another row than was asked for"
            ) from error

    def _monitor(self, password: str, database: str) -> Entry:
        # Nothing says by what the monitor logs in.
        return Entry("", self._spec.user, password, database, scram_only=False)

    async def _enter(self, addresses: Sequence[str], password: str) -> Session:
        for database in DATABASES[:-1]:
            try:
                return await self._open_any(addresses, self._monitor(password, database))
            except ServerError as error:
                if error.sqlstate not in NOT_THAT_DATABASE:
                    raise
        return await self._open_any(addresses, self._monitor(password, DATABASES[-1]))

    async def _open_any(self, addresses: Sequence[str], entry: Entry) -> Session:
        """At the first address that answers; a silent one leaves time for those behind it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + CONNECT_DEADLINE
        aborts = self._aborts
        error: Exception = OSError("it has no address")
        for number, address in enumerate(addresses):
            share = (until - loop.time()) / (len(addresses) - number)
            try:
                async with asyncio.timeout(share):
                    return await self._open(replace(entry, address=address))
            except OSError as problem:
                if self._aborts != aborts:
                    raise
                error = problem
        raise error

    async def _open(self, entry: Entry) -> Session:
        session = Session(self._spec, self._make_login)
        self._sessions.add(session)
        try:
            await session.open(entry)
        except BaseException:
            self._sessions.discard(session)
            raise
        return session

    def _drop(self) -> None:
        session, self._standing = self._standing, None
        if session is not None:
            self._sessions.discard(session)
            session.abort()

    async def _leave(self, session: Session) -> None:
        try:
            await session.leave()
        finally:
            self._sessions.discard(session)


def _facts(row: Mapping[str, str | None]) -> ServerFacts:
    timeline, lag = row["timeline"], row["lag"]
    most, reserved = int(row["max_connections"] or ""), int(row["reserved"] or "")
    if not 0 <= reserved <= most <= LARGEST:
        raise ValueError(f"{reserved} of {most} connections are reserved")
    return ServerFacts(
        in_recovery=row["in_recovery"] == "t",
        max_connections=most,
        reserved_connections=reserved,
        timeline=None if timeline is None else int(timeline, 16),
        replay_lag=None if lag is None else float(lag),
        defaults=row["defaults"] or "",
    )
