"""The proxy's own CA and its server certificate, over the years."""

import datetime as dt

from cryptography import x509
from tests.composed import MATERIAL

from dbproxy_operator.desired import certificates
from dbproxy_operator.desired.certificates import Authority, Pair
from dbproxy_operator.observe.world import Key

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOSTS = ["orders", "orders.shop.svc"]
KEEPING = {"metadata": {"name": "orders", "namespace": "shop", "uid": "u"}, "kind": "DBProxy"}


def authority(before: Authority | None, now: dt.datetime) -> Authority:
    secret = certificates.ca_secret(Key("shop", "orders"), KEEPING, before) if before else None
    return certificates.authority(secret, "orders", MATERIAL, now)


def leaf(served: Pair | None, ca: Authority, hosts: list[str], now: dt.datetime) -> Pair:
    return certificates.leaf(served, ca.signing, hosts, MATERIAL, now)


def loaded(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.encode())


def test_the_ca_is_made_once() -> None:
    first = authority(None, START)
    assert authority(first, START + dt.timedelta(days=2000)) == first


def test_a_successor_is_published_before_it_signs_and_the_former_one_after() -> None:
    first = authority(None, START)
    due = START + certificates.CA_LIFE * 2 / 3
    second = authority(first, due)
    assert second.signing == first.signing
    assert second.next is not None
    assert second.bundle == first.signing.certificate + second.next.certificate
    third = authority(second, due + certificates.OVERLAP)
    assert third.signing == second.next
    assert third.previous == first.signing.certificate
    last = authority(third, START + certificates.CA_LIFE)
    assert last.previous is None
    assert last.signing == third.signing


def test_the_certificate_is_kept_until_two_thirds_of_its_life() -> None:
    ca = authority(None, START)
    first = leaf(None, ca, HOSTS, START)
    two_thirds = certificates.LEAF_LIFE * 2 / 3
    assert leaf(first, ca, HOSTS, START + two_thirds - dt.timedelta(hours=1)) == first
    assert leaf(first, ca, HOSTS, START + two_thirds) != first


def test_a_new_name_makes_a_new_certificate_and_a_lost_one_does_not() -> None:
    ca = authority(None, START)
    first = leaf(None, ca, HOSTS, START)
    second = leaf(first, ca, [*HOSTS, "orders-ro"], START)
    assert second != first
    assert leaf(second, ca, HOSTS, START) == second
    names = loaded(second).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == [*HOSTS, "orders-ro"]


def test_another_ca_makes_a_new_certificate_that_it_has_signed() -> None:
    first, other = authority(None, START), authority(None, START)
    second = leaf(leaf(None, first, HOSTS, START), other, HOSTS, START)
    loaded(second).verify_directly_issued_by(loaded(other.signing))


def test_a_certificate_of_the_user_is_looked_at() -> None:
    ca = authority(None, START)
    good, other = leaf(None, ca, HOSTS, START), leaf(None, ca, HOSTS, START)
    assert certificates.pair_problem(good, START) is None
    assert certificates.pair_problem(Pair("x", good.key), START) == (
        "tls.crt is not a PEM certificate"
    )
    assert certificates.pair_problem(Pair(good.certificate, "x"), START) == (
        "tls.key is not an unencrypted PEM private key"
    )
    assert certificates.pair_problem(Pair(good.certificate, other.key), START) == (
        "tls.key does not belong to tls.crt"
    )
    late = START + certificates.LEAF_LIFE
    assert "expired" in (certificates.pair_problem(good, late) or "")
