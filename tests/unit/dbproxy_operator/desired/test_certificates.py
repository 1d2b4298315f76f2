"""The proxy's own CA and its server certificate, over the years."""

import datetime as dt

from cryptography import x509
from tests.composed import MATERIAL

from dbproxy_operator.desired import certificates, subjects
from dbproxy_operator.desired.certificates import Authority, Pair
from dbproxy_operator.observe.world import Key

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOSTS = ["orders", "orders.shop.svc"]
KEEPING = {"metadata": {"name": "orders", "namespace": "shop", "uid": "u"}, "kind": "DBProxy"}


def authority(before: Authority | None, now: dt.datetime) -> Authority:
    secret = certificates.ca_secret(Key("shop", "orders"), KEEPING, before) if before else None
    return certificates.authority(secret, None, None, "orders", MATERIAL, now)


def without_key(before: Authority, served: Pair, now: dt.datetime) -> Authority:
    """What follows when somebody deletes the Secret, and clients have what was published."""
    published = certificates.ca_config_map(Key("shop", "orders"), KEEPING, before)
    return certificates.authority(None, published, served, "orders", MATERIAL, now)


def leaf(served: Pair | None, ca: Authority, hosts: list[str], now: dt.datetime) -> Pair:
    return certificates.leaf(served, ca, hosts, MATERIAL, now)


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
    assert subjects.hosts_of(loaded(second)) == [*HOSTS, "orders-ro"]


def test_an_address_is_named_as_one() -> None:
    made = loaded(leaf(None, authority(None, START), [*HOSTS, "10.0.0.7", "2001:db8::1"], START))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == HOSTS
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["10.0.0.7", "2001:db8::1"]


def test_a_host_that_goes_to_and_fro_is_added_once() -> None:
    ca = authority(None, START)
    first = leaf(None, ca, [*HOSTS, "a.example"], START)
    second = leaf(first, ca, [*HOSTS, "b.example"], START + dt.timedelta(days=1))
    assert second != first
    for day, host in enumerate(("a.example", "b.example", "a.example")):
        assert leaf(second, ca, [*HOSTS, host], START + dt.timedelta(days=2 + day)) == second


def test_a_host_that_is_added_or_gone_does_not_move_the_renewal_that_drops_it() -> None:
    ca = authority(None, START)
    first = leaf(None, ca, [*HOSTS, "gone.example"], START)
    later = START + dt.timedelta(days=50)
    second = leaf(first, ca, [*HOSTS, "new.example"], later)
    assert certificates.due(second, ca, HOSTS) == certificates.due(first, ca, HOSTS)
    renewed = leaf(second, ca, [*HOSTS, "new.example"], certificates.due(second, ca, HOSTS))
    assert subjects.hosts_of(loaded(renewed)) == [*HOSTS, "new.example"]


def test_however_many_hosts_come_and_go_a_certificate_stays_small() -> None:
    ca = authority(None, START)
    served = leaf(None, ca, HOSTS, START)
    for number in range(certificates.MOST_GONE + 3):
        served = leaf(served, ca, [*HOSTS, f"lb-{number}.example"], START)
    hosts = subjects.hosts_of(loaded(served))
    assert len(hosts) == len(HOSTS) + 1 + certificates.MOST_GONE
    assert f"lb-{certificates.MOST_GONE + 1}.example" in hosts


def test_a_certificate_of_a_clock_that_was_ahead_is_replaced_at_once() -> None:
    ca = authority(None, START)
    ahead = leaf(None, ca, HOSTS, START + dt.timedelta(days=365))
    assert loaded(leaf(ahead, ca, HOSTS, START)).not_valid_before_utc <= START


def test_another_ca_makes_a_new_certificate_that_it_has_signed() -> None:
    first, other = authority(None, START), authority(None, START)
    second = leaf(leaf(None, first, HOSTS, START), other, HOSTS, START)
    loaded(second).verify_directly_issued_by(loaded(other.signing))


