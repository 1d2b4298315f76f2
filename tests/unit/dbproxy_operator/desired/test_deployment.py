"""The pod template changes only when the user asks for it."""

from typing import Any

from tests.composed import KEY, stored
from tests.resources import Object, proxy

from dbproxy_operator.desired import deployment as deployments
from dbproxy_operator.desired.deployment import PodTemplate
from dbproxy_operator.spec import parse_proxy


def template(
    image: str = "proxy:1",
    live: Object | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> tuple[PodTemplate, Object]:
    owner = stored(proxy(**spec), "proxy-uid")
    owner["metadata"]["annotations"] = annotations or {}
    chosen = deployments.pod_template(KEY, owner, parse_proxy(owner), image, live)
    return chosen, deployments.deployment(KEY, owner, chosen, 2)


def test_a_newer_operator_changes_nothing_but_says_that_it_could() -> None:
    _, live = template()
    chosen, again = template("proxy:2", live)
    assert again == live
    assert chosen.image == "proxy:1"
    assert chosen.newer


def test_the_user_chooses_when_to_upgrade() -> None:
    _, live = template()
    chosen, upgraded = template("proxy:2", live, {"dbproxy.dev/upgrade": "now"})
    assert (chosen.image, chosen.newer) == ("proxy:2", None)
    chosen, again = template("proxy:3", upgraded, {"dbproxy.dev/upgrade": "now"})
    assert again == upgraded
    assert chosen.newer


def test_a_new_image_or_template_rolls_at_once() -> None:
    _, live = template()
    chosen, _ = template("proxy:2", live, template={"spec": {"priorityClassName": "high"}})
    assert chosen.image == "proxy:2"
    assert chosen.template["spec"]["priorityClassName"] == "high"


def test_a_default_that_the_api_server_writes_out_is_nobodys_choice() -> None:
    _, live = template(template={"spec": {"priorityClassName": "high"}})
    written_out = {"metadata": {"labels": {}}, "spec": {"priorityClassName": "high", "later": 1}}
    _, again = template("proxy:2", live, template=written_out)
    assert again == live


def test_settings_never_change_the_template() -> None:
    _, live = template()
    changes: dict[str, Any] = {
        "drainTimeout": 600,
        "requireTLS": True,
        "idleClientTimeout": 7,
        "replicas": 9,
        "tls": {"secretName": "mine"},
    }
    chosen, again = template(live=live, **changes)
    assert again["spec"]["template"] == live["spec"]["template"]
    assert deployments.drain_seconds(chosen.grace_seconds) == 60


def test_an_annotation_that_was_broken_by_hand_is_rendered_afresh() -> None:
    _, live = template()
    live["metadata"]["annotations"][deployments.TEMPLATE_ANNOTATION] = '{"spec": 1}'
    assert template(live=live)[0].image == "proxy:1"


def test_pods_are_restricted_and_drain() -> None:
    body = template(drainTimeout=30)[1]["spec"]["template"]["spec"]
    assert body["terminationGracePeriodSeconds"] == 40
    assert body["securityContext"]["runAsNonRoot"] is True
    assert body["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = body["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_users_additions_come_beside_ours() -> None:
    added = {
        "metadata": {"labels": {"team": "shop"}},
        "spec": {
            "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": 2}},
            "tolerations": [{"key": "db", "operator": "Exists"}],
            "containers": [{"name": "log", "image": "log:1", "args": ["-v"]}],
            "topologySpreadConstraints": [],
        },
    }
    rendered = template(template=added)[1]["spec"]["template"]
    assert rendered["metadata"]["labels"]["team"] == "shop"
    assert rendered["metadata"]["labels"]["dbproxy.dev/proxy"] == "orders"
    proxy_container, sidecar = rendered["spec"]["containers"]
    assert proxy_container["resources"] == {
        "requests": {"cpu": 2, "memory": "128Mi"},
        "limits": {"memory": "1Gi"},
    }
    assert sidecar == {"name": "log", "image": "log:1", "args": ["-v"]}
    assert rendered["spec"]["tolerations"] == [{"key": "db", "operator": "Exists"}]
    assert rendered["spec"]["topologySpreadConstraints"] == []
