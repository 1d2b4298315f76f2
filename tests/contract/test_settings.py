"""What the operator composes, the proxy reads: settings, credentials and certificates."""

from typing import Any

import pytest
from tests.composed import NOW, Composed, compose

from dbproxy import envelope, settings
from dbproxy.decide.planner import Planner
from dbproxy.families import METHODS
from dbproxy_operator.desired import formats
from dbproxy_operator.desired.config import Monitor
from dbproxy_operator.spec.families import FAMILIES


def load(composed: Composed) -> settings.Config:
    parsed = settings.parse_settings(composed.files["settings.json"])
    credentials = settings.parse_credentials(composed.files)
    assert settings.pair_faults(parsed, credentials) == []
    return settings.Config(parsed, credentials)


PORTLESS = [{"name": "db-0", "host": "db-0.db"}]
CASES: dict[str, dict[str, Any]] = {
    "the least": {},
    "no target group yet": {"with_group": False},
    "no monitor": {"monitor": None},
    "an election with a floor": {
        "group_spec": {"writerElection": {"configMapRef": {"name": "orders-election"}}},
        "floor": {"target": "db-0", "uid": "election-uid", "epoch": 7},
    },
    "MySQL": {"proxy_spec": {"engineFamily": "MYSQL"}, "group_spec": {"targets": PORTLESS}},
    "MariaDB by its own way to log in": {
        "proxy_spec": {
            "engineFamily": "MYSQL",
            "auth": [
                {"secretRef": {"name": "app"}, "clientPasswordAuthType": "MARIADB_CLIENT_ED25519"}
            ],
        },
    },
    "verified targets and everything chosen": {
        "proxy_spec": {
            "auth": [{"secretRef": {"name": "app"}, "clientPasswordAuthType": "POSTGRES_MD5"}],
            "requireTLS": True,
            "idleClientTimeout": 1,
            "idleInTransactionTimeout": 86400,
            "maxClientLifetime": 2592000,
            "maxClientConnections": 1,
            "maxClientConnectionsPerUser": 2,
            "maxConnectionRate": 3,
            "maxLoginRatePerUser": 4,
            "tcp": {"keepaliveIdle": 1, "keepaliveCount": 127, "userTimeout": 0},
            "drainTimeout": 3600,
            "credentialRotationGracePeriod": 0,
        },
        "group_spec": {
            "targets": [
                {"name": "four", "host": "10.0.0.1"},
                {"name": "six", "host": "2001:db8::1", "port": 5433},
            ],
            "connectionPoolConfig": {
                "maxConnectionsPercent": 1,
                "connectionBorrowTimeout": 0,
                "minIdleConnectionsPercent": 0,
                "maxConnectionsPerUser": 7,
                "maxConnectionsPerDatabase": 8,
                "maxConnectionLifetime": 1,
                "initQuery": "SET jit = off",
                "sessionPinningFilters": ["EXCLUDE_VARIABLE_SETS"],
                "maxStatementLength": 16384,
            },
            "maxReplicaLag": 86400,
            "tls": {"mode": "VERIFY_IDENTITY", "caSecretRef": {"name": "ca"}},
            "tcp": {"keepaliveInterval": 32767, "userTimeout": 86400},
        },
    },
}


