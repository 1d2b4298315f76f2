"""Where the API server keeps an object; a name from a user's spec is one part of the path."""

import pytest

from dbproxy_operator.kube import KINDS, NotFoundError


def test_paths_are_those_of_the_api() -> None:
    role, secret, proxy = KINDS["Role"], KINDS["Secret"], KINDS["DBProxy"]
    assert secret.path("shop", "app") == "/api/v1/namespaces/shop/secrets/app"
    assert secret.path(None) == "/api/v1/secrets"
    assert role.path("shop") == "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles"
    status = "/apis/dbproxy.dev/v1alpha1/namespaces/shop/dbproxies/orders/status"
    assert proxy.path("shop", "orders", status=True) == status


def test_a_name_cannot_lead_elsewhere() -> None:
    assert KINDS["Secret"].path("shop", "a/b?c") == "/api/v1/namespaces/shop/secrets/a%2Fb%3Fc"
    for name in (".", ".."):
        with pytest.raises(NotFoundError, match="no object is named"):
            KINDS["Secret"].path("shop", name)
