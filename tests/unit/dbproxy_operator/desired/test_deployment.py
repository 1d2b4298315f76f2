"""The pod template changes only when the user asks for it."""

from typing import Any

from tests.composed import KEY, stored
from tests.resources import Object, proxy

from dbproxy_operator.desired import deployment as deployments
from dbproxy_operator.desired.deployment import PodDefaults, PodTemplate
from dbproxy_operator.spec import parse_proxy
from dbproxy_operator.spec.pods import PodSpec

FIRST, SECOND, THIRD = (PodDefaults(f"proxy:{number}") for number in (1, 2, 3))


def template(
    defaults: PodDefaults = FIRST,
    live: Object | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> tuple[PodTemplate, Object]:
    owner = stored(proxy(**spec), "proxy-uid")
    owner["metadata"]["annotations"] = annotations or {}
    parsed = parse_proxy(owner)
    chosen = deployments.pod_template(KEY, owner, parsed, defaults, live)
    return chosen, deployments.deployment(KEY, owner, parsed, chosen, 2)


def test_a_newer_operator_changes_nothing_but_says_that_it_could() -> None:
    _, live = template()
    chosen, again = template(SECOND, live)
    assert again == live
    assert chosen.image == "proxy:1"
    assert chosen.newer


def test_the_user_chooses_when_to_upgrade() -> None:
    _, live = template()
    chosen, upgraded = template(SECOND, live, {"dbproxy.dev/upgrade": "now"})
    assert (chosen.image, chosen.newer) == ("proxy:2", None)
    chosen, again = template(THIRD, upgraded, {"dbproxy.dev/upgrade": "now"})
    assert again == upgraded
    assert chosen.newer


def test_pods_that_served_another_family_are_replaced() -> None:
    """They are those of a DBProxy of the name that was deleted and left them behind."""
    for before, after in (("POSTGRESQL", "MYSQL"), ("MYSQL", "POSTGRESQL")):
        _, live = template(engineFamily=before)
        _, changed = template(live=live, engineFamily=after)
        assert changed["spec"]["template"] != live["spec"]["template"]
        assert template(live=changed, engineFamily=after)[1] == changed


def test_a_new_image_or_template_rolls_at_once() -> None:
    _, live = template()
    chosen, _ = template(
        PodDefaults("proxy:2"), live, template={"spec": {"priorityClassName": "high"}}
    )
    assert chosen.image == "proxy:2"
    assert chosen.template["spec"]["priorityClassName"] == "high"


def test_a_default_that_the_api_server_writes_out_is_nobodys_choice() -> None:
    _, live = template(template={"spec": {"priorityClassName": "high"}})
    written_out = {"metadata": {"labels": {}}, "spec": {"priorityClassName": "high", "later": 1}}
    _, again = template(SECOND, live, template=written_out)
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


def test_a_pod_that_starts_slowly_is_given_three_minutes_and_then_half_of_one() -> None:
    _, made = template()
    (container,) = made["spec"]["template"]["spec"]["containers"]
    start, life = container["startupProbe"], container["livenessProbe"]
    assert start["httpGet"] == life["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert start["periodSeconds"] * start["failureThreshold"] == 180
    assert life["periodSeconds"] * life["failureThreshold"] == 30
    # Counted from the start probe on: a delay would only make both later.
    assert "initialDelaySeconds" not in life


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


def test_what_the_chart_chose_for_pods_gives_way_to_what_the_user_says() -> None:
    chart = PodDefaults(
        "proxy:1",
        PodSpec.model_validate(
            {
                "imagePullSecrets": [{"name": "registry"}],
                "imagePullPolicy": "Always",
                "priorityClassName": "usual",
                "securityContext": {},
            }
        ),
    )
    pod = template(chart)[0].template["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["containers"][0]["imagePullPolicy"] == "Always"
    assert pod["priorityClassName"] == "usual"
    own: Object = {"imagePullSecrets": [{"name": "mine"}], "priorityClassName": "high"}
    pod = template(chart, template={"spec": own})[0].template["spec"]
    assert pod["imagePullSecrets"] == [{"name": "mine"}]
    assert pod["priorityClassName"] == "high"
    assert pod["containers"][0]["imagePullPolicy"] == "Always"


def test_whoever_the_user_makes_the_pods_they_are_not_root() -> None:
    kept = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    ours = {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
    assert template()[0].template["spec"]["securityContext"] == {**ours, **kept}
    chosen, _ = template(template={"spec": {"securityContext": {}}})
    assert chosen.template["spec"]["securityContext"] == kept
    chosen, _ = template(template={"spec": {"securityContext": {"runAsUser": 1000730000}}})
    assert chosen.template["spec"]["securityContext"] == {"runAsUser": 1000730000, **kept}


def test_sidecars_get_volumes_and_the_proxy_its_variables() -> None:
    added: Object = {
        "volumes": [{"name": "vault", "emptyDir": {"medium": "Memory"}}],
        "initContainers": [{"name": "vault-agent", "image": "v:1", "restartPolicy": "Always"}],
        "env": [{"name": "TZ", "value": "UTC"}],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["192.0.2.1"]},
    }
    chosen, made = template(template={"spec": added}, minReadySeconds=7)
    pod = chosen.template["spec"]
    assert added["volumes"][0] in pod["volumes"]
    assert pod["initContainers"] == added["initContainers"]
    assert {"name": "TZ", "value": "UTC"} in pod["containers"][0]["env"]
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", added["dnsConfig"])
    assert made["spec"]["minReadySeconds"] == 7
