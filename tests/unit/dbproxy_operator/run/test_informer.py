"""A Secret that changes wakes whom it concerns, and thousands of others cost nothing."""

from dbproxy_operator.kube.watch import Changed, Listed, Listing
from dbproxy_operator.observe.recall import Recall
from dbproxy_operator.observe.world import Key
from dbproxy_operator.run.informer import Informer
from dbproxy_operator.run.users import Users

ORDERS, BILLS = Key("shop", "orders"), Key("shop", "bills")
OWN = {"dbproxy.dev/proxy": "orders"}


class Woken:
    """An informer of Secrets; both proxies use the Secret `app`."""

    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.users = Users()
        self.recall = Recall(lambda: 0.0)
        self.users.learn(("DBProxy", "shop", "orders"), "orders", [("Secret", "app")])
        self.users.learn(("DBProxyTargetGroup", "shop", "db"), "bills", [("Secret", "app")])
        self.informer = Informer(
            "Secret", self.users, self.recall, lambda _kind, key: self.woken.append(key)
        )

    def learn(self, *changes: Changed | Listing | Listed) -> list[Key]:
        self.woken.clear()
        for change in changes:
            self.informer.learn(change)
        return sorted(self.woken)


def secret(version: str | None, name: str = "app", **labels: str) -> Changed:
    return Changed("shop", name, version, labels)


def test_all_that_use_it_are_woken_by_each_version_once() -> None:
    world = Woken()
    assert world.learn(secret("1")) == [BILLS, ORDERS]
    assert world.learn(secret("1")) == []
    assert world.learn(secret("2")) == [BILLS, ORDERS]
    assert world.learn(secret(None)) == [BILLS, ORDERS]


def test_foreign_ones_wake_nobody_and_are_not_remembered() -> None:
    world = Woken()
    many = [secret("1", f"other-{number}") for number in range(10_000)]
    assert world.learn(Listing(), *many, Listed()) == []
    assert world.informer._known == {}


def test_our_own_wakes_by_its_label_also_when_that_is_taken_off() -> None:
    world = Woken()
    assert world.learn(Changed("shop", "orders-config", "1", OWN)) == [ORDERS]
    assert world.learn(Changed("shop", "orders-config", "2")) == [ORDERS]
    assert world.learn(Changed("shop", "orders-config", "3")) == []


def test_one_that_vanished_while_nobody_watched_wakes() -> None:
    world = Woken()
    world.learn(Listing(), secret("1"), Listed())
    assert world.learn(Listing(), Listed()) == [BILLS, ORDERS]
    assert world.learn(Listing(), Listed()) == []


def test_a_proxy_that_no_longer_refers_to_it_is_not_woken() -> None:
    world = Woken()
    world.users.learn(("DBProxy", "shop", "orders"), "orders", [("Secret", "new")])
    assert world.learn(secret("1")) == [BILLS]
    world.users.forget(("DBProxyTargetGroup", "shop", "db"))
    assert world.learn(secret("2")) == []
    assert world.learn(secret("1", "new")) == [ORDERS]
