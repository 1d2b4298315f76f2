"""The Deployment, and when its pod template may change.

Changing the template restarts pods, so it changes only when the user asks for it: the Deployment's
annotations hold the template as it was rendered and a hash of what the user chose then
(`spec.template`, `spec.image` and the family). While that hash is equal, the stored template is
applied verbatim, whatever a newer operator would render. The annotation `dbproxy.dev/upgrade` on
the DBProxy takes the newer one at a time of the user's choice.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import UPGRADE_ANNOTATION, Key, Object, annotations
from dbproxy_operator.spec import DBProxySpec
from dbproxy_operator.spec.pods import PodSecurity, PodSpec, merged

HASH_ANNOTATION = "dbproxy.dev/template-hash"
TEMPLATE_ANNOTATION = "dbproxy.dev/template"
FAMILY_ANNOTATION = "dbproxy.dev/engine-family"
SETTLE_SECONDS = 5
MARGIN_SECONDS = 5
PROGRESS_SECONDS = 600
_USER = 10001
_SECURITY = PodSecurity(run_as_user=_USER, run_as_group=_USER, fs_group=_USER)


@dataclass(frozen=True)
class PodDefaults:
    """What pods get where their DBProxy says nothing: the chart's choice."""

    image: str
    pod: PodSpec = field(default_factory=PodSpec)


@dataclass(frozen=True)
class PodTemplate:
    """The template to apply, and whether this operator would render another one."""

    template: Object
    chosen: str
    upgrade: str | None
    newer: str | None

    @property
    def image(self) -> str:
        return str(_proxy_container(self.template).get("image", ""))

    @property
    def grace_seconds(self) -> int:
        return int(self.template["spec"].get("terminationGracePeriodSeconds", 30))


def pod_template(
    key: Key, proxy: Object, spec: DBProxySpec, defaults: PodDefaults, deployment: Object | None
) -> PodTemplate:
    """The stored template while the user's choice is the same, else a fresh one."""
    fresh = _render(key, spec, defaults)
    # Of the model without its defaults: a default that a later CRD brings is nobody's choice.
    choices = spec.model_dump(mode="json", include={"template", "image"}, exclude_defaults=True)
    chosen = _digest(choices | _family(spec))
    wanted = annotations(proxy).get(UPGRADE_ANNOTATION)
    stored = _stored(deployment)
    if stored is None or deployment is None:
        return PodTemplate(fresh, chosen, wanted, None)
    recorded = annotations(deployment).get(UPGRADE_ANNOTATION)
    upgrading = wanted is not None and wanted != recorded
    if upgrading or annotations(deployment).get(HASH_ANNOTATION) != chosen:
        return PodTemplate(fresh, chosen, wanted or recorded, None)
    newer = None if fresh == stored else _digest(fresh)[:12]
    return PodTemplate(stored, chosen, recorded, newer)


def deployment(
    key: Key, proxy: Object, spec: DBProxySpec, template: PodTemplate, replicas: int
) -> Object:
    metadata = names.child_metadata(key, proxy, key.name)
    metadata["annotations"] = {
        HASH_ANNOTATION: template.chosen,
        TEMPLATE_ANNOTATION: _canonical(template.template),
    }
    if template.upgrade is not None:
        metadata["annotations"][UPGRADE_ANNOTATION] = template.upgrade
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.min_ready_seconds,
            "revisionHistoryLimit": 2,
            # A new pod may have to wait for the connections of one that drains.
            "progressDeadlineSeconds": PROGRESS_SECONDS + template.grace_seconds,
            "selector": {"matchLabels": names.selector(key.name)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": template.template,
        },
    }


def drain_seconds(grace_seconds: int) -> int:
    """How long a pod with that grace period can drain before it is killed."""
    return max(1, grace_seconds - SETTLE_SECONDS - MARGIN_SECONDS)


def _stored(deployment: Object | None) -> Object | None:
    text = annotations(deployment).get(TEMPLATE_ANNOTATION) if deployment else None
    if not text:
        return None
    try:
        template = json.loads(text)
        return template if _proxy_container(template) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        # Somebody edited the annotation: render afresh.
        return None


