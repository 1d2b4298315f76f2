"""Never a lower revision, never an incomplete pair."""

from __future__ import annotations

from tests.agent_made import credentials_of, settings_of

from dbproxy.decide.pairing import PATIENCE, Pairing
from dbproxy.facts import Problem
from dbproxy.settings import Config

NOW = 100.0


def revisions(config: Config | None) -> tuple[int, int] | None:
    return None if config is None else (config.settings.revision, config.credentials.revision)


def pairing_of(settings: int, needs: int, credentials: int) -> Pairing:
    pairing = Pairing(accept_equal=False)
    pairing.learn_settings(settings_of(revision=settings, secretRevision=needs), NOW)
    pairing.learn_credentials(credentials_of(revision=credentials), NOW)
    return pairing


def test_settings_alone_are_no_configuration() -> None:
    pairing = Pairing(accept_equal=False)
    pairing.learn_settings(settings_of(), NOW)
    assert pairing.newest() is None
    told = pairing.problem(NOW + PATIENCE)
    assert told == Problem("WaitingForCredentials", "there are no credentials yet")


def test_a_lower_revision_is_never_applied() -> None:
    pairing = pairing_of(10, 5, 5)
    assert not pairing.learn_settings(settings_of(revision=9, secretRevision=5), NOW)
    assert not pairing.learn_credentials(credentials_of(revision=4), NOW)
    assert revisions(pairing.newest()) == (10, 5)


def test_settings_wait_for_their_credentials_and_the_old_ones_go_on() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.learn_settings(settings_of(revision=11, secretRevision=6), NOW)
    assert revisions(pairing.newest()) == (10, 5)
    told = pairing.problem(NOW + PATIENCE)
    assert told is not None
    assert "needs credentials of revision 6" in told.message
    pairing.learn_credentials(credentials_of(revision=6), NOW)
    assert revisions(pairing.newest()) == (11, 6)
    assert pairing.problem(NOW + PATIENCE) is None


def test_the_settings_that_are_served_outlive_any_number_that_wait() -> None:
    pairing = pairing_of(10, 5, 5)
    for revision in (11, 12, 13):
        pairing.learn_settings(settings_of(revision=revision, secretRevision=9), NOW)
    pairing.learn_credentials(credentials_of(revision=7), NOW)
    assert revisions(pairing.newest()) == (10, 7)


def test_newer_credentials_go_with_the_settings_that_are_there() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.learn_credentials(credentials_of(revision=9), NOW)
    assert revisions(pairing.newest()) == (10, 9)


def test_the_first_of_two_sources_counts_at_an_equal_revision() -> None:
    pairing = pairing_of(10, 5, 5)
    assert not pairing.learn_settings(
        settings_of(revision=10, secretRevision=5, drainTimeout=1), NOW
    )


def test_files_alone_count_at_an_equal_revision_too() -> None:
    pairing = Pairing(accept_equal=True)
    pairing.learn_credentials(credentials_of(), NOW)
    pairing.learn_settings(settings_of(drainTimeout=1), NOW)
    pairing.learn_settings(settings_of(drainTimeout=2), NOW)
    config = pairing.newest()
    assert config is not None
    assert config.settings.drain_timeout == 2


def test_the_moment_between_settings_and_their_credentials_is_no_problem() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.learn_settings(settings_of(revision=11, secretRevision=6), NOW)
    assert pairing.problem(NOW + PATIENCE - 0.1) is None
    assert pairing.next_deadline(NOW) == NOW + PATIENCE
    assert pairing.next_deadline(NOW + PATIENCE) is None
    pairing.learn_credentials(credentials_of(revision=6), NOW + 1)
    assert pairing.next_deadline(NOW) is None


def test_newer_settings_do_not_begin_the_wait_anew() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.learn_settings(settings_of(revision=11, secretRevision=6), NOW)
    pairing.learn_settings(settings_of(revision=12, secretRevision=7), NOW + 5)
    assert pairing.problem(NOW + PATIENCE) is not None


def test_a_fault_is_ended_by_the_source_that_showed_it() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.settings_problem("api", "settings.json: broken")
    pairing.settings_problem("file", "")
    assert pairing.problem(NOW) == Problem("InvalidSettings", "settings.json: broken")
    pairing.settings_problem("api", "")
    assert pairing.problem(NOW) is None


def test_a_fault_that_two_sources_show_is_told_once() -> None:
    pairing = pairing_of(10, 5, 5)
    pairing.credentials_problem("api", "tls.key: broken")
    pairing.credentials_problem("file", "tls.key: broken")
    assert pairing.problem(NOW) == Problem("InvalidSettings", "tls.key: broken")
