"""MySQL and MariaDB asked for their health and role, by one standing connection per target.

The writer is the target that is not read-only. There is no timeline that could tell which of two
writable targets is the later one: between them only an election chooses. What the monitor may not
see is said in the probe's message, and not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dbproxy.facts import Probe, ServerFacts
from dbproxy.probe.engines.base import Attempt, Failure, ProbeSpec, failure_of
from dbproxy.probe.engines.mysql_session import Entry, ServerError, Session
from dbproxy.probe.engines.standing import StandingProbe

# Numbers of errors (MySQL's and MariaDB's lists of error messages).
FULL = (1040, 1203, 1226)
# Wrong password or host, no such plugin, password expired, account locked (MySQL's, MariaDB's).
NOT_AUTHORIZED = (1045, 1130, 1251, 1698, 1820, 1862, 3118, 3955, 4151)
# Of a database, a table, a column, a command.
MAY_NOT = (1044, 1142, 1143, 1227)
# In this version: no such command, no such table.
NOT_HERE = (1064, 1146)
# Of connections (both servers take 100,000 at most).
LARGEST = 2**31 - 1
# Group Replication has channels of its own, which are not what its members' state depends on.
GROUP_CHANNELS = "group_replication_"

# `defaults` stands for what a session begins with now: the variables that it inherits, without
# those that move with every transaction or with the role.
ASK_MYSQL = """
SELECT @@global.read_only AS read_only, @@global.super_read_only AS super_read_only,
       @@global.innodb_read_only AS innodb_read_only,
       @@global.max_connections AS max_connections,
       @@server_uuid AS server, @@global.gtid_executed AS gtid,
       (SELECT max(variable_value) FROM performance_schema.global_variables
        WHERE variable_name = 'group_replication_group_name') AS group_name,
       (SELECT sum(crc32(concat(variable_name, '=', variable_value)))
        FROM performance_schema.global_variables
        WHERE variable_name NOT LIKE 'gtid%' AND variable_name NOT LIKE '%read_only') AS defaults
"""
ASK_MARIADB = """
SELECT @@global.read_only AS read_only, @@global.innodb_read_only AS innodb_read_only,
       @@global.max_connections AS max_connections,
       @@server_id AS server, @@global.gtid_current_pos AS gtid,
       (SELECT sum(crc32(concat(variable_name, '=', global_value)))
        FROM information_schema.system_variables
        WHERE variable_scope = 'SESSION' OR variable_name = 'init_connect') AS defaults
"""
# Who may log in under which name, as far as the monitor may see it.
ACCOUNTS_MYSQL = """
SELECT sum(crc32(concat_ws(' ', user, host, account_locked, password_expired, ssl_type,
                           max_user_connections))) AS accounts FROM mysql.user
"""
ACCOUNTS_MARIADB = """
SELECT sum(crc32(concat_ws(' ', user, host, password_expired, ssl_type, max_user_connections)))
       AS accounts FROM mysql.user
"""
# Of all channels. MySQL calls it REPLICA since 8.0.22, and since 8.4 only so.
REPLICATION_MYSQL = ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
REPLICATION_MARIADB = ("SHOW ALL SLAVES STATUS",)
GROUP = """
SELECT * FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid
"""

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Replication:
    """What a server says of the channels by which it follows others: `fault` where a thread has
    stopped, `lag` where both run and are connected."""

    lag: float | None = None
    fault: str = ""
    note: str = ""


def mysql_failure(error: BaseException) -> Failure:
    """What an error says about a target; the servers' own errors by their number."""
    if not isinstance(error, ServerError):
        return failure_of(error)
    if error.number in NOT_AUTHORIZED:
        return Failure("AUTH_FAILURE", decisive=True, message=str(error))
    # A server that is full is not gone.
    return Failure("CONNECTION_FAILED", decisive=error.number not in FULL, message=str(error))


