"""The operator ends at start, naming what it may not do."""

from typing import Any

import pytest

from dbproxy_operator.errors import StartupError
from dbproxy_operator.run import rights


class Reviews:
    def __init__(self, *refused: tuple[str, str]) -> None:
        self.refused = refused
        self.asked: list[dict[str, Any]] = []

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        asked = obj["spec"]["resourceAttributes"]
        self.asked.append(asked)
        return {"status": {"allowed": (asked["verb"], asked["resource"]) not in self.refused}}


async def test_all_rights_there_is_silence() -> None:
    reviews = Reviews()
    await rights.check(reviews, ("shop", "bank"), "system")  # type: ignore[arg-type]
    namespaces = {asked["namespace"] for asked in reviews.asked}
    assert namespaces == {"shop", "bank", "system"}


async def test_what_is_missing_is_named() -> None:
    reviews = Reviews(("patch", "secrets"), ("create", "secrets"), ("update", "leases"))
    with pytest.raises(StartupError) as caught:
        await rights.check(reviews, (), "system")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "the operator's ServiceAccount may not create, patch secrets in all namespaces; "
        "update leases.coordination.k8s.io named dbproxy-operator in namespace system"
    )
