"""SCRAM-SHA-256-PLUS on both legs: a log-in that is bound to the certificate of its connection."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives import hashes
from tests.certificates import Authority, Digest, make_authority
from tests.fix_postgres import PostgresFactory
from tests.fix_proxy import Proxy, ProxyFactory
from tests.raw_client import RawClient, cstring, message, startup
from tests.relay import Relay
from tests.servers import HOST, PASSWORDS, Postgres

BARE = b"n=,r=rOprNGfwEbeRWgbNEkqO"
PLUS, PLAIN = "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"
DIGESTS: list[Digest] = [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]
NAMES = [digest.name for digest in DIGESTS]


def proxy_that_shows(make_proxy: ProxyFactory, server: Postgres, shown: Authority) -> Proxy:
    proxy = make_proxy(server, start=False)
    proxy.authority = shown
    proxy.write_credentials()
    return proxy.start()


@pytest.fixture(scope="module")
def tls_postgres(postgres_template: Path, authority: Authority) -> Iterator[Postgres]:
    factory = PostgresFactory(postgres_template)
    try:
        yield factory(tls=authority)
    finally:
        factory.close()


def mechanisms(port: int) -> list[bytes]:
    """What a server offers over TLS."""
    with RawClient(HOST, port).start_tls() as client:
        client.send(startup("app"))
        kind, payload = client.read()
        assert (kind, payload[:4]) == (b"R", struct.pack("!i", 10))
        return payload[4:].split(b"\0")[:-2]


# --- the client's leg -----------------------------------------------------------------------------


@pytest.mark.parametrize("digest", DIGESTS, ids=NAMES)
def test_a_driver_that_requires_channel_binding_gets_in(
    make_proxy: ProxyFactory,
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
    digest: Digest,
) -> None:
    shown = make_authority(tmp_path_factory.mktemp("shown"), digest=digest)
    proxy = proxy_that_shows(make_proxy, postgres, shown)
    with proxy.connect(sslmode="require", channel_binding="require") as connection:
        assert connection.execute("SELECT 6 * 7").fetchone() == (42,)


def test_nobody_logs_in_through_somebody_between_who_shows_another_certificate(
    proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = make_authority(tmp_path_factory.mktemp("stranger"))
    through = Relay(proxy.authority, proxy.port)
    with through, proxy.connect(port=through.port, sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    refused = pytest.raises(psycopg.OperationalError, match="channel binding check failed")
    with Relay(stranger, proxy.port) as relay, refused:
        proxy.connect(port=relay.port, sslmode="require")


def test_it_is_not_offered_for_a_certificate_that_has_no_hash_for_it(
    make_proxy: ProxyFactory, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown = make_authority(tmp_path_factory.mktemp("shown"), digest=None)
    proxy = proxy_that_shows(make_proxy, postgres, shown)
    assert mechanisms(proxy.port) == [PLAIN.encode()]
    # libpq says that it could bind channels, if only it was offered.
    with proxy.connect(sslmode="require", channel_binding="prefer") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_without_tls_there_is_nothing_to_bind(proxy: Proxy) -> None:
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        proxy.connect(channel_binding="require")


@pytest.mark.parametrize(
    ("mechanism", "first"),
    [
        # It could bind channels, and believes that this can't be done: it was lied to.
        (PLAIN, b"y,,"),
        (PLAIN, b"p=tls-server-end-point,,"),
        (PLAIN, b"x,,"),
        (PLAIN, b"n,a=other,"),
        (PLAIN, b"n,,m=more,"),
        (PLUS, b"n,,"),
        (PLUS, b"y,,"),
        (PLUS, b"p=tls-unique,,"),
        ("SCRAM-SHA-1", b"n,,"),
    ],
)
def test_what_cannot_be_is_refused_as_the_database_refuses_it(
    proxy: Proxy, tls_postgres: Postgres, mechanism: str, first: bytes
) -> None:
    told = []
    for port in (tls_postgres.port, proxy.port):
        with RawClient(HOST, port).start_tls() as client:
            client.send(startup("app"))
            client.read()
            said = first + BARE
            client.send(message(b"p", cstring(mechanism) + struct.pack("!i", len(said)) + said))
            fields = client.error()
            told.append((fields["S"], fields["C"], fields["M"]))
    assert told[0] == told[1]


def test_who_came_before_the_certificate_was_replaced_binds_to_the_one_that_it_was_shown(
    make_proxy: ProxyFactory, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    proxy = make_proxy(postgres)
    former, later = RawClient(HOST, proxy.port).start_tls(), None
    try:
        proxy.authority = make_authority(tmp_path_factory.mktemp("next"))
        proxy.write_credentials()
        proxy.wait_config()
        later = RawClient(HOST, proxy.port).start_tls()
        assert later.certificate != former.certificate
        for client in (former, later):
            client.binding = hashlib.sha256(client.certificate).digest()
            client.login("app", PASSWORDS["app"])
            assert client.value("SELECT 6 * 7") == "42"
    finally:
        former.close()
        if later is not None:
            later.close()


# --- the database's leg ---------------------------------------------------------------------------


@pytest.mark.parametrize("digest", DIGESTS, ids=NAMES)
def test_the_proxy_logs_in_at_a_database_only_bound_to_the_databases_own_certificate(
    make_postgres: PostgresFactory,
    make_proxy: ProxyFactory,
    tmp_path_factory: pytest.TempPathFactory,
    digest: Digest,
) -> None:
    own = make_authority(tmp_path_factory.mktemp("own"), digest=digest)
    stranger = make_authority(tmp_path_factory.mktemp("stranger"), digest=digest)
    server = make_postgres(tls=own)
    assert mechanisms(server.port) == [PLUS.encode(), PLAIN.encode()]
    for shown, comes_in in ((own, True), (stranger, False)):
        with Relay(shown, server.port) as relay:
            proxy = make_proxy(server, start=False)
            target = {"name": server.name, "host": HOST, "port": relay.port}
            proxy.write_group(tls={"mode": "REQUIRED"}, targets=[target])
            proxy.write_pool(connectionBorrowTimeout=1)
            proxy.start(ready=comes_in)
            if comes_in:
                with proxy.connect() as connection:
                    assert connection.execute("SELECT 6 * 7").fetchone() == (42,)
            else:
                proxy.wait_ready()
                proxy.wait_target(server.name, "UNAVAILABLE")
                assert "channel binding check failed" in server.log()
            proxy.kill9()
