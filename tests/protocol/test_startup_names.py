"""What a session is called, however its startup packet says so: the same as with the database."""

from __future__ import annotations

import pytest
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.raw_client import ClosedError, RawClient, startup
from tests.servers import HOST, PASSWORDS, Postgres

# PostgreSQL's limit for a startup packet, and the word with its length.
LONGEST = 10_000 + 4


def name_of(port: int, **options: str | bytes) -> object:
    """What a session is told to be called, and what it is called."""
    with RawClient(HOST, port) as client:
        try:
            client.login("app", PASSWORDS["app"], "app", **options)
        except (AssertionError, ClosedError):
            return "refused"
        return client.parameters["application_name"], client.value("SHOW application_name")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"application_name": ""},
        {"application_name": b"Caf\xe9 Manager.exe"},
        {"application_name": "Café"},
        {"application_name": b"a\tb\x1bc"},
        {"application_name": "it's a \\"},
        {"application_name": "x" * 100},
        {"options": "-c application_name=plain"},
        {"options": "-capplication_name=short"},
        {"options": "--application_name=long"},
        {"options": "--application-name=dashes"},
        {"options": "-c APPLICATION_NAME=loud"},
        {"options": r"-c application_name=two\ words\\"},
        {"options": "-c application_name=first --application_name=second"},
        {"options": "-c application_name=lost", "application_name": "given"},
        {"options": "-c application_name=lost", "application_name": ""},
        {"options": "-c application_name"},
    ],
    ids=str,
)
def test_a_session_is_called_what_the_database_would_call_it(
    proxy: Proxy, postgres: Postgres, options: dict[str, str | bytes]
) -> None:
    assert name_of(proxy.port, **options) == name_of(postgres.port, **options)


def test_names_are_each_clients_own_beside_the_roles_default(
    make_postgres: PostgresFactory, make_proxy: ProxyFactory
) -> None:
    server = make_postgres()
    server.psql("ALTER ROLE app SET application_name TO 'role'")
    proxy = make_proxy(server)
    called = {None: "role", "one": "one", "": ""}
    clients = []
    for name in called:
        given = {} if name is None else {"application_name": name}
        client = RawClient(HOST, proxy.port).login("app", PASSWORDS["app"], **given)
        assert client.parameters["application_name"] == called[name]
        clients.append((client, called[name]))
    for client, name in [*clients, *reversed(clients)]:
        assert client.value("SHOW application_name") == name
    for client, _ in clients:
        client.close()


@pytest.mark.parametrize("more", [0, 1])
def test_a_startup_packet_may_be_as_long_as_for_the_database(
    proxy: Proxy, postgres: Postgres, more: int
) -> None:
    room = LONGEST - len(startup("app", options="")) + more
    ends = [name_of(port, options=" " * room) for port in (proxy.port, postgres.port)]
    assert ends == ["refused", "refused"] if more else [("", ""), ("", "")]
