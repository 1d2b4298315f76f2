"""Mistakes of users: each is told in a condition and one Event, and heals when its cause goes."""

import pytest
from tests.fix_cluster import Object, eventually
from tests.fix_shop import HOST, Shop, basic_auth, settles, targets
from tests.resources import endpoint, group, named, proxy

pytestmark = pytest.mark.timeout(300)


def told_once(shop: Shop, kind: str, name: str, reason: str) -> None:
    """One Event, and no status that is written over and over."""

    def version() -> str:
        seen = shop.cluster.get(kind, name)
        assert seen is not None
        return str(seen["metadata"]["resourceVersion"])

    settles(version, f"the status of {kind} {name}")
    assert len(shop.events(name, reason)) == 1


def test_a_missing_secret_is_waited_for_then_stalls_then_heals(shop: Shop) -> None:
    shop.cluster.apply(proxy(replicas=1))
    message = shop.expect("dbproxy", "orders", "Ready", "False", "SecretNotFound")
    assert "the Secret app (spec.auth[0].secretRef) does not exist: create it" in message
    assert shop.condition("dbproxy", "orders", "Reconciling")["status"] == "True"
    assert shop.condition("dbproxy", "orders", "Stalled")["status"] == "False"
    told_once(shop, "dbproxy", "orders", "SecretNotFound")
    shop.expect("dbproxy", "orders", "Stalled", "True", "SecretNotFound")
    assert shop.condition("dbproxy", "orders", "Reconciling")["status"] == "False"
    told_once(shop, "dbproxy", "orders", "SecretNotFound")
    shop.open()
    shop.must_work()


SECRETS: dict[str, tuple[Object, str, str]] = {
    "lacks its password": (
        {**basic_auth("app", "app", "x"), "type": "Opaque", "stringData": {"username": "app"}}
        | {"metadata": {"name": "app", "labels": {"dbproxy.dev/allow": "true"}}},
        "SecretIncomplete",
        "the key password: add it",
    ),
    "is of another type": (
        {**basic_auth("app", "app", "x"), "type": "Opaque"},
        "SecretNotAllowed",
        "is not of type kubernetes.io/basic-auth",
    ),
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_that(shop: Shop, case: str) -> None:
    secret, reason, message = SECRETS[case]
    shop.cluster.apply(secret, proxy(replicas=1))
    assert message in shop.expect("dbproxy", "orders", "Ready", "False", reason)
    told_once(shop, "dbproxy", "orders", reason)
    shop.cluster.kubectl("delete", "secret", "app")
    shop.cluster.apply(basic_auth("app", "app", "app-1"))
    shop.heals("dbproxy", "orders", reason)


def test_a_user_that_is_named_twice_stalls_at_once(shop: Shop) -> None:
    users = [{"secretRef": {"name": "app"}}, {"secretRef": {"name": "again"}}]
    shop.cluster.apply(basic_auth("app", "app", "app-1"), basic_auth("again", "app", "other"))
    shop.cluster.apply(proxy(auth=users, replicas=1))
    message = shop.expect("dbproxy", "orders", "Stalled", "True", "DuplicateUser")
    assert "both name the user app: keep one of them" in message
    told_once(shop, "dbproxy", "orders", "DuplicateUser")
    shop.cluster.apply(proxy(auth=users[:1], replicas=1))
    shop.heals("dbproxy", "orders", "DuplicateUser")


def test_a_second_target_group_stalls_until_the_first_goes(shop: Shop) -> None:
    shop.open()
    shop.cluster.apply(named(group(targets=targets()), "second"))
    message = shop.expect("dbptg", "second", "Stalled", "True", "SecondTargetGroup")
    assert "already has the target group orders-db" in message
    told_once(shop, "dbptg", "second", "SecondTargetGroup")
    assert shop.condition("dbptg", "orders-db", "Ready")["status"] == "True"
    shop.cluster.kubectl("delete", "dbptg", "orders-db")
    shop.ready("dbptg/second")
    shop.must_work()


def test_group_and_endpoint_of_an_unknown_proxy_wait_for_it(shop: Shop) -> None:
    shop.cluster.apply(group(), endpoint(targetRole="READ_WRITE"))
    for kind, name in (("dbptg", "orders-db"), ("dbpe", "orders-ro")):
        message = shop.expect(kind, name, "Ready", "False", "ProxyNotFound")
        assert message == "there is no DBProxy orders in this namespace: create it"
        told_once(shop, kind, name, "ProxyNotFound")
    shop.open()
    shop.ready("dbpe/orders-ro")


def test_a_host_that_does_not_resolve_is_an_unavailable_target(shop: Shop) -> None:
    shop.open(group_spec={"targets": targets(HOST, "nowhere.invalid")})
    message = shop.expect("dbptg", "orders-db", "TargetsAvailable", "False", "TargetUnavailable")
    assert "db-1 is UNAVAILABLE (UNREACHABLE)" in message
    seen = shop.cluster.get("dbptg", "orders-db")
    assert seen is not None
    health = seen["status"]["targets"][1]["targetHealth"]
    assert (health["state"], health["reason"]) == ("UNAVAILABLE", "UNREACHABLE")
    shop.must_work()
    shop.cluster.patch("dbptg", "orders-db", {"spec": {"targets": targets()}})
    shop.expect("dbptg", "orders-db", "TargetsAvailable", "True", "AllAvailable")


def service(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 80}]},
    }


