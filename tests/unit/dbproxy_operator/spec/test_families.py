"""What depends on the engine family: ports, ways to log in, names, and fields that only one has."""

from typing import get_args

import pytest
from tests.resources import chosen, group, proxy

from dbproxy_operator import spec
from dbproxy_operator.errors import SpecError
from dbproxy_operator.spec import families

PORTS = {"POSTGRESQL": 5432, "MYSQL": 3306}
DEFAULTS = {"POSTGRESQL": "POSTGRES_SCRAM_SHA_256", "MYSQL": "MYSQL_CACHING_SHA2_PASSWORD"}
FAMILIES = families.FAMILIES
MYSQL, POSTGRESQL = FAMILIES["MYSQL"], FAMILIES["POSTGRESQL"]


@pytest.mark.parametrize("name", FAMILIES)
def test_each_has_its_usual_port_and_way_to_log_in(name: families.EngineFamily) -> None:
    parsed = spec.parse_proxy(proxy(engineFamily=name))
    assert parsed.service_port == PORTS[name]
    assert parsed.family.auth_type(parsed.auth[0].client_password_auth_type) == DEFAULTS[name]
    filled = spec.parse_target_group(group(targets=[{"name": "a", "host": "h"}]), FAMILIES[name])
    assert filled.targets[0].port == PORTS[name]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_port_that_is_written_counts_with_either(name: families.EngineFamily) -> None:
    assert spec.parse_proxy(proxy(engineFamily=name, port=7)).service_port == 7
    targets = [{"name": "a", "host": "h", "port": 7}]
    (target,) = spec.parse_target_group(group(targets=targets), FAMILIES[name]).targets
    assert target.port == 7


@pytest.mark.parametrize("name", FAMILIES)
def test_each_takes_its_own_ways_to_log_in_and_no_other(name: families.EngineFamily) -> None:
    own = FAMILIES[name].auth_types
    for auth_type in get_args(families.PasswordAuthType):
        made = proxy(engineFamily=name, auth=[chosen(auth_type)])
        if auth_type in own:
            parsed = spec.parse_proxy(made)
            assert parsed.family.auth_type(parsed.auth[0].client_password_auth_type) == auth_type
        else:
            with pytest.raises(SpecError, match=f"{auth_type} is not for engineFamily {name}"):
                spec.parse_proxy(made)


def test_a_port_left_out_is_compared_with_one_that_is_written() -> None:
    """Which of them are the same, only the family says: the CRD can't."""
    for family, other in ((POSTGRESQL, MYSQL), (MYSQL, POSTGRESQL)):
        targets = [{"name": "a", "host": "h"}, {"name": "b", "host": "h", "port": family.port}]
        with pytest.raises(SpecError, match=f"port that is left out is {family.port}"):
            spec.parse_target_group(group(targets=targets), family)
        ports = [one.port for one in spec.parse_target_group(group(targets=targets), other).targets]
        assert ports == [other.port, family.port]
        assert spec.parse_target_group(group(targets=targets)).targets[0].port is None


def test_only_a_connection_of_its_own_database_can_be_counted_by_it() -> None:
    made = group(connectionPoolConfig={"maxConnectionsPerDatabase": 8})
    parsed = spec.parse_target_group(made, POSTGRESQL)
    assert parsed.connection_pool_config.max_connections_per_database == 8
    with pytest.raises(SpecError, match=r"spec\.connectionPoolConfig\.maxConnectionsPerDatabase"):
        spec.parse_target_group(made, MYSQL)


@pytest.mark.parametrize(
    ("family", "name", "taken"),
    [
        (POSTGRESQL, "a" * 63, True),
        (POSTGRESQL, "a" * 64, False),
        (POSTGRESQL, "ä" * 31, True),
        (POSTGRESQL, "ä" * 32, False),
        (MYSQL, "a" * 128, True),
        (MYSQL, "ä" * 128, True),
        (MYSQL, "a" * 129, False),
    ],
)
def test_the_longest_user_is_counted_as_the_server_does(
    family: families.Family, name: str, taken: bool
) -> None:
    assert family.takes_user(name) is taken
