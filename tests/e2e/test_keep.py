"""What is missing, broken, deleted or orphaned takes nothing from clients that are at work."""

from collections.abc import Callable

import pytest
from tests.fix_cluster import Object, RefusedError, eventually
from tests.fix_shop import DATABASE, HOST, Shop, basic_auth, targets
from tests.resources import proxy

pytestmark = pytest.mark.timeout(300)
SERVED = {"TargetsAvailable": ("True", "AllAvailable"), "WriterKnown": ("True", "WriterKnown")}


def change_group(shop: Shop, **spec: object) -> None:
    shop.cluster.patch("dbptg", "orders-db", {"spec": spec})


def refer_to_a_missing_ca(shop: Shop) -> None:
    change_group(shop, tls={"mode": "PREFERRED", "caSecretRef": {"name": "db-ca"}})


def refer_to_a_broken_ca(shop: Shop) -> None:
    broken = {"metadata": {"name": "db-ca"}, "stringData": {"ca.crt": "not a certificate"}}
    shop.cluster.apply({"apiVersion": "v1", "kind": "Secret", **broken})
    change_group(shop, tls={"mode": "REQUIRED", "caSecretRef": {"name": "db-ca"}})


def delete_the_monitor(shop: Shop) -> None:
    shop.cluster.kubectl("delete", "secret", "monitor")


def right_the_ca(shop: Shop) -> None:
    change_group(shop, tls=None)


def right_the_monitor(shop: Shop) -> None:
    shop.cluster.apply(basic_auth("monitor", "monitor", "monitor-1"))


Step = Callable[[Shop], None]
OF_THE_GROUP: dict[str, tuple[Step, str, Step]] = {
    "a CA that is not there yet": (refer_to_a_missing_ca, "SecretNotFound", right_the_ca),
    "a CA that is no certificate": (refer_to_a_broken_ca, "InvalidCertificate", right_the_ca),
    "a monitor that is gone": (delete_the_monitor, "SecretNotFound", right_the_monitor),
}


@pytest.mark.parametrize("case", OF_THE_GROUP)
def test_clients_run_through(shop: Shop, case: str) -> None:
    accident, reason, cure = OF_THE_GROUP[case]
    shop.open()
    with shop.clients() as clients:
        accident(shop)
        shop.expect("dbptg", "orders-db", "Ready", "False", reason)
        clients.must_go_on()
        for condition, told in SERVED.items():
            seen = shop.condition("dbptg", "orders-db", condition)
            assert (seen["status"], seen["reason"]) == told
        assert shop.condition("dbproxy", "orders", "Ready")["status"] == "True"
        cure(shop)
        shop.ready("dbptg/orders-db")
        clients.must_go_on()


def test_clients_run_through_a_user_whose_secret_is_gone(shop: Shop) -> None:
    shop.open()
    with shop.clients() as clients:
        shop.cluster.kubectl("delete", "secret", "app")
        shop.expect("dbproxy", "orders", "Ready", "False", "SecretNotFound")
        clients.must_go_on()
        shop.cluster.apply(basic_auth("app", "app", "app-1"))
        shop.ready("dbproxy/orders")
        clients.must_go_on()


def test_one_server_named_twice_is_refused_before_anybody_notices(shop: Shop) -> None:
    shop.open()
    twice = [*targets(), {"name": "again", "host": HOST}]
    with shop.clients() as clients:
        with pytest.raises(RefusedError, match="may not have the same host and port"):
            change_group(shop, targets=twice)
        clients.must_go_on()


def uid(shop: Shop, kind: str, name: str) -> str:
    seen = shop.cluster.get(kind, name)
    return str(seen["metadata"]["uid"]) if seen else ""


def delete(shop: Shop, kind: str, name: str) -> None:
    """Delete it by hand, and wait until the operator has made another one."""
    before = uid(shop, kind, name)
    shop.cluster.kubectl("delete", kind, name)
    eventually(lambda: uid(shop, kind, name) not in ("", before), f"{kind} {name} is back")


def trusted(shop: Shop) -> str:
    """Put the CA that clients are to trust where the database's psql finds it; its text."""
    seen = shop.cluster.get("configmap", "orders-ca")
    assert seen is not None
    text = str(seen["data"]["ca.crt"])
    path = f"/tmp/{shop.name}.crt"
    shop.cluster.within(DATABASE).kubectl(*("exec", "-i", "db-0", "--", "tee", path), stdin=text)
    return path


VERIFIED: dict[str, list[tuple[str, str]]] = {
    "the key of the authority": [("secret", "orders-ca-key")],
    "what is published of the authority": [("configmap", "orders-ca")],
    "the settings": [("configmap", "orders-config")],
    "the credentials": [("secret", "orders-config")],
    "the rights": [("rolebinding", "orders-proxy"), ("role", "orders-proxy")],
}


@pytest.mark.parametrize("case", VERIFIED)
def test_clients_that_verify_run_through_the_deletion_of(shop: Shop, case: str) -> None:
    shop.open()
    with shop.clients(ca=trusted(shop)) as clients:
        for kind, name in VERIFIED[case]:
            delete(shop, kind, name)
        clients.must_go_on()
        shop.ready("dbproxy/orders", "dbptg/orders-db")
        clients.must_go_on()


def made_by_the_operator(shop: Shop) -> dict[str, str]:
    kinds = "deployment,service,configmap,secret,serviceaccount,role,rolebinding"
    found = [one for kind in kinds.split(",") for one in shop.cluster.list(kind, OURS)]
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["uid"] for one in found}


OURS = "app.kubernetes.io/managed-by=dbproxy-operator"


def owner(shop: Shop) -> Object:
    seen = shop.cluster.get("deployment", "orders")
    assert seen is not None
    owners = seen["metadata"].get("ownerReferences") or [{}]
    return dict(owners[0])


def test_clients_run_through_a_proxy_that_is_orphaned_and_made_again(shop: Shop) -> None:
    shop.open()
    with shop.clients(ca=trusted(shop)) as clients:
        before, pods = made_by_the_operator(shop), shop.pods()
        shop.cluster.kubectl("delete", "dbproxy", "orders", "--cascade=orphan")
        assert owner(shop) == {}
        clients.must_go_on()
        shop.cluster.apply(proxy(replicas=1, drainTimeout=5))
        shop.ready("dbproxy/orders", "dbptg/orders-db")
        clients.must_go_on()
        assert made_by_the_operator(shop) == before
        assert shop.pods() == pods
        assert owner(shop)["uid"] == uid(shop, "dbproxy", "orders")
