"""PostgreSQL asked for its health and role, by one standing connection per target (`standing`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dbproxy.facts import ServerFacts
from dbproxy.probe.engines.base import Attempt, Failure, ProbeSpec, failure_of
from dbproxy.probe.engines.postgres_session import Entry, MakeLogin, ServerError, Session
from dbproxy.probe.engines.standing import StandingProbe

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


class PostgresProbe(StandingProbe[Session]):
    """Implements `base.TargetProbe`."""

    def __init__(self, spec: ProbeSpec, make_login: MakeLogin) -> None:
        super().__init__(spec)
        self._make_login = make_login

    def _make_session(self) -> Session:
        return Session(self._spec, self._make_login)

    def _failure(self, error: BaseException) -> Failure:
        return postgres_failure(error)

    def _is_full(self, error: BaseException) -> bool:
        return isinstance(error, ServerError) and error.sqlstate == NO_ROOM

    def _took_password(self, error: BaseException) -> bool:
        # Only that database is not for this user.
        return isinstance(error, ServerError) and error.sqlstate in NOT_THAT_DATABASE

    async def _enter(self, addresses: Sequence[str], password: str) -> Session:
        for database in DATABASES[:-1]:
            try:
                return await self._enter_by(addresses, self._monitor(password, database))
            except ServerError as error:
                if error.sqlstate not in NOT_THAT_DATABASE:
                    raise
        return await self._enter_by(addresses, self._monitor(password, DATABASES[-1]))

    def _monitor(self, password: str, database: str) -> Entry:
        # Nothing says by what the monitor logs in.
        return Entry("", self._spec.user, password, database, scram_only=False)

    async def _enter_as(self, addresses: Sequence[str], attempt: Attempt, password: str) -> Session:
        return await self._enter_by(
            addresses, Entry("", attempt.user, password, DATABASES[0], attempt.scram_only)
        )

    async def _enter_by(self, addresses: Sequence[str], entry: Entry) -> Session:
        return await self._open_any(
            addresses, lambda session, address: session.open(replace(entry, address=address))
        )

    async def _query(self, session: Session) -> ServerFacts:
        row = await session.row(ASK)
        try:
            return _facts(row)
        except (KeyError, ValueError) as error:
            raise ConnectionError(
                "the server answered with another row than was asked for"
            ) from error


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
