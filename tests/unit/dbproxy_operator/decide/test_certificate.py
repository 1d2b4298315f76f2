"""Which certificate is shown: whole reconciles, with the Secrets that they leave."""

import base64
import dataclasses
import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from tests.composed import MATERIAL, NOW
from tests.unit.dbproxy_operator.world import World

from dbproxy_operator.desired import certificates, subjects
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


def named(world: World) -> list[str]:
    """For which hosts the certificate is."""
    return subjects.hosts_of(x509.load_pem_x509_certificate(shown(world).encode()))


def lead_to(world: World, service: str, *ingresses: dict[str, str]) -> None:
    """What a load balancer's controller does."""
    world.kube.at("Service", service)["status"] = {"loadBalancer": {"ingress": list(ingresses)}}


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


async def test_where_load_balancers_lead_is_named_without_a_restart(world: World) -> None:
    template = world.kube.at("Deployment", "orders")["spec"]["template"]
    assert "orders.shop.svc.cluster.local" in named(world)
    lead_to(world, "orders", {"hostname": "a1b2.elb.example"}, {"ip": "2001:DB8::0:7"})
    lead_to(world, "orders-ro", {"ip": "10.9.8.7"})
    await world.settle()
    assert {"a1b2.elb.example", "2001:db8::7", "10.9.8.7"} < set(named(world))
    assert world.kube.at("Deployment", "orders")["spec"]["template"] == template
    assert trusts(world.kube.at("ConfigMap", "orders-ca")["data"]["ca.crt"], shown(world))


async def test_where_another_s_service_leads_is_not_named() -> None:
    world = World()
    foreign: dict[str, Any] = {"metadata": {"name": "orders"}, "spec": {"ports": [{"port": 1}]}}
    world.kube.put({"kind": "Service", **foreign})
    lead_to(world, "orders", {"hostname": "bank.example"})
    await world.settle()
    assert "bank.example" not in named(world)


async def test_a_load_balancer_that_moves_to_and_fro_costs_one_certificate(world: World) -> None:
    for host in ("10.0.0.1", "10.0.0.2"):
        lead_to(world, "orders", {"ip": host})
        await world.settle()
    both = shown(world)
    for host in ("10.0.0.1", "10.0.0.2"):
        lead_to(world, "orders", {"ip": host})
        await world.settle()
        assert shown(world) == both


async def test_the_user_s_names_and_addresses_are_named(world: World) -> None:
    world.change(tls={"dnsNames": ["db.example.com", "*.pg.example"], "ipAddresses": ["192.0.2.1"]})
    await world.settle()
    assert {"db.example.com", "*.pg.example", "192.0.2.1"} < set(named(world))
    assert "CertificateExpiring" not in world.conditions("DBProxy", "orders")


async def test_services_are_named_by_the_cluster_s_own_domain(world: World) -> None:
    there = dataclasses.replace(world.reconciler.defaults(), cluster_domain="corp.example")
    world.reconciler = dataclasses.replace(world.reconciler, defaults=lambda: there)
    await world.settle()
    assert {"orders.shop.svc.corp.example", "orders-ro.shop.svc.corp.example"} < set(named(world))
