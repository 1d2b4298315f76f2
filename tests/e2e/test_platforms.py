"""Where people run it: users that the platform chooses, private registries, several operators."""

import random

import pytest
from tests.fix_cluster import eventually
from tests.fix_shop import Shop, basic_auth
from tests.resources import proxy

IMAGE = "localhost/dbproxy-proxy:dev"

pytestmark = pytest.mark.timeout(300)


def test_a_proxy_serves_as_whatever_user_the_platform_chooses(shop: Shop) -> None:
    anybody = random.randint(1_000_000_000, 2_000_000_000)
    template = {"spec": {"securityContext": {"runAsUser": anybody}}}
    shop.open(template=template)
    shop.must_work()
    (pod,) = shop.cluster.list("pods", "dbproxy.dev/proxy=orders")
    command = ["exec", pod["metadata"]["name"], "-c", "proxy", "--", "id", "-u"]
    assert shop.cluster.kubectl(*command).strip() == str(anybody)


def test_pods_are_told_where_their_images_log_in(shop: Shop) -> None:
    shop.cluster.apply(
        basic_auth("app", "app", "app-1"),
        proxy(replicas=1, template={"spec": {"imagePullSecrets": [{"name": "registry"}]}}),
    )
    deployment = eventually(
        lambda: shop.cluster.get("deployment", "orders"), "the Deployment is there"
    )
    pod = deployment["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_sidecars_share_volumes_with_what_prepares_them(shop: Shop) -> None:
    """As a Vault agent does; all of it under the namespace's restricted Pod Security."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    prepares = {
        "name": "prepares",
        "image": IMAGE,
        "command": ["sh", "-c", "echo prepared > /shared/word"],
        "volumeMounts": mounts,
        "securityContext": restricted,
    }
    reads = {
        **prepares,
        "name": "reads",
        "command": ["sh", "-c", "grep prepared /shared/word && exec sleep 3600"],
    }
    shop.open(
        template={
            "spec": {
                "volumes": [{"name": "shared", "emptyDir": {"medium": "Memory"}}],
                "initContainers": [prepares],
                "containers": [reads],
                "env": [{"name": "WORD", "value": "said"}],
            }
        }
    )
    (pod,) = shop.pods()
    said = shop.cluster.kubectl("exec", pod, "-c", "proxy", "--", "printenv", "WORD")
    assert said.strip() == "said"
    assert "prepared" in shop.cluster.kubectl("logs", pod, "-c", "reads")
    shop.must_work()


def test_a_proxy_of_another_class_is_left_to_its_operator(shop: Shop) -> None:
    shop.cluster.apply(
        {**proxy(replicas=1, operatorClass="somebody-elses"), "metadata": {"name": "theirs"}},
    )
    shop.open()
    seen = shop.cluster.get("dbproxy", "theirs")
    assert seen is not None
    assert seen["status"] == {"observedGeneration": -1}
    assert shop.cluster.get("deployment", "theirs") is None