@pytest.mark.parametrize("case", CASES)
def test_the_proxy_reads_what_the_operator_composes(case: str) -> None:
    load(compose(**CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_the_proxy_can_plan_with_it(case: str) -> None:
    planner = Planner(max_clients=100)
    planner.learn_config(load(compose(**CASES[case])))
    assert planner.plan(now=1.0, wall=NOW) is not None


def test_every_choice_of_the_user_arrives() -> None:
    read = load(compose(**CASES["verified targets and everything chosen"]))
    assert read.settings.require_tls is True
    assert read.settings.idle_client_timeout == 1
    assert read.settings.idle_in_transaction_timeout == 86400
    assert read.settings.max_client_lifetime == 2592000
    assert read.settings.max_client_connections == 1
    assert read.settings.max_client_connections_per_user == 2
    assert read.settings.max_connection_rate == 3
    assert read.settings.max_login_rate_per_user == 4
    assert read.settings.tcp == settings.Tcp(keepalive_idle=1, keepalive_count=127, user_timeout=0)
    assert read.settings.drain_timeout == 3600
    assert read.settings.budget_divisor == 3
    assert read.credentials.file.credential_rotation_grace_period == 0
    assert read.credentials.file.users[0].client_password_auth_type == "POSTGRES_MD5"
    group = read.settings.target_group
    assert group is not None
    assert [(one.host, one.port) for one in group.targets] == [
        ("10.0.0.1", 5432),
        ("2001:db8::1", 5433),
    ]
    pool = group.connection_pool_config
    assert (pool.max_connections_percent, pool.max_idle_connections_percent) == (1, 0)
    assert (pool.connection_borrow_timeout, pool.init_query) == (0, "SET jit = off")
    assert pool.max_connection_lifetime == 1
    assert pool.session_pinning_filters == ("EXCLUDE_VARIABLE_SETS",)
    assert pool.max_statement_length == 16384
    assert (pool.max_connections_per_user, pool.max_connections_per_database) == (7, 8)
    assert group.tcp == settings.Tcp(keepalive_interval=32767, user_timeout=86400)
    assert group.tls.mode == "VERIFY_IDENTITY"
    assert group.max_replica_lag == 86400
    assert read.credentials.server_ca is not None


def test_what_a_family_stands_for_arrives() -> None:
    read = load(compose(**CASES["MySQL"]))
    assert read.settings.engine_family == "MYSQL"
    assert read.credentials.file.users[0].client_password_auth_type == "MYSQL_CACHING_SHA2_PASSWORD"
    group = read.settings.target_group
    assert group is not None
    assert group.targets[0].port == 3306


def test_both_know_the_same_families_and_their_ways_to_log_in_with_the_same_defaults() -> None:
    assert {name: family.auth_types for name, family in FAMILIES.items()} == {
        name: tuple(methods) for name, methods in METHODS.items()
    }


def test_where_to_report_arrives_with_or_without_what_is_served() -> None:
    composed = compose()
    assert composed.group is not None
    read = load(composed).settings
    assert read.report_to == envelope.GroupRef(name="orders-db", uid="group-uid")
    assert load(compose(with_group=False)).settings.report_to is None


def test_the_floor_of_the_writer_arrives() -> None:
    group = load(compose(**CASES["an election with a floor"])).settings.target_group
    assert group is not None
    assert group.writer_election == settings.WriterElection(config_map="orders-election")
    assert group.writer_floor == settings.WriterFloor(target="db-0", uid="election-uid", epoch=7)


def test_what_is_said_of_the_confirmation_arrives() -> None:
    said = {"confirmationTimeout": 5, "strictFencing": True}
    election = {"writerElection": {"configMapRef": {"name": "e"}, **said}}
    group = load(compose(group_spec=election)).settings.target_group
    assert group is not None
    assert group.writer_election == settings.WriterElection(
        config_map="e", confirmation_timeout=5, strict_fencing=True
    )


def test_the_former_password_of_the_monitor_arrives_during_its_grace() -> None:
    before = compose(monitor=Monitor("monitor", "first", "monitor"))
    after = load(
        compose(before=before, monitor=Monitor("monitor", "second", "monitor"))
    ).credentials.file.monitor
    assert after is not None
    assert after.password == "second"
    assert [(one.password, one.valid_until) for one in after.previous] == [("first", NOW + 300)]


def test_a_rotated_password_arrives_beside_the_former_one_with_a_higher_revision() -> None:
    before = compose()
    after = compose(before=before, password="second")
    former, now = load(before), load(after)
    (user,) = now.credentials.file.users
    assert user.password == "second"
    assert [(one.password, one.valid_until) for one in user.previous] == [("first", NOW + 300)]
    assert now.credentials.revision > former.credentials.revision
    assert now.credentials.file.fleet_secret == former.credentials.file.fleet_secret


def test_settings_that_did_not_change_keep_their_revision() -> None:
    before = compose()
    after = compose(before=before, password="second")
    assert load(after).settings.revision == load(before).settings.revision


def test_the_newest_format_that_is_written_is_the_newest_that_is_read() -> None:
    assert max(formats.FORMATS) == envelope.FORMAT_VERSION
