"""Never a lower revision, never an incomplete pair."""

from __future__ import annotations

from tests.agent_made import credentials_of, settings_of

from dbproxy.decide.pairing import Pairing
from dbproxy.settings import Config


def revisions(config: Config | None) -> tuple[int, int] | None:
    return None if config is None else (config.settings.revision, config.credentials.revision)


def pairing_of(settings: int, needs: int, credentials: int) -> Pairing:
    pairing = Pairing(accept_equal=False)
    pairing.learn_settings(settings_of(revision=settings, secretRevision=needs))
    pairing.learn_credentials(credentials_of(revision=credentials))
    return pairing


def test_settings_alone_are_no_configuration() -> None:
    pairing = Pairing(accept_equal=False)
    pairing.learn_settings(settings_of())
    assert pairing.newest() is None
    assert pairing.problem == "there are no credentials yet"


def test_a_lower_revision_is_never_applied() -> None:
    pairing = pairing_of(10, 5, 5)
    assert not pairing.learn_settings(settings_of(revision=9, secretRevision=5))
    assert not pairing.learn_credentials(credentials_of(revision=4))
    assert revisions(pairing.newest()) == (10, 5)


def test_settings_wait_for_their_credentials_and_the_old_ones_go_on() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.learn_settings(settings_of(revision=11, secretRevision=6))
    assert revisions(pairing.newest()) == (10, 5)
    assert "needs credentials of revision 6" in pairing.problem
    pairing.learn_credentials(credentials_of(revision=6))
    assert revisions(pairing.newest()) == (11, 6)
    assert pairing.problem == ""


def test_the_settings_that_are_served_outlive_any_number_that_wait() -> None:
    pairing = pairing_of(10, 5, 5)
    for revision in (11, 12, 13):
        pairing.learn_settings(settings_of(revision=revision, secretRevision=9))
    pairing.learn_credentials(credentials_of(revision=7))
    assert revisions(pairing.newest()) == (10, 7)


def test_newer_credentials_go_with_the_settings_that_are_there() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.learn_credentials(credentials_of(revision=9))
    assert revisions(pairing.newest()) == (10, 9)


def test_the_first_of_two_sources_counts_at_an_equal_revision() -> None:
    pairing = pairing_of(10, 5, 5)
    assert not pairing.learn_settings(settings_of(revision=10, secretRevision=5, drainTimeout=1))


def test_files_alone_count_at_an_equal_revision_too() -> None:
    pairing = Pairing(accept_equal=True)
    pairing.learn_credentials(credentials_of())
    pairing.learn_settings(settings_of(drainTimeout=1))
    pairing.learn_settings(settings_of(drainTimeout=2))
    config = pairing.newest()
    assert config is not None
    assert config.settings.drain_timeout == 2
