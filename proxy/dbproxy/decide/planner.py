"""Facts in, the data plane's Snapshot and this pod's report out; pure, and time is an argument.

The agent calls `learn_*` for each fact as it arrives and then `plan`, which may be called at any
time and says when it wants to be called again. Who the writer is, `writer.py` decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from dbproxy.decide.budget import largest_divisor, share
from dbproxy.decide.claim import Claim
from dbproxy.decide.greeting import lowest_version
from dbproxy.decide.lateness import lateness
from dbproxy.decide.limits import limits, rules
from dbproxy.decide.plan import HealthState, Plan, TargetHealth, WriterReport
from dbproxy.decide.snapshot import (
    Snapshot,
    SnapshotListener,
    SnapshotServerTls,
    SnapshotTarget,
    SnapshotTls,
    SnapshotUser,
    SnapshotWriter,
    TargetRole,
)
from dbproxy.decide.terms import Term
from dbproxy.decide.writer import Ballot, Fencing, Verdict, Writer
from dbproxy.facts import Addresses, Drained, Election, HealthReason, Login, Probe
from dbproxy.families import method_of
from dbproxy.probe.views import View
from dbproxy.settings import CONFIRMATION_TIMEOUT, Config, TargetGroup


class Planner:
    """All that is known, and what follows from it."""

    def __init__(self, max_clients: int, *, alone: bool = True) -> None:
        """`alone`: no other pod shares the connections, as outside of Kubernetes."""
        self.writer = Writer()
        self.claim = Claim(alone=alone)
        self.config: Config | None = None
        self._max_clients = max_clients
        self._views: dict[str, View] = {}
        self._election: Election | None = None
        self._election_read_at = float("-inf")
        self._logins: dict[str, Login] = {}
        self._places = count(1)
        self._part = 0

    def admits(self, config: Config) -> bool:
        """Whether the pod may begin with it: not without a part of the connections."""
        self.claim.wants(config.settings.budget_divisor)
        begun = self.config is not None and self.config.settings.target_group is not None
        return begun or config.settings.target_group is None or self.claim.in_force is not None

    def learn_config(self, config: Config) -> None:
        """A complete pair of settings and credentials, newer than the last."""
        group = config.settings.target_group
        self.claim.wants(config.settings.budget_divisor)
        if group is None:
            self.claim.gives_up()
        before = None if self.config is None else self.config.settings.target_group
        places = {} if before is None else {t.name: (t.host, t.port) for t in before.targets}
        self.config = config
        views = {}
        for target in group.targets if group else ():
            same = places.get(target.name) == (target.host, target.port)
            known = self._views.get(target.name) if same else None
            views[target.name] = known or View(target.name, next(self._places))
        self._views = views
        if election_name(group) != election_name(before):
            self._election = None

    def learn_election(self, election: Election) -> None:
        """The election ConfigMap; while it can't be read, what it said last still counts."""
        last = self._election
        if election.state == "UNREACHABLE" and last is not None and last.state == "FOUND":
            return
        self._election = election

    def learn_election_read(self, at: float) -> None:
        """When the election was known to be as it was told last (monotonic)."""
        self._election_read_at = at

    def learn_probe(self, probe: Probe) -> None:
        view = self._views.get(probe.target)
        if view is not None and probe.target not in self.writer.terms.suspended:
            self._views[probe.target] = view.fold(probe)

    def learn_addresses(self, fact: Addresses) -> None:
        view = self._views.get(fact.target)
        if view is None or not fact.addresses:
            return
        if not set(view.addresses) <= set(fact.addresses):
            # The name stands for another server now, of which nothing is known.
            view = View(fact.target, next(self._places))
        self._views[fact.target] = replace(view, addresses=fact.addresses)

    def learn_drained(self, event: Drained) -> None:
        self.writer.terms.drained(event)

    def learn_words_lost(self) -> None:
        """Some of the engine's events were lost."""
        self.writer.terms.words_lost()

    def learn_logins(self, logins: Iterable[Login]) -> None:
        self._logins = {login.user: login for login in logins}

    def learn_leaving(self, held: Mapping[str, int]) -> None:
        """The pod leaves: its clients still make use of so many connections of each target."""
        divisors = [
            largest_divisor(usable, percent, max(1, held.get(target, 0)))
            for target, usable, percent in self._sizes()
        ]
        self.claim.leaves(min(divisors, default=0))

    def part(self, held: Mapping[str, int]) -> int:
        """What the report is to say of this pod's part of the connections, and so what others may
        rely on. `held`: the connections of each target, once the newest plan is applied."""
        sizes = list(self._sizes())
        most = [largest_divisor(usable, percent) for _, usable, percent in sizes]
        self.claim.most = min(
            (divisor for divisor in most if divisor), default=min(most, default=None)
        )
        holds = {name: held[name] for name in self._views if held.get(name)}
        present = self.claim.in_force
        if present is not None and most and present > max(most) and not holds:
            self.claim.gives_up()
        respected = [
            largest_divisor(usable, percent, holds[name])
            for name, usable, percent in sizes
            if name in holds
        ]
        if holds.keys() - {name for name, _, _ in sizes}:
            # Nobody knows what they are worth: they count as before.
            respected.append(self._part)
        self._part = self.claim.said(min(respected, default=None))
        return self._part

    def smallest_budget(self) -> int | None:
        """The least share of a target whose size is known."""
        divisor = self.claim.in_force
        if divisor is None:
            return None
        sizes = self._sizes()
        return min((share(usable, percent, divisor) for _, usable, percent in sizes), default=None)

    def _sizes(self) -> Iterable[tuple[str, int, int]]:
        """Name, usable connections and percentage of each target whose size is known."""
        group = self.config.settings.target_group if self.config else None
        if group is None:
            return
        percent = group.connection_pool_config.max_connections_percent
        for view in self._views.values():
            if view.server is not None:
                yield view.target, view.server.usable_connections, percent

    def plan(self, now: float, wall: float) -> Plan | None:
        """What follows from all facts at this time; None before there is a configuration."""
        config = self.config
        if config is None:
            return None
        group = config.settings.target_group
        if group is not None:
            self._decide_writer(group, now)
        targets = group.targets if group else ()
        views = {target.name: self._views[target.name] for target in targets}
        snapshot = self._snapshot(config, wall)
        return Plan(
            config=config,
            snapshot=snapshot,
            targets=tuple(self._health(view, config) for view in views.values()),
            writer=self._writer_report() if group else None,
            acknowledged=self.writer.terms.acknowledged,
            logins=tuple(
                login
                for user in config.credentials.file.users
                if (login := self._logins.get(user.name)) is not None
            ),
            term=self.writer.term,
            fast=group is not None and self.writer.unsettled,
            suspended=self.writer.terms.suspended,
            wake_in=self._wake_in(config, now, wall),
        )

    def _decide_writer(self, group: TargetGroup, now: float) -> None:
        before = self.writer.terms.suspended
        ballot, fencing = None, Fencing(CONFIRMATION_TIMEOUT)
        election = group.writer_election
        if election is not None:
            ballot = Ballot(self._election, group.writer_floor, self._election_read_at)
            fencing = Fencing(election.confirmation_timeout, election.strict_fencing)
        self.writer.observe(ballot, fencing, self._views, now)
        for name in self.writer.terms.suspended - before:
            if name in self._views:
                self._views[name] = self._views[name].forget()

    def _snapshot(self, config: Config, wall: float) -> Snapshot:
        settings, credentials = config.settings, config.credentials
        group = settings.target_group
        mode = group.tls.mode if group else "PREFERRED"
        return Snapshot(
            revision=max(settings.revision, credentials.revision),
            version=lowest_version(view.server for view in self._views.values()),
            listeners=tuple(
                SnapshotListener(listener.name, listener.port, listener.target_role)
                for listener in settings.listeners
            ),
            tls=SnapshotTls(credentials.certificate, credentials.key),
            require_tls=settings.require_tls,
            users=_users(config, wall),
            fleet_secret=credentials.file.fleet_secret,
            targets=self._targets(config),
            writer=self._snapshot_writer(),
            server_tls=SnapshotServerTls(mode, credentials.server_ca),
            init_query=group.connection_pool_config.init_query if group else None,
            rules=rules(settings),
            limits=limits(settings, self._max_clients, self.claim.in_force or 1),
        )

    def _targets(self, config: Config) -> tuple[SnapshotTarget, ...]:
        group = config.settings.target_group
        if group is None:
            return ()
        result = []
        for target in group.targets:
            view = self._views[target.name]
            pool = group.connection_pool_config
            connections = self._share(view, pool.max_connections_percent)
            role = self._engine_role(view)
            serves = view.alive and role != "UNKNOWN" and connections > 0
            result.append(
                SnapshotTarget(
                    name=target.name,
                    addresses=view.addresses,
                    server_name=target.host,
                    role=role,
                    available=serves and not lateness(view, group.max_replica_lag),
                    max_connections=connections,
                    max_idle=self._share(view, pool.max_idle_connections_percent),
                    defaults=view.server.defaults if view.server else "",
                    min_idle=self._share(view, pool.min_idle_connections_percent),
                )
            )
        return tuple(result)

    def _share(self, view: View, percent: int) -> int:
        if view.server is None or self.claim.in_force is None:
            return 0
        return share(view.server.usable_connections, percent, self.claim.in_force)

    def _snapshot_writer(self) -> SnapshotWriter | None:
        """None also while nothing may be left of it: every connection is cut then."""
        term = self.writer.term
        view = self._views.get(term.target) if term is not None else None
        if term is None or view is None or self.writer.fenced:
            return None
        if term.target in self.writer.terms.draining and not view.addresses:
            # It moved: to the engine, a target without addresses is where it was before.
            return None
        return SnapshotWriter(term.target, term.serial, self.writer.is_open)

    def _is_writer(self, view: View) -> bool:
        term = self.writer.term
        several = self.writer.verdict.reason == "MultipleWriters"
        return term is not None and term.target == view.target and not several

    def _role(self, view: View) -> TargetRole:
        """By what the target said last, also while it doesn't answer."""
        if view.target in self.writer.terms.suspended or view.server is None:
            return "UNKNOWN"
        if view.server.in_recovery:
            return "READ_ONLY"
        return "READ_WRITE" if self._is_writer(view) else "UNKNOWN"

    def _engine_role(self, view: View) -> TargetRole:
        """A target that is down and not the writer may be a reader: its clients shall wait."""
        role = self._role(view)
        absent = not view.alive and view.target not in self.writer.terms.suspended
        if role == "UNKNOWN" and absent and not self._is_writer(view):
            return "READ_ONLY"
        return role

    def _health(self, view: View, config: Config) -> TargetHealth:
        state, reason, description = self._state(view, config)
        server = view.server
        return TargetHealth(
            view.target,
            self._role(view),
            state,
            reason,
            description,
            server.max_connections if server else None,
            server.usable_connections if server else None,
        )

    def _state(self, view: View, config: Config) -> tuple[HealthState, HealthReason, str]:
        group = config.settings.target_group
        if view.target in self.writer.terms.suspended:
            return "REGISTERING", "", "its connections are being closed, another target is writer"
        if not view.registered:
            return "REGISTERING", "", "not asked yet"
        if not view.alive or view.reason == "AUTH_FAILURE":
            return "UNAVAILABLE", view.reason, view.message
        percent = group.connection_pool_config.max_connections_percent if group else 0
        if group and self._share(view, percent) < 1:
            told = "its max_connections leave no connection for this pod"
            return "UNAVAILABLE", "PENDING_PROXY_CAPACITY", told
        if view.writes and not self._is_writer(view):
            if self.writer.term is None and self.writer.verdict.reason != "MultipleWriters":
                return "REGISTERING", "", "answers as writer; the writer is not known yet"
            if view.was_reader:
                return "UNAVAILABLE", "PROMOTED", "it was promoted, but is not named as the writer"
            told = "it answers as writer, but is not the writer: make it a replica again"
            return "UNAVAILABLE", "INVALID_REPLICATION_STATE", told
        if group and (told := lateness(view, group.max_replica_lag)):
            return "UNAVAILABLE", "INVALID_REPLICATION_STATE", told
        return "AVAILABLE", "", view.message

    def _writer_report(self) -> WriterReport:
        term = self.writer.term or Term("", "", 0, 0, 0.0, 0)
        verdict: Verdict = self.writer.verdict
        return WriterReport(
            target=term.target,
            uid=term.uid,
            epoch=term.epoch,
            is_open=self.writer.is_open,
            reason=verdict.reason,
            message=verdict.message,
        )

    def _wake_in(self, config: Config, now: float, wall: float) -> float | None:
        moments = [
            previous.valid_until - wall
            for user in config.credentials.file.users
            for previous in user.previous
            if previous.valid_until > wall
        ]
        if (deadline := self.writer.next_deadline()) is not None:
            moments.append(deadline - now)
        return min(moments, default=None)


def election_name(group: TargetGroup | None) -> str | None:
    """The ConfigMap that names the writer, if there is one."""
    if group is None or group.writer_election is None:
        return None
    return group.writer_election.config_map


def _users(config: Config, wall: float) -> tuple[SnapshotUser, ...]:
    return tuple(
        SnapshotUser(
            name=user.name,
            passwords=(
                user.password,
                *(old.password for old in user.previous if old.valid_until > wall),
            ),
            method=method_of(config.settings.engine_family, user.client_password_auth_type),
        )
        for user in config.credentials.file.users
    )
