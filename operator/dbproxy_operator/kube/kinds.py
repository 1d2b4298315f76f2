"""The kinds of objects that the operator touches, and where the API server keeps them."""

from dataclasses import dataclass
from urllib.parse import quote

from dbproxy_operator.kube.errors import NotFoundError

GROUP = "dbproxy.dev"
VERSION = "v1alpha1"


@dataclass(frozen=True)
class Kind:
    kind: str
    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", *, status: bool = False) -> str:
        """Of one object, or of all without a name; of all namespaces without one."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{_segment(namespace)}" if namespace else ""
        one = f"/{_segment(name)}" if name else ""
        return f"{root}{inside}/{self.plural}{one}{'/status' if status else ''}"


_ALL = (
    Kind("DBProxy", GROUP, VERSION, "dbproxies"),
    Kind("DBProxyTargetGroup", GROUP, VERSION, "dbproxytargetgroups"),
    Kind("DBProxyEndpoint", GROUP, VERSION, "dbproxyendpoints"),
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
    ),
)

KINDS: dict[str, Kind] = {kind.kind: kind for kind in _ALL}


def _segment(name: str) -> str:
    """A name as one part of a path, whatever is in it: what users refer to is not checked yet."""
    if name.strip(".") == "":
        raise NotFoundError(404, f"no object is named {name!r}")
    return quote(name, safe="")
