"""PostgreSQL asked for its health and role, by one standing connection per target.

A missed deadline drops the connection instead of cancelling the query: a cancel would open another
connection, and the target may be one that must not hear from us any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from dbproxy.facts import Login, Probe, ServerFacts
from dbproxy.probe.engines.base import Failure, ProbeSpec, failure_of, split_address, tls_context

CONNECT_DEADLINE = 3.0
QUERY_DEADLINE = 2.0
# The first that exists is used: none of them must.
DATABASES = ("postgres", "template1")

# The WAL file's name begins with the timeline; unlike pg_control_checkpoint() it is of this moment,
# not of the last checkpoint, and open to every role.
ASK = """
SELECT pg_is_in_recovery() AS in_recovery,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int
       + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
       CASE WHEN NOT pg_is_in_recovery()
            THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline,
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END::float8 AS lag
"""

if TYPE_CHECKING:
    # Generic in its type stubs only.
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]


def postgres_failure(error: BaseException) -> Failure:
    """What an error says about a target; PostgreSQL's own errors by their SQLSTATE."""
    if not isinstance(error, asyncpg.PostgresError):
        return failure_of(error)
    message = str(error)
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return Failure("AUTH_FAILURE", decisive=True, message=message)
    if isinstance(error, asyncpg.TooManyConnectionsError):
        # It is full, and that is not being gone.
        return Failure("CONNECTION_FAILED", decisive=False, message=message)
    return Failure("CONNECTION_FAILED", decisive=True, message=message)


class PostgresProbe:
    """Implements `base.TargetProbe`."""

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec
        self._connection: Connection | None = None
        self._address = ""
        self._opening: asyncio.Task[tuple[Connection, str]] | None = None
        self._aborts = 0

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
        return Probe(self._spec.name, "OK", asked_at, took, server=server)

    async def _ask(self, addresses: Sequence[str]) -> ServerFacts:
        aborts = self._aborts
        if self._connection is not None and self._address not in addresses:
            self._drop()
        if self._connection is not None:
            try:
                return await self._query()
            except TimeoutError:
                raise
            except Exception:
                # An old connection that broke says little: whether a new one can be had, counts.
                if self._aborts != aborts:
                    raise
                self._drop()
        await self._open(addresses)
        return await self._query()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def abort(self) -> None:
        self._aborts += 1
        self._drop()
        if self._opening is not None:
            self._opening.cancel()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await _leave(connection)
        self.abort()

    async def try_login(
        self, user: str, passwords: Sequence[str], addresses: Sequence[str]
    ) -> Login:
        refused = Login(user, self._spec.name, ok=False, reason="UNREACHABLE")
        for number, password in enumerate(passwords):
            note = "" if number == 0 else "with the previous password"
            try:
                connection, _ = await self._connect_any(addresses, user, password, DATABASES[0])
            except asyncpg.InvalidAuthorizationSpecificationError as error:
                refused = Login(user, self._spec.name, False, "AUTH_FAILURE", str(error))
            except asyncpg.TooManyConnectionsError as error:
                return Login(user, self._spec.name, False, "TOO_MANY_CONNECTIONS", str(error))
            except (asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError):
                # The password was taken; only that database is not for this user.
                return Login(user, self._spec.name, ok=True, message=note)
            except Exception as error:
                failure = postgres_failure(error)
                return Login(user, self._spec.name, False, failure.reason, failure.message)
            else:
                await _leave(connection)
                return Login(user, self._spec.name, ok=True, message=note)
        return refused

    async def _open(self, addresses: Sequence[str]) -> None:
        self._opening = opening = asyncio.ensure_future(self._enter(addresses))
        try:
            await asyncio.wait({opening})
        except asyncio.CancelledError:
            # Whoever cancels this probe must not leave a connection behind.
            opening.add_done_callback(_discard)
            opening.cancel()
            raise
        finally:
            self._opening = None
        if opening.cancelled():
            raise ConnectionAbortedError("the probe was called off")
        self._connection, self._address = opening.result()

    async def _enter(self, addresses: Sequence[str]) -> tuple[Connection, str]:
        for database in DATABASES:
            try:
                return await self._connect_any(
                    addresses, self._spec.user, self._spec.password, database
                )
            except (asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError):
                if database == DATABASES[-1]:
                    raise
        raise AssertionError("unreachable")

    async def _connect_any(
        self, addresses: Sequence[str], user: str, password: str, database: str
    ) -> tuple[Connection, str]:
        error: BaseException = OSError("it has no address")
        async with asyncio.timeout(CONNECT_DEADLINE):
            for address in addresses:
                try:
                    connection = await self._connect(address, user, password, database)
                except OSError as problem:
                    error = problem
                else:
                    return connection, address
        raise error

    async def _connect(self, address: str, user: str, password: str, database: str) -> Connection:
        host, port = split_address(address)
        spec = self._spec
        ssl: Any = {"DISABLED": False, "PREFERRED": "prefer"}.get(spec.tls_mode)
        if ssl is None:
            ssl = tls_context(spec.tls_mode, spec.ca, spec.host)
        return await asyncpg.connect(
            host=host,
            port=port,
            user=user,
            password=password,
            database=database,
            ssl=ssl,
            timeout=CONNECT_DEADLINE,
            server_settings={"application_name": spec.application_name},
        )

    async def _query(self) -> ServerFacts:
        connection = self._connection
        if connection is None:
            raise ConnectionAbortedError("the probe was called off")
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            connection.terminate()

        deadline = asyncio.get_running_loop().call_later(QUERY_DEADLINE, give_up)
        try:
            row = await connection.fetchrow(ASK)
        except Exception as error:
            raise TimeoutError if late else error from error
        finally:
            deadline.cancel()
        if row is None:
            raise ConnectionError("the server answered without a row")
        return ServerFacts(
            in_recovery=row["in_recovery"],
            max_connections=row["max_connections"],
            reserved_connections=row["reserved"],
            timeline=None if row["timeline"] is None else int(row["timeline"], 16),
            replay_lag=row["lag"],
        )


def _discard(opening: asyncio.Task[tuple[Connection, str]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].terminate()


async def _leave(connection: Connection) -> None:
    try:
        await connection.close(timeout=1)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise
