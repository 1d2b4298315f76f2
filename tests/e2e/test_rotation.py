"""A password that changes in the Secret: sessions go on, log-ins change over, no pod restarts."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.fix_cluster import RefusedError, eventually
from tests.fix_shop import Shop, basic_auth, on_database

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def user(shop: Shop) -> Iterator[str]:
    name = f"user_{uuid4().hex[:8]}"
    on_database(shop.cluster, f"create role {name} login password 'one'")
    yield name
    on_database(shop.cluster, f"drop role {name}")


def open_with(shop: Shop, user: str, grace: int) -> None:
    shop.cluster.apply(basic_auth("rotating", user, "one"))
    shop.open(auth=[{"secretRef": {"name": "rotating"}}], credentialRotationGracePeriod=grace)


def rotate(shop: Shop, user: str) -> None:
    on_database(shop.cluster, f"alter role {user} password 'two'")
    shop.cluster.apply(basic_auth("rotating", user, "two"))
    eventually(lambda: shop.works(user=user, password="two"), "the new password logs in")


def test_sessions_go_on_and_new_logins_use_the_new_password(shop: Shop, user: str) -> None:
    open_with(shop, user, grace=600)
    pods = shop.pods()
    with shop.session(user=user, password="one") as session:
        assert session.ask("select 1") == "1"
        rotate(shop, user)
        assert session.ask("select 2") == "2"
        shop.must_work(user=user, password="one")
        assert session.ask("select 3") == "3"
    assert shop.pods() == pods
    assert shop.restarts() == 0


def test_without_grace_the_former_password_ends_at_once(shop: Shop, user: str) -> None:
    open_with(shop, user, grace=0)
    rotate(shop, user)
    with pytest.raises(RefusedError, match="password authentication failed"):
        shop.psql("select 1", user=user, password="one")