def _proxy_container(template: Object) -> Object:
    for container in template["spec"]["containers"]:
        if container["name"] == "proxy":
            return dict(container)
    return {}


def _family(spec: DBProxySpec) -> dict[str, str]:
    """What makes pods of another family other pods: those of a DBProxy that was deleted may be
    there still. Nothing for the family that was the only one at first, whose pods go on."""
    if spec.engine_family == "POSTGRESQL":
        return {}
    return {FAMILY_ANNOTATION: spec.engine_family}


def _render(key: Key, spec: DBProxySpec, defaults: PodDefaults) -> Object:
    user = spec.template
    pod = merged(user.spec, defaults.pod)
    metadata: Object = {
        "labels": {**user.metadata.labels, **names.child_labels(key.name)},
        "annotations": {
            "kubectl.kubernetes.io/default-container": "proxy",
            **user.metadata.annotations,
            **_family(spec),
        },
    }
    body: Object = {
        "serviceAccountName": names.account_name(key.name),
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": SETTLE_SECONDS + spec.drain_timeout + MARGIN_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            **_plain(pod.security_context or _SECURITY),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": _spread(key, pod),
        "containers": [
            _container(spec.image or defaults.image, pod),
            *(_plain(sidecar) for sidecar in pod.containers),
        ],
        "volumes": [
            _config_volume(key),
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *(_plain(volume) for volume in pod.volumes),
        ],
    }
    choices: Object = {
        "imagePullSecrets": [_plain(secret) for secret in pod.image_pull_secrets] or None,
        "initContainers": [_plain(container) for container in pod.init_containers] or None,
        "dnsPolicy": pod.dns_policy,
        "dnsConfig": pod.dns_config,
        "affinity": pod.affinity,
        "tolerations": [_plain(toleration) for toleration in pod.tolerations] or None,
        "nodeSelector": pod.node_selector or None,
        "priorityClassName": pod.priority_class_name,
        "runtimeClassName": pod.runtime_class_name,
    }
    body.update({name: value for name, value in choices.items() if value is not None})
    return {"metadata": metadata, "spec": body}


def _container(image: str, pod: PodSpec) -> Object:
    resources: Object = {"requests": {"cpu": "100m", "memory": "128Mi"}}
    if pod.resources is not None:
        requests = {**resources["requests"], **pod.resources.requests}
        resources = {"requests": requests}
        if pod.resources.limits:
            resources["limits"] = dict(pod.resources.limits)
    return {
        "name": "proxy",
        "image": image,
        "imagePullPolicy": pod.image_pull_policy or "IfNotPresent",
        "command": ["dbproxy", "--config-dir", "/etc/dbproxy", "--kubernetes"],
        "env": [
            _downward("POD_NAME", "metadata.name"),
            _downward("POD_NAMESPACE", "metadata.namespace"),
            _downward("POD_UID", "metadata.uid"),
            _downward("DBPROXY_POD_IP", "status.podIP"),
            *(_plain(variable) for variable in pod.env),
        ],
        "ports": [{"name": "metrics", "containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": _probe("/readyz", period=1, timeout=2, failures=2),
        # On a node that has no time for it, a program takes long to start. Ended for that, it would
        # begin again, and never be there.
        "startupProbe": _probe("/healthz", period=1, timeout=5, failures=180),
        "livenessProbe": _probe("/healthz", period=10, timeout=5, failures=3),
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/dbproxy", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _spread(key: Key, pod: PodSpec) -> list[Object]:
    if pod.topology_spread_constraints is not None:
        return [dict(constraint) for constraint in pod.topology_spread_constraints]
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": names.selector(key.name)},
        }
    ]


def _config_volume(key: Key) -> Object:
    config = names.config_name(key.name)
    return {
        "name": "config",
        "projected": {
            # Also for a user whom the platform chose, who is in no group of ours.
            "defaultMode": 0o444,
            "sources": [{"configMap": {"name": config}}, {"secret": {"name": config}}],
        },
    }


def _downward(variable: str, path: str) -> Object:
    return {"name": variable, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _plain(model: Any) -> Object:
    plain: Object = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(value: object) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()