class MySQLProbe(StandingProbe[Session]):
    """Implements `base.TargetProbe`."""

    def __init__(self, spec: ProbeSpec) -> None:
        super().__init__(spec)
        self._unseen: list[str] = []

    async def ask(self, addresses: Sequence[str]) -> Probe:
        probe = await super().ask(addresses)
        if probe.server is None:
            return probe
        if probe.server.replication_fault:
            # It answers, and what is read there is as old as the fault, or never was anywhere else.
            return replace(
                probe,
                state="FAILED",
                reason="INVALID_REPLICATION_STATE",
                decisive=True,
                message=probe.server.replication_fault,
            )
        return replace(probe, message="; ".join(filter(None, (probe.message, *self._unseen))))

    def _make_session(self) -> Session:
        return Session(self._spec)

    async def _enter(self, addresses: Sequence[str], password: str) -> Session:
        return await self._enter_by(addresses, self._spec.user, password)

    async def _enter_as(self, addresses: Sequence[str], attempt: Attempt, password: str) -> Session:
        # By which plugin, is the account's to say: `scram_only` is PostgreSQL's.
        return await self._enter_by(addresses, attempt.user, password)

    async def _enter_by(self, addresses: Sequence[str], user: str, password: str) -> Session:
        return await self._open_any(
            addresses, lambda session, address: session.open(Entry(address, user, password))
        )

    def _failure(self, error: BaseException) -> Failure:
        return mysql_failure(error)

    def _is_full(self, error: BaseException) -> bool:
        return isinstance(error, ServerError) and error.number in FULL

    async def _query(self, session: Session) -> ServerFacts:
        self._unseen = []
        row = await session.row(ASK_MARIADB if session.is_mariadb else ASK_MYSQL)
        accounts = await self._accounts(session)
        channels = await self._channels(session)
        member = await self._member(session, row.get("group_name"))
        try:
            facts = replace(_facts(row, accounts), version=session.version)
            following = _replication(channels)
            if member is not None:
                return _of_member(facts, member)
        except (KeyError, ValueError) as error:
            raise ConnectionError(
                "the server answered with another row than was asked for"
            ) from error
        if not facts.in_recovery:
            # What is left of its time as a replica says nothing about a writer.
            return facts
        if following.note:
            self._unseen.append(following.note)
        return replace(facts, replay_lag=following.lag, replication_fault=following.fault)

    async def _accounts(self, session: Session) -> str:
        query = ACCOUNTS_MARIADB if session.is_mariadb else ACCOUNTS_MYSQL
        rows = await self._if_seen(session, query)
        return "" if not rows else rows[0].get("accounts") or ""

    async def _channels(self, session: Session) -> list[dict[str, str | None]]:
        for query in REPLICATION_MARIADB if session.is_mariadb else REPLICATION_MYSQL:
            try:
                return await session.rows(query)
            except ServerError as error:
                if error.number in MAY_NOT:
                    grant = "SLAVE MONITOR" if session.is_mariadb else "REPLICATION CLIENT"
                    self._unseen.append(f"the monitor may not see replication: grant it {grant}")
                    return []
                if error.number not in NOT_HERE:
                    raise
        return []

    async def _member(self, session: Session, group: str | None) -> Row | None:
        """The server's own row of its group; None: it is in no group, or that is hidden from us."""
        if not group:
            return None
        rows = await self._if_seen(session, GROUP)
        if rows is None:
            table = "performance_schema.replication_group_members"
            self._unseen.append(f"the monitor may not see the group: grant it SELECT on {table}")
            return None
        return rows[0] if rows else {"member_state": "OFFLINE"}

    async def _if_seen(self, session: Session, query: str) -> list[dict[str, str | None]] | None:
        try:
            return await session.rows(query)
        except ServerError as error:
            if error.number not in (*MAY_NOT, *NOT_HERE):
                raise
            return None


def _facts(row: Row, accounts: str) -> ServerFacts:
    most = int(row["max_connections"] or "")
    if not 0 <= most <= LARGEST:
        raise ValueError(f"{most} connections")
    switches = ("read_only", "innodb_read_only", "super_read_only")
    return ServerFacts(
        in_recovery=any(_on(row[name]) for name in switches if name in row),
        max_connections=most,
        # One more than it says is kept for administrators.
        reserved_connections=0,
        defaults=f"{row['defaults']}:{accounts}",
        server_id=row["server"] or "",
        gtid=(row["gtid"] or "").replace("\n", ""),
    )


def _on(value: str | None) -> bool:
    if value is None:
        raise ValueError("a switch without a value")
    return value.upper() not in ("0", "OFF", "NO")


def _replication(channels: Sequence[Row]) -> Replication:
    """From the status of all channels, under MySQL's new names, its old ones or MariaDB's."""
    lags: list[float | None] = []
    note = ""
    for row in channels:
        name = row.get("channel_name") or row.get("connection_name") or ""
        if name.startswith(GROUP_CHANNELS):
            continue
        told = f"its replication{f' by channel {name}' if name else ''}"
        for thread in ("io", "sql"):
            if _named(row, f"replica_{thread}_running", f"slave_{thread}_running") == "No":
                # By number only: the text may quote the statement that failed.
                number = row.get(f"last_{thread}_errno") or "0"
                why = f"error {number}" if number != "0" else "nobody started it again"
                return Replication(fault=f"{told} has stopped ({thread} thread: {why})")
        lag = _named(row, "seconds_behind_source", "seconds_behind_master")
        lags.append(None if lag is None else float(lag))
        if lag is None:
            note = f"{told} is not connected (error {row.get('last_io_errno') or '0'})"
    known = [lag for lag in lags if lag is not None]
    if not lags:
        return Replication(note="it is read-only, and replicates from nobody that the monitor sees")
    return Replication(max(known) if len(known) == len(lags) else None, note=note)


def _named(row: Row, new: str, old: str) -> str | None:
    return row[new] if new in row else row[old]


def _of_member(facts: ServerFacts, member: Row) -> ServerFacts:
    """A member of a group: its state is what counts, and its role where it is told (since 8.0)."""
    state = member["member_state"] or ""
    fault = "" if state == "ONLINE" else f"in its replication group it is {state}"
    secondary = member.get("member_role") == "SECONDARY"
    return replace(facts, in_recovery=facts.in_recovery or secondary, replication_fault=fault)