def test_a_service_of_that_name_that_is_not_ours_is_never_taken(shop: Shop) -> None:
    shop.cluster.apply(service("orders"), service("orders-ro"))
    before = {name: shop.cluster.get("service", name) for name in ("orders", "orders-ro")}
    shop.cluster.apply(basic_auth("app", "app", "app-1"), proxy(replicas=1))
    shop.add_endpoint(targetRole="READ_WRITE")
    message = shop.expect("dbproxy", "orders", "Stalled", "True", "NameTaken")
    assert "there is a Service orders that is not this DBProxy's: delete or rename it" in message
    told_once(shop, "dbproxy", "orders", "NameTaken")
    shop.cluster.kubectl("delete", "service", "orders")
    shop.open()
    shop.expect("dbpe", "orders-ro", "Stalled", "True", "NameTaken")
    assert shop.cluster.get("service", "orders-ro") == before["orders-ro"]
    shop.cluster.kubectl("delete", "service", "orders-ro")
    shop.ready("dbpe/orders-ro")


def test_a_template_that_the_api_server_refuses_stalls_and_heals(shop: Shop) -> None:
    template = {"spec": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}}
    shop.cluster.apply(basic_auth("app", "app", "app-1"), proxy(replicas=1, template=template))
    message = shop.expect("dbproxy", "orders", "Stalled", "True", "InvalidTemplate")
    assert "must be less than or equal to cpu limit" in message
    told_once(shop, "dbproxy", "orders", "InvalidTemplate")
    template = {"spec": {"resources": {"requests": {"cpu": "50m"}}}}
    shop.cluster.apply(proxy(replicas=1, template=template))
    shop.heals("dbproxy", "orders", "InvalidTemplate")
    deployment = shop.cluster.get("deployment", "orders")
    assert deployment is not None
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["cpu"] == "50m"


def test_a_sidecar_that_pod_security_refuses_is_told(shop: Shop) -> None:
    sidecar = {"name": "side", "image": "localhost/dbproxy-postgres:dev"}
    shop.cluster.apply(
        basic_auth("app", "app", "app-1"),
        proxy(replicas=1, template={"spec": {"containers": [sidecar]}}),
    )
    message = shop.expect("dbproxy", "orders", "Ready", "False", "PodsRefused")
    assert "violates PodSecurity" in message


def test_a_user_that_the_database_refuses_is_named_in_status(shop: Shop) -> None:
    users = [{"secretRef": {"name": "app"}}, {"secretRef": {"name": "ghost"}}]
    shop.cluster.apply(basic_auth("ghost", "ghost", "boo"))
    shop.open(auth=users)

    def told() -> list[Object]:
        seen = shop.cluster.get("dbptg", "orders-db")
        assert seen is not None
        return [one for one in seen["status"].get("logins", []) if not one["ok"]]

    (failed,) = eventually(told, "the log-in that fails is told")
    assert (failed["user"], failed["target"]) == ("ghost", "db-0")
