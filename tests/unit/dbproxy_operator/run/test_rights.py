"""The operator ends at start, naming what it may not do."""

from typing import Any

import pytest

from dbproxy_operator.errors import StartupError
from dbproxy_operator.run import rights
from dbproxy_operator.run.lease import Place, lease_name

PLACE = Place("system", lease_name(""))


class Reviews:
    """`refused`: verbs on resources; `gone`: namespaces in which nothing is allowed."""

    def __init__(self, *refused: tuple[str, str], gone: str = "") -> None:
        self.refused = refused
        self.gone = gone
        self.asked: list[dict[str, Any]] = []

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        asked = obj["spec"]["resourceAttributes"]
        self.asked.append(asked)
        refused = (asked["verb"], asked["resource"]) in self.refused
        return {"status": {"allowed": not refused and asked["namespace"] != (self.gone or None)}}


async def test_all_rights_there_is_silence() -> None:
    reviews = Reviews()
    await rights.check(reviews, ("shop", "bank"), PLACE)  # type: ignore[arg-type]
    namespaces = {asked["namespace"] for asked in reviews.asked}
    assert namespaces == {"shop", "bank", "system"}


async def test_what_is_missing_is_named() -> None:
    reviews = Reviews(("patch", "secrets"), ("create", "secrets"), ("update", "leases"))
    with pytest.raises(StartupError) as caught:
        await rights.check(reviews, (), PLACE)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "the operator's ServiceAccount may not create, patch secrets in all namespaces; "
        "update leases.coordination.k8s.io named dbproxy-operator in namespace system"
    )


async def test_a_namespace_that_is_gone_stops_nobody_else() -> None:
    reviews = Reviews(gone="bank")
    lacking = await rights.check(reviews, ("shop", "bank"), PLACE)  # type: ignore[arg-type]
    assert list(lacking) == ["bank"]
    assert "secrets in namespace bank" in rights.told(lacking["bank"])


async def test_a_namespace_that_comes_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Returning(Reviews):
        async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
            answer = await super().create(obj)
            self.gone = "" if len(self.asked) > 100 else "bank"
            return answer

    monkeypatch.setattr(rights, "ASK_AGAIN", 0)
    reviews = Returning(gone="bank")
    assert await rights.regained(reviews, ("bank",)) == "bank"  # type: ignore[arg-type]
    assert len(reviews.asked) > 100


async def test_the_only_namespace_gone_is_told_at_start() -> None:
    with pytest.raises(StartupError, match="in namespace shop"):
        await rights.check(Reviews(gone="shop"), ("shop",), PLACE)  # type: ignore[arg-type]
