"""The pods divide among them as whom they try to log in."""

from __future__ import annotations

from collections import Counter

from dbproxy.decide.rota import Rota
from dbproxy.facts import Login

USERS = [f"user-{number}" for number in range(200)]
PODS = [f"orders-{number}" for number in range(50)]


def tried(pods: list[str]) -> dict[str, list[str]]:
    """By each of the pods, once they all know of each other."""
    found = {}
    for pod in pods:
        rota = Rota(pod)
        rota.learn_others(frozenset(pods) - {pod})
        found[pod] = [user for user in USERS if rota.tries(user)]
    return found


def test_every_user_is_tried_by_one_pod() -> None:
    shares = tried(PODS)
    assert Counter(user for share in shares.values() for user in share) == dict.fromkeys(USERS, 1)
    assert max(len(share) for share in shares.values()) < 20


def test_a_pod_alone_tries_all() -> None:
    assert tried(["orders-0"]) == {"orders-0": USERS}


def test_a_pod_that_goes_moves_no_users_but_its_own() -> None:
    before, after = tried(PODS[:3]), tried(PODS[:2])
    for pod in PODS[:2]:
        assert set(before[pod]) <= set(after[pod])
        assert set(after[pod]) - set(before[pod]) <= set(before[PODS[2]])


def test_a_user_in_doubt_is_tried_here_until_it_is_let_in() -> None:
    rota = Rota("orders-0")
    rota.learn_others(frozenset(["orders-1"]))
    other = next(user for user in USERS if not rota.tries(user))
    rota.doubt(other)
    rota.learn_logins([Login(other, "db-0", ok=False)])
    assert rota.tries(other)
    rota.learn_logins([Login(other, "db-0", ok=True)])
    assert not rota.tries(other)
