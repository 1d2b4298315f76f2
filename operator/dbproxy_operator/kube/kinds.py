"""The kinds of objects that the operator touches, and where the API server keeps them."""

from dataclasses import dataclass

GROUP = "dbproxy.dev"
VERSION = "v1alpha1"


@dataclass(frozen=True)
class Kind:
    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool = True
    has_status: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


_ALL = (
    Kind("DBProxy", GROUP, VERSION, "dbproxies", has_status=True),
    Kind("DBProxyTargetGroup", GROUP, VERSION, "dbproxytargetgroups", has_status=True),
    Kind("DBProxyEndpoint", GROUP, VERSION, "dbproxyendpoints", has_status=True),
    Kind("ConfigMap", "", "v1", "configmaps"),
    Kind("Event", "", "v1", "events"),
    Kind("Pod", "", "v1", "pods"),
    Kind("Secret", "", "v1", "secrets"),
    Kind("Service", "", "v1", "services"),
    Kind("ServiceAccount", "", "v1", "serviceaccounts"),
    Kind("Deployment", "apps", "v1", "deployments"),
    Kind("Lease", "coordination.k8s.io", "v1", "leases"),
    Kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    Kind("Role", "rbac.authorization.k8s.io", "v1", "roles"),
    Kind("RoleBinding", "rbac.authorization.k8s.io", "v1", "rolebindings"),
    Kind(
        "SelfSubjectAccessReview",
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        namespaced=False,
    ),
)

KINDS: dict[str, Kind] = {kind.kind: kind for kind in _ALL}