def test_a_lost_ca_stays_published_and_what_it_signed_is_served_on() -> None:
    first = authority(None, START)
    served = leaf(None, first, HOSTS, START)
    second = without_key(first, served, START + dt.timedelta(days=1))
    assert second.signing != first.signing
    assert second.bundle == second.signing.certificate + first.signing.certificate
    assert leaf(served, second, HOSTS, START + dt.timedelta(days=2)) == served


def test_what_a_lost_ca_signed_is_replaced_once_its_successor_is_known() -> None:
    first = authority(None, START)
    served = leaf(None, first, HOSTS, START)
    lost_at = START + certificates.LEAF_LIFE * 2 / 3 - dt.timedelta(hours=1)
    second = without_key(first, served, lost_at)
    known = lost_at - certificates.BACKDATED + certificates.HANDOVER
    assert certificates.due(served, second, HOSTS) == known
    assert leaf(served, second, HOSTS, known - dt.timedelta(hours=1)) == served
    replaced = leaf(served, second, HOSTS, known)
    loaded(replaced).verify_directly_issued_by(loaded(second.signing))


def test_a_new_name_waits_until_the_successor_of_a_lost_ca_is_known() -> None:
    first = authority(None, START)
    served = leaf(None, first, HOSTS, START)
    second = without_key(first, served, START)
    more = [*HOSTS, "orders-ro"]
    assert leaf(served, second, more, START + dt.timedelta(days=1)) == served
    assert leaf(served, second, more, START + certificates.HANDOVER) != served


def test_what_a_lost_ca_signed_is_replaced_before_it_expires() -> None:
    first = authority(None, START)
    served = leaf(None, first, HOSTS, START)
    end = START + certificates.LEAF_LIFE
    second = without_key(first, served, end - dt.timedelta(days=2))
    last = end - certificates.LAST_MOMENT
    assert leaf(served, second, HOSTS, last - dt.timedelta(minutes=1)) == served
    assert leaf(served, second, HOSTS, last) != served


def test_a_foreign_ca_among_the_published_is_not_carried_on() -> None:
    first, foreign = authority(None, START), authority(None, START)
    served = leaf(None, first, HOSTS, START)
    mixed = Authority(foreign.signing, first.signing, None)
    assert without_key(mixed, served, START).previous == first.signing.certificate


def test_a_key_that_is_not_the_ca_s_counts_as_lost() -> None:
    """It would sign what nobody can verify, again at each look."""
    first, other = authority(None, START), authority(None, START)
    mixed = Authority(Pair(first.signing.certificate, other.signing.key), None, None)
    assert authority(mixed, START).signing.certificate != first.signing.certificate


def test_a_planned_successor_leaves_what_is_served_until_it_is_due() -> None:
    first = authority(None, START)
    served = leaf(None, first, HOSTS, START)
    second = Authority(authority(None, START).signing, None, first.signing.certificate)
    later = START + certificates.LEAF_LIFE * 2 / 3
    assert leaf(served, second, HOSTS, later - dt.timedelta(hours=1)) == served
    assert leaf(served, second, HOSTS, later) != served


def test_the_end_of_a_certificate_is_told_in_time() -> None:
    pair = leaf(None, authority(None, START), HOSTS, START)
    end = START + certificates.LEAF_LIFE
    begins, warning, ends = certificates.moments(pair.certificate)
    assert (begins, ends) == (START - certificates.BACKDATED, end)
    assert certificates.expiry_warning(pair.certificate, warning - dt.timedelta(seconds=1)) is None
    told = certificates.expiry_warning(pair.certificate, warning)
    assert told == "expires at 2026-04-01T00:00:00Z"
    assert (certificates.expiry_warning(pair.certificate, end) or "").startswith("expired at")


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
    early = START - dt.timedelta(hours=1)
    assert certificates.pair_problem(good, early) == (
        "tls.crt is not valid before 2025-12-31T23:55:00Z"
    )
    late = START + certificates.LEAF_LIFE
    assert "expired" in (certificates.pair_problem(good, late) or "")
