"""Clients verify the proxy by whatever name or address they come; no pod restarts for a new one."""

import pytest
from tests.e2e.test_keep import trusted
from tests.fix_cluster import RefusedError, eventually
from tests.fix_shop import DATABASE, Shop

pytestmark = pytest.mark.timeout(300)


def verify(shop: Shop, host: str, ca: str) -> None:
    """A statement of a client that was told to expect that host, wherever its name leads."""
    service = shop.cluster.get("service", "orders")
    assert service is not None
    where = f"PGHOSTADDR={service['spec']['clusterIP']}"
    command, *rest = shop.psql_command(ca=ca)
    said = [command, where, *rest, "-h", host, "-c", "select 1"]
    assert shop.cluster.within(DATABASE).kubectl("exec", "db-0", "--", *said) == "1\n"


def is_verified(shop: Shop, host: str, ca: str) -> bool:
    try:
        verify(shop, host, ca)
    except RefusedError:
        return False
    return True


def test_further_names_and_load_balancers_are_verified(shop: Shop) -> None:
    shop.open(
        service={"type": "LoadBalancer"},
        tls={"dnsNames": ["db.example.com"], "ipAddresses": ["192.0.2.1"]},
    )
    ca, pods = trusted(shop), shop.pods()
    for host in ("db.example.com", "192.0.2.1", f"orders.{shop.name}.svc.cluster.local"):
        verify(shop, host, ca)
    with pytest.raises(RefusedError, match=r"does not match host name"):
        verify(shop, "a1b2.elb.example", ca)
    with shop.session(ca=ca) as session:
        assert session.ask("select 1") == "1"
        ingress = [{"hostname": "a1b2.elb.example"}, {"ip": "198.51.100.7"}]
        led = {"status": {"loadBalancer": {"ingress": ingress}}}
        shop.cluster.patch("service", "orders", led, "--subresource=status")
        for host in ("a1b2.elb.example", "198.51.100.7"):
            eventually(lambda host=host: is_verified(shop, host, ca), f"{host} is verified")  # type: ignore[misc]
        verify(shop, "db.example.com", ca)
        assert session.ask("select 2") == "2"
    assert (shop.pods(), shop.restarts()) == (pods, 0)
