"""Which certificate is shown: whole reconciles, with the Secrets that they leave."""

import base64
import datetime as dt

import pytest
from cryptography import x509
from tests.composed import MATERIAL, NOW
from tests.unit.dbproxy_operator.test_reconcile import World

from dbproxy_operator.desired import certificates
from dbproxy_operator.desired.certificates import Pair

DAY = 86400.0
START = dt.datetime.fromtimestamp(NOW, dt.UTC)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.settle()
    return world


def shown(world: World) -> str:
    data = world.kube.at("Secret", "orders-config")["data"]["tls.crt"]
    return base64.b64decode(data).decode()


def trusts(bundle: str, certificate: str) -> bool:
    leaf = x509.load_pem_x509_certificate(certificate.encode())
    known = x509.load_pem_x509_certificates(bundle.encode())
    return any(leaf.issuer == one.subject for one in known)


def bring(world: World, pair: Pair | None) -> None:
    """A certificate of the user; None: the Secret that is named is not there."""
    obj = world.kube.at("DBProxy", "orders")
    obj["spec"]["tls"] = {"secretName": "mine"}
    obj["metadata"]["generation"] += 1
    if pair is not None:
        files = {"tls.crt": pair.certificate, "tls.key": pair.key}
        data = {key: base64.b64encode(text.encode()).decode() for key, text in files.items()}
        world.kube.put({"kind": "Secret", "metadata": {"name": "mine"}, "data": data})


def user_pair(since: dt.datetime = START) -> Pair:
    ca = certificates.authority(None, None, None, "company", MATERIAL, since)
    return certificates.leaf(None, ca, ["orders"], MATERIAL, since)


async def test_a_lost_ca_key_breaks_no_client_that_verifies(world: World) -> None:
    trusted = world.kube.at("ConfigMap", "orders-ca")["data"]["ca.crt"]
    before = shown(world)
    del world.kube.objects["Secret", "shop", "orders-ca-key"]
    await world.settle()
    assert shown(world) == before
    now_trusted = world.kube.at("ConfigMap", "orders-ca")["data"]["ca.crt"]
    assert now_trusted.count("BEGIN CERTIFICATE") == 2
    assert trusts(now_trusted, before)
    world.now += 8 * DAY
    await world.settle()
    assert shown(world) == before
    world.now += 60 * DAY
    await world.settle()
    assert not trusts(trusted, shown(world))
    assert trusts(now_trusted, shown(world))


async def test_a_lost_composed_secret_costs_no_trust(world: World) -> None:
    trusted = world.kube.at("ConfigMap", "orders-ca")["data"]["ca.crt"]
    del world.kube.objects["Secret", "shop", "orders-config"]
    await world.settle()
    assert trusts(trusted, shown(world))


async def test_an_authority_that_cannot_be_kept_signs_nothing(world: World) -> None:
    trusted = world.kube.at("ConfigMap", "orders-ca")["data"]
    before, revision = shown(world), world.settings()["revision"]
    del world.kube.objects["Secret", "shop", "orders-ca-key"]
    world.kube.put({"kind": "Secret", "metadata": {"name": "orders-ca-key"}, "data": {}})
    await world.settle()
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "NameTaken")
    assert world.kube.at("ConfigMap", "orders-ca")["data"] == trusted
    assert (shown(world), world.settings()["revision"]) == (before, revision)


async def test_a_saved_authority_that_is_put_back_signs_again(world: World) -> None:
    """As after a restore: the Secret is the operator's, with the data of the former one."""
    other = World()
    await other.settle()
    saved = other.kube.at("Secret", "orders-ca-key")["data"]
    trusted = other.kube.at("ConfigMap", "orders-ca")["data"]["ca.crt"]
    world.kube.at("Secret", "orders-ca-key")["data"] = dict(saved)
    await world.settle()
    assert world.kube.at("ConfigMap", "orders-ca")["data"]["ca.crt"] == trusted
    assert trusts(trusted, shown(world))


async def test_until_the_user_s_certificate_comes_the_own_one_goes_on_and_is_renewed(
    world: World,
) -> None:
    before = shown(world)
    bring(world, None)
    await world.settle()
    assert shown(world) == before
    world.now += 61 * DAY
    await world.settle()
    assert shown(world) != before
    assert trusts(world.kube.at("ConfigMap", "orders-ca")["data"]["ca.crt"], shown(world))


async def test_the_ca_that_clients_mount_outlives_the_change_to_the_user_s_own(
    world: World,
) -> None:
    trusted = world.kube.at("ConfigMap", "orders-ca")["data"]
    bring(world, user_pair())
    await world.settle()
    assert world.kube.at("ConfigMap", "orders-ca")["data"] == trusted


async def test_a_user_s_certificate_is_taken_only_if_it_is_good(world: World) -> None:
    pair = user_pair()
    bring(world, pair)
    await world.settle()
    assert shown(world) == pair.certificate
    bring(world, Pair("x", "y"))
    await world.settle()
    assert shown(world) == pair.certificate
    assert world.conditions("DBProxy", "orders")["Stalled"] == ("True", "InvalidCertificate")


async def test_one_that_is_not_yet_valid_is_taken_at_its_time(world: World) -> None:
    before, pair = shown(world), user_pair(START + dt.timedelta(minutes=35))
    bring(world, pair)
    await world.settle()
    assert shown(world) == before
    assert world.conditions("DBProxy", "orders")["Ready"] == ("False", "InvalidCertificate")
    world.now = NOW + 30 * 60 + 1
    await world.settle()
    assert shown(world) == pair.certificate


async def test_the_end_of_a_user_s_certificate_is_told_in_time(world: World) -> None:
    bring(world, user_pair())
    await world.settle()
    assert world.conditions("DBProxy", "orders")["CertificateExpiring"] == ("False", "Valid")
    wake = await world.reconcile()
    assert wake is not None
    assert wake == pytest.approx(76 * DAY, abs=DAY)
    world.now += wake
    await world.settle()
    assert world.conditions("DBProxy", "orders")["CertificateExpiring"] == ("True", "ExpiresSoon")
    assert world.conditions("DBProxy", "orders")["Ready"] == ("True", "Ready")


async def test_the_own_certificate_has_no_end_to_tell(world: World) -> None:
    assert "CertificateExpiring" not in world.conditions("DBProxy", "orders")
